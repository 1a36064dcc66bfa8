"""Objectives compared on the same corrections, several seeds each.

Every arm starts from the same base, sees the same corrections once, and its last checkpoint is
measured on the same test scenes. Each arm is one point of its own trade-off between hallucination
and coverage (beta and learning rate move along it), so a difference between arms does not rank the
objectives; the paired tests show what differs at all.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veridical.benchmarks.world.items import build_world_benchmark
from veridical.benchmarks.world.metrics import DescriptionRow
from veridical.config import Settings, load_recipe, merge_settings
from veridical.evaluation.world import evaluate_world
from veridical.files import write_json_atomically
from veridical.models.hashing import model_hash
from veridical.models.loading import load_model
from veridical.progress import log
from veridical.records.manifests import build_manifest
from veridical.records.results import ObjectiveRow, ObjectiveTest, RecordedObjectives
from veridical.statistics import paired_permutation
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.training.run.choice import latest
from veridical.world.base import base_model_path

RECORDED = Path(__file__).parent / "recorded_objectives.json"
"""The table that comes with the package; shown where the base model is the one it was made with."""

_METRICS = ("hallucination_rate", "mention_hallucination_rate", "object_coverage", "mean_length")


class Arm(NamedTuple):
    """One objective as it is compared."""

    name: str
    """What the report calls it."""
    objective: Mapping[str, str | float]
    """Settings of its `objective` section that differ from dense DPO by `PREFERENCE_ALONE`."""


PREFERENCE_ALONE: Settings = {"objective": {"sft_weight": 0.0}, "train": {"learning_rate": 1e-5}}
"""What makes of the recipe `dpo-world` the paper's objective: chosen texts are not learnt beside
it, and its steps suit that."""
_ORIGINAL = {"diff": "original", "one_sided": "ignore"}
"""How RLHF-V's released code finds corrected tokens."""

ARMS: tuple[Arm, ...] = (
    Arm("DPO", {"name": "dpo", "beta": 0.1}),
    Arm("dense DPO, original, sum", {"beta": 0.1, "normalize": "sum", **_ORIGINAL}),
    Arm("dense DPO, original, normalised", {"normalize": "weighted_mean", **_ORIGINAL}),
    Arm("dense DPO, ours, sum", {"beta": 0.1, "normalize": "sum"}),
    Arm("dense DPO, γ 1, normalised", {"normalize": "weighted_mean", "segment_weight": 1.0}),
    Arm("dense DPO, γ 2, normalised", {"normalize": "weighted_mean", "segment_weight": 2.0}),
    Arm("dense DPO, ours, normalised", {"normalize": "weighted_mean", "segment_weight": 5.0}),
)
"""The last one is the demo's. With γ = 1 every token counts alike: DPO on means per token."""


class _Measured(NamedTuple):
    row: ObjectiveRow
    descriptions: tuple[DescriptionRow, ...]


def compare_objectives(
    corrections: Path,
    out: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    test_scenes: int = 1000,
    world_seed: int = 0,
) -> RecordedObjectives:
    """Train every arm with every seed and measure it.

    Args:
        corrections: The corrections of a demo; they must not be of the test scenes.
        out: Gets a run directory per arm and seed, and `objectives.json`.
        seeds: Seeds of training (order of the pairs).
        test_scenes: Scenes to describe.
        world_seed: Root seed of the test scenes.
    """
    items = build_world_benchmark(
        world_seed, "test", n_scenes=test_scenes, n_probe_scenes=0, n_per_type=0
    )
    measured: dict[str, list[_Measured]] = {}
    for arm in ARMS:
        for seed in seeds:
            recipe = load_recipe(
                "dpo-world",
                PreferenceRecipe,
                settings=merge_settings(
                    {
                        "data": {"corrections": str(corrections), "validation_fraction": 0.0},
                        "train": {"seed": seed},
                    },
                    PREFERENCE_ALONE,
                    {"objective": dict(arm.objective)},
                ),
            )
            folder = out / f"{arm.name.replace(', ', '-').replace(' ', '-')}-{seed}"
            run = train_dpo(recipe, folder, choose=latest())
            evaluation = evaluate_world(load_model(str(run.weights)), items, seed=world_seed)
            row = ObjectiveRow(
                name=arm.name,
                seed=seed,
                settings={
                    "objective": recipe.objective.describe(),
                    "learning rate": recipe.train.learning_rate,
                },
                metrics={name: evaluation.metrics[name] for name in _METRICS},
            )
            measured.setdefault(arm.name, []).append(_Measured(row, evaluation.descriptions))
            rate, coverage = (
                row.metrics[name].value for name in ("hallucination_rate", "object_coverage")
            )
            log(f"{arm.name}, seed {seed}: {rate:.1%} hallucinate, coverage {coverage:.1%}")
    manifest = build_manifest(verb="compare objectives", seed=world_seed)
    table = RecordedObjectives(
        rows=tuple(one.row for runs in measured.values() for one in runs),
        tests=_tests(measured),
        base=model_hash(load_model(str(base_model_path())).model),
        note=(
            f"The table of objectives was recorded on {manifest.created[:10]} with this base model"
            f" ({len(seeds)} seeds, {test_scenes:,} test scenes,"
            f" {manifest.machine.get('processor', 'unknown processor')}); it is not part of this"
            " run. All arms share one learning rate, and each beta is one point of a trade-off:"
            " the table does not rank objectives."
        ),
    )
    write_json_atomically(out / "objectives.json", table.model_dump(mode="json"))
    return table


def recorded_objectives(*, base: str) -> RecordedObjectives | None:
    """The table that comes with the package, if it was made with this base model."""
    if not RECORDED.is_file():
        return None
    table = RecordedObjectives.model_validate(json.loads(RECORDED.read_text(encoding="utf-8")))
    return table if table.base == base else None


def _tests(measured: Mapping[str, Sequence[_Measured]]) -> tuple[ObjectiveTest, ...]:
    *others, ours = measured
    tests = []
    for metric in ("hallucination_rate", "object_coverage"):
        second = _by_scene(measured[ours], metric)
        for other in others:
            result = paired_permutation(_by_scene(measured[other], metric), second, seed=0)
            tests.append(ObjectiveTest(first=other, second=ours, metric=metric, result=result))
    return tuple(tests)


def _by_scene(runs: Sequence[_Measured], metric: str) -> list[float]:
    """A metric of each scene, averaged over the seeds."""

    def value(row: DescriptionRow) -> float:
        return (
            float(row.hallucinates) if metric == "hallucination_rate" else row.covered / row.objects
        )

    values = [[value(row) for row in run.descriptions] for run in runs]
    return [float(value) for value in np.mean(values, axis=0)]
