"""What a run of the Fact-RLHF loop says to its reader: records of the run → the inputs of the report."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from veridical.benchmarks.world.evaluation import WorldEvaluation
from veridical.files import read_bytes
from veridical.objectives.best_of_n import kl_bound
from veridical.records import Manifest, Metric
from veridical.records.fact_rlhf import FactRlhfResults
from veridical.report.fact_rlhf_inputs import (
    Arm,
    Climb,
    ClimbScene,
    ClimbStep,
    Dependence,
    Effort,
    FactRlhfReport,
    LeakCheck,
    RewardBreakdown,
    RewardModels,
    TrainingMeasure,
)
from veridical.report.inputs import Rerun, Stage
from veridical.studies.demo.report import alt_text, mark_faults, picture
from veridical.studies.fact_rlhf.arms import TrainedRewardModels, pooled_difference
from veridical.studies.fact_rlhf.curves import RunCurve
from veridical.studies.fact_rlhf.image import IMAGE_ALONE
from veridical.training.reward.train import REPORT_FILE

_GALLERY_SCENES = 6
_CLIMB_STEPS = 4
_SHOWN_COMPARISONS = 25
"""Parts of the held-out comparisons with fewer of them are not shown: their intervals say
nothing."""
_LABELS = {"rlhf": "RLHF, without facts", "fact_rlhf": "Fact-RLHF"}
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
_MEASURES = {
    "reward": ("Reward of the rollouts", ""),
    "kl_k1": ("KL from the reference", "nats a response"),
    "entropy": ("Entropy", "nats a token"),
    "length": ("Length", "tokens a response"),
}
_CAVEATS = (
    (
        "The world is drawn, the people are simulated, the judge is exact: what carries over is the"
        " code path and the comparison of methods under equal conditions, not the size of the"
        " numbers."
    ),
    (
        "Facts are complete and right here unless the recipe says otherwise; captions of real"
        " images are neither."
    ),
    (
        "How long a comparison and a correction take is assumed, since neither paper reports it;"
        " the number of corrections that dense DPO learns from follows from it."
    ),
    (
        "Best-of-n answers n times as often as the other arms, and picks by the reward model"
        " without facts, since there are no facts of new pictures."
    ),
    (
        "Learning rates and KL prices are those of the shipped recipes, the same for both policies;"
        " another price moves a policy along its curve."
    ),
)


class FactRlhfRun(NamedTuple):
    """Everything that a run left."""

    comparisons: int
    """How many comparisons."""
    corrections: int
    """How many corrections."""
    comparison_seconds: float
    """Assumed time of a comparison."""
    correction_seconds: float
    """Assumed time of a correction."""
    best_of: int
    """n of best-of-n."""
    seeds: int
    """Seeds of training."""
    arms: Mapping[str, WorldEvaluation]
    """Every arm on the test scenes."""
    rewards: list[TrainedRewardModels]
    """Reward models by seed."""
    dependence: tuple[Dependence, ...]
    """The first reward model with facts, on incomplete and on wrong ones."""
    curves: list[RunCurve]
    """PPO runs."""
    results: FactRlhfResults
    """The numbers."""
    manifest: Manifest
    """What made the run."""


def describe_fact_rlhf(run: FactRlhfRun) -> FactRlhfReport:
    """Turn a run into the inputs of its report."""
    last = [curve.points[-1] for curve in run.curves if curve.seed == 0 and curve.points]
    gallery = _gallery(run)
    return FactRlhfReport(
        model="a LLaVA of 1.6 million parameters that describes drawn scenes",
        results=run.results,
        arms=_arms(run),
        warnings=tuple(warning for curve in run.curves for warning in curve.warnings()),
        warning_rule=(
            "Reward hacking is warned of where, on the held-out prompts in pairs, the proxy is"
            " higher and the judge lower than at an earlier step, each by a sign-flip test over all"
            " steps, with at most 5 % false warnings a run."
            if last
            else ""
        ),
        reward_models=_reward_models(run),
        stages=_stages(run),
        gallery=gallery,
        gallery_note=(
            f"The first {len(gallery)} held-out descriptions, as they came: none was picked."
            " Responses are samples, as PPO sees them."
        ),
        training=tuple(
            TrainingMeasure(
                label=label,
                unit=unit,
                lines={
                    _run_label(run, curve): curve.series(name)
                    for curve in run.curves
                    if curve.series(name)
                },
            )
            for name, (label, unit) in _MEASURES.items()
            if any(curve.series(name) for curve in run.curves)
        ),
        effort=_effort(run),
        effort_note=(
            "Both kinds of feedback are counted in a person's time; RLHF and Fact-RLHF share the"
            " comparisons. Writing down facts is not counted: LLaVA-RLHF took captions that"
            " existed."
        ),
        caveats=_CAVEATS,
        rerun=Rerun(
            commands=(
                "veridical demo --system llava-rlhf --out DIR",
                (
                    "veridical train reward reward-world data.comparisons=DIR/comparisons/train"
                    " --out REWARD"
                ),
                (
                    "veridical train ppo ppo-world data.prompts=DIR/prompts/train/prompts.jsonl"
                    " data.facts=DIR/prompts/train/facts.jsonl reward_model=REWARD/reward_model"
                    " --out PPO"
                ),
            ),
            created=run.manifest.created,
            git_commit=run.manifest.git_commit,
            machine=run.manifest.machine,
            hashes=run.manifest.inputs,
        ),
    )


def _arms(run: FactRlhfRun) -> tuple[Arm, ...]:
    comparisons, corrections = (
        f"{run.comparisons:,} comparisons",
        f"{run.corrections:,} corrections",
    )
    kept = "the last checkpoint" + ("" if run.seeds == 1 else f" of each of {run.seeds} seeds")

    def moved(arm: str) -> Metric | None:
        """Mean divergence of an arm's last checkpoints; from the least to the largest of its seeds."""
        kl = [curve.points[-1].kl for curve in run.curves if curve.arm == arm and curve.points]
        return Metric(value=sum(kl) / len(kl), n=len(kl), low=min(kl), high=max(kl)) if kl else None

    return (
        Arm(key="sft", label="SFT", does="The base as fine-tuned, nothing learnt from people."),
        Arm(
            key="rlhf",
            label="RLHF",
            does="PPO against a reward model that sees picture and response.",
            learnt_from=comparisons,
            kl=moved("rlhf"),
            chosen=kept,
        ),
        Arm(
            key="fact_rlhf",
            label="Fact-RLHF",
            does="PPO against a reward model that also reads facts of the picture.",
            learnt_from=comparisons,
            kl=moved("fact_rlhf"),
            chosen=kept,
        ),
        Arm(
            key="best_of_n",
            label=f"Best of {run.best_of}",
            kl=_exactly(kl_bound(run.best_of)),
            does=f"The base answers {run.best_of} times; the reward model without facts picks.",
            learnt_from=comparisons,
        ),
        Arm(
            key="dense_dpo",
            label="Dense DPO",
            does="Dense DPO (RLHF-V) on corrected segments, the same human effort.",
            learnt_from=corrections,
            chosen="the last checkpoint",
        ),
    )


