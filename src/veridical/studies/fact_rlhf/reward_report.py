"""The reward models in the Fact-RLHF report: accuracy by kind of comparison, and leak check."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from veridical.files import read_bytes
from veridical.records import Metric
from veridical.records.fact_rlhf import FactRlhfResults
from veridical.report.fact_rlhf_inputs import (
    Dependence,
    LeakCheck,
    RewardBreakdown,
    RewardModels,
)
from veridical.studies.fact_rlhf.evidence import IMAGE_ALONE
from veridical.studies.fact_rlhf.reward_models import TrainedRewardModels, pooled_difference
from veridical.training.reward.held_out import REPORT_FILE

_SHOWN_COMPARISONS = 25
"""Parts of the held-out comparisons with fewer of them are not shown: their intervals say
nothing."""


_CONDITIONS = {
    "intact": ("as trained", "the scene's own picture and facts"),
    "swapped_facts": ("facts of another picture", "falls far where facts are read"),
    "no_facts": ("no facts", "what is left without them"),
    "swapped_image": ("another picture", "falls where the picture is looked at"),
    "swapped_both": (
        "facts and picture of another scene",
        "near one half where both are all that it has",
    ),
}


def describe_reward_models(
    models: Sequence[TrainedRewardModels],
    results: FactRlhfResults,
    dependence: tuple[Dependence, ...],
    *,
    comparisons: int,
) -> RewardModels:
    """Describe the reward models of all seeds.

    Args:
        models: Reward models by seed; breakdown and leak check are of the first.
        results: The numbers of the run.
        dependence: The first reward model on facts that are incomplete or wrong.
        comparisons: How many comparisons they learnt from.
    """
    without, with_facts = (json.loads(read_bytes(one.run_dir / REPORT_FILE)) for one in models[0])
    rows = [
        RewardBreakdown(
            name=f"seed {seed}",
            without_facts=table["without_facts"]["accuracy"],
            with_facts=table["with_facts"]["accuracy"],
        )
        for seed, table in enumerate(one.metrics() for one in models)
        if len(models) > 1
    ]
    parts = (
        ("by_kind", "differ in "),
        ("by_task", "question: "),
        ("by_length", "the better response is "),
    )
    for part, prefix in parts:
        pairs = [
            (name, without[part][name], with_facts[part][name])
            for name in without[part]
            if name in with_facts[part]
        ]
        rows += [
            RewardBreakdown(
                name=f"{prefix}{name.replace('_', ' ')}",
                without_facts=Metric.model_validate(first),
                with_facts=Metric.model_validate(second),
            )
            for name, first, second in pairs
            if first["n"] >= _SHOWN_COMPARISONS
        ]
    leaks = tuple(
        LeakCheck(
            name=label,
            accuracy=Metric.model_validate(with_facts["leak_check"][name]["accuracy"]),
            meaning=text,
        )
        for name, (label, text) in _CONDITIONS.items()
        if name in with_facts["leak_check"]
    )
    return RewardModels(
        difference=pooled_difference(models),
        image_alone=results.reward_model["image_alone"]["accuracy"],
        image_alone_note=IMAGE_ALONE,
        comparisons=comparisons,
        source="simulated",
        breakdown=tuple(rows),
        leaks=leaks,
        leak_note=_leak_note(with_facts["leak_check"]),
        dependence=dependence,
    )


def _leak_note(check: Mapping[str, Any]) -> str:
    if "swapped_facts" not in check:
        return ""
    intact, swapped = (check[name]["accuracy"]["value"] for name in ("intact", "swapped_facts"))
    change = check["swapped_facts"]["change"]
    if change["high"] < 0:
        return (
            f"With the facts of another picture accuracy falls from {intact:.1%} to {swapped:.1%}:"
            " the facts are read."
        )
    return (
        f"With the facts of another picture accuracy stays ({intact:.1%} and {swapped:.1%}): the"
        " facts are not read."
    )