def _exactly(value: float) -> Metric:
    return Metric(value=value, n=1, low=value, high=value)


def _reward_models(run: FactRlhfRun) -> RewardModels:
    models = run.rewards[0]
    without, with_facts = (json.loads(read_bytes(one.run_dir / REPORT_FILE)) for one in models)
    rows = [
        RewardBreakdown(
            name=f"seed {seed}",
            without_facts=table["without_facts"]["accuracy"],
            with_facts=table["with_facts"]["accuracy"],
        )
        for seed, table in enumerate(one.metrics() for one in run.rewards)
        if len(run.rewards) > 1
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
        difference=pooled_difference(run.rewards),
        image_alone=run.results.reward_model["image_alone"]["accuracy"],
        image_alone_note=IMAGE_ALONE,
        comparisons=run.comparisons,
        source="simulated",
        breakdown=tuple(rows),
        leaks=leaks,
        leak_note=_leak_note(with_facts["leak_check"]),
        dependence=run.dependence,
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


def _stages(run: FactRlhfRun) -> tuple[Stage, ...]:
    texts = {
        "measure": "The base answers the test; an exact judge finds every fault.",
        "compare": (
            f"Simulated people compare {run.comparisons:,} pairs of its responses, less"
            " hallucination first."
        ),
        "reward": (
            "Two reward models learn from the same comparisons, one with facts beside the response."
        ),
        "ppo": "PPO against each of them, from the same base, with the same settings.",
        "baselines": f"Dense DPO on {run.corrections:,} corrections.",
        "measure again": "Every arm on the same scenes, best-of-n among them, with paired tests.",
    }
    seconds = run.results.seconds
    return tuple(
        Stage(name=name.capitalize(), does=text, seconds=seconds[name])
        for name, text in texts.items()
        if name in seconds
    )


def _effort(run: FactRlhfRun) -> tuple[Effort, ...]:
    how = "assumed; neither paper reports it"
    return (
        Effort(
            label="RLHF, Fact-RLHF, best-of-n",
            judgements=run.comparisons,
            unit="comparison",
            seconds_each=run.comparison_seconds,
            how=how,
        ),
        Effort(
            label="Dense DPO",
            judgements=run.corrections,
            unit="correction",
            seconds_each=run.correction_seconds,
            how=how,
        ),
    )


def _gallery(run: FactRlhfRun) -> tuple[ClimbScene, ...]:
    shown = [curve for curve in run.curves if curve.seed == 0 and curve.points]
    if not shown:
        return ()
    asked = {one.prompt.id: one for one in shown[0].asked if one.question is None}
    scenes: list[ClimbScene] = []
    for number, prompt in enumerate(shown[0].points[0].prompts):
        if prompt.id not in asked or len(scenes) == _GALLERY_SCENES:
            continue
        scene = asked[prompt.id].scene
        scenes.append(
            ClimbScene(
                scene_id=scene.id,
                context=scene.context,
                image=picture(scene),
                alt=alt_text(scene),
                question=asked[prompt.id].prompt.question,
                climbs=tuple(
                    Climb(label=_LABELS[curve.arm], steps=tuple(_climb(curve, number, scene)))
                    for curve in shown
                ),
            )
        )
    return tuple(scenes)


def _climb(curve: RunCurve, number: int, scene: Any) -> list[ClimbStep]:
    count = len(curve.points)
    picked = sorted(
        {round(place * (count - 1) / max(1, _CLIMB_STEPS - 1)) for place in range(_CLIMB_STEPS)}
    )
    return [
        ClimbStep(
            step=curve.points[place].step,
            kl=curve.points[place].kl,
            response=mark_faults(scene, curve.points[place].prompts[number].response),
            proxy=curve.points[place].prompts[number].proxy,
            judge=curve.points[place].prompts[number].judge,
        )
        for place in picked
        if place < count
    ]


def _run_label(run: FactRlhfRun, curve: RunCurve) -> str:
    return _LABELS[curve.arm] + ("" if run.seeds == 1 else f", seed {curve.seed}")
