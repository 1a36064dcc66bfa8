"""Describe a run of the Fact-RLHF loop: its records → the inputs of the report."""

from collections.abc import Mapping
from typing import NamedTuple

from veridical.benchmarks.world.evaluation import WorldEvaluation
from veridical.config import load_recipe
from veridical.objectives.best_of_n import kl_bound
from veridical.records import Manifest, Metric
from veridical.records.fact_rlhf import FactRlhfResults
from veridical.report.fact_rlhf_inputs import (
    Arm,
    Dependence,
    Effort,
    FactRlhfReport,
    TrainingMeasure,
)
from veridical.report.inputs import Rerun, Stage
from veridical.studies.fact_rlhf.arms import POLICY_RECIPE
from veridical.studies.fact_rlhf.curves import RunCurve
from veridical.studies.fact_rlhf.gallery import LABELS, describe_gallery
from veridical.studies.fact_rlhf.recipe import FactRlhfRecipe
from veridical.studies.fact_rlhf.reward_models import TrainedRewardModels
from veridical.studies.fact_rlhf.reward_report import describe_reward_models
from veridical.training.ppo.config import PpoRecipe

_MEASURES = {
    "reward": ("Reward of the rollouts", ""),
    "kl_k1": ("KL from the reference", "nats per response"),
    "entropy": ("Entropy", "nats per token"),
    "length": ("Length", "tokens per response"),
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
        "Held-out comparisons keep only pairs that differ in what is wrong with them, so that an"
        " accuracy is about hallucination alone; pairs that differ only in what they leave out are"
        " not in it."
    ),
    (
        "Intervals and tests here cover the choice of scenes, for these trained policies. How much"
        " another training seed changes, the differences by seed show; with few seeds they can show"
        " little."
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

    recipe: FactRlhfRecipe
    """How large it was."""
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
    gallery = describe_gallery(run.curves)
    return FactRlhfReport(
        model="a LLaVA of 1.6 million parameters that describes drawn scenes",
        results=run.results,
        arms=_arms(run),
        warnings=tuple(warning for curve in run.curves for warning in curve.warnings()),
        warning_rule=(
            "Reward hacking is warned of where, on the held-out prompts in pairs, the proxy is"
            " higher and the judge lower than at an earlier step, each by a sign-flip test over all"
            " steps, with at most 5 % false warnings per run."
            if last
            else ""
        ),
        reward_models=describe_reward_models(
            run.rewards, run.results, run.dependence, comparisons=run.recipe.comparisons
        ),
        stages=_stages(run),
        gallery=gallery,
        gallery_note=(
            f"The first {len(gallery)} held-out descriptions, as they came: none was picked."
            " Responses are samples, as training sees them."
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
        f"{run.recipe.comparisons:,} comparisons",
        f"{run.recipe.corrections:,} corrections",
    )
    method, seeds = _method(run), run.recipe.training_seeds
    kept = "the last checkpoint" + ("" if seeds == 1 else f" of each of {seeds} seeds")

    def moved(arm: str) -> Metric | None:
        """Mean divergence of an arm's last checkpoints, with the least and largest of its seeds."""
        kl = [curve.points[-1].kl for curve in run.curves if curve.arm == arm and curve.points]
        return Metric(value=sum(kl) / len(kl), n=len(kl), low=min(kl), high=max(kl)) if kl else None

    return (
        Arm(key="sft", label="SFT", does="The base as fine-tuned, nothing learnt from people."),
        Arm(
            key="rlhf",
            label="RLHF",
            does=f"{method} against a reward model that sees picture and response.",
            learnt_from=comparisons,
            kl=moved("rlhf"),
            chosen=kept,
        ),
        Arm(
            key="fact_rlhf",
            label="Fact-RLHF",
            does=f"{method} against a reward model that also reads facts of the picture.",
            learnt_from=comparisons,
            kl=moved("fact_rlhf"),
            chosen=kept,
        ),
        Arm(
            key="best_of_n",
            label=f"Best of {run.recipe.best_of}",
            kl=_exactly(kl_bound(run.recipe.best_of)),
            does=(
                f"The base answers {run.recipe.best_of} times; the reward model without facts"
                " picks."
            ),
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


def _method(run: FactRlhfRun) -> str:
    """What the policies were trained by: the shipped recipe with the run's changes."""
    recipe = load_recipe(POLICY_RECIPE, PpoRecipe, settings=run.recipe.ppo)
    return recipe.describe()


def _exactly(value: float) -> Metric:
    return Metric(value=value, n=1, low=value, high=value)


def _stages(run: FactRlhfRun) -> tuple[Stage, ...]:
    texts = {
        "measure": "The base answers the test; an exact judge finds every fault.",
        "compare": (
            f"Simulated people compare {run.recipe.comparisons:,} pairs of its responses, less"
            " hallucination first."
        ),
        "reward": (
            "Two reward models learn from the same comparisons; one of them also reads facts."
        ),
        "ppo": f"{_method(run)} against each of them, from the same base, with the same settings.",
        "baselines": f"Dense DPO on {run.recipe.corrections:,} corrections.",
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
            judgements=run.recipe.comparisons,
            unit="comparison",
            seconds_each=run.recipe.comparison_seconds,
            how=how,
        ),
        Effort(
            label="Dense DPO",
            judgements=run.recipe.corrections,
            unit="correction",
            seconds_each=run.recipe.correction_seconds,
            how=how,
        ),
    )


def _run_label(run: FactRlhfRun, curve: RunCurve) -> str:
    return LABELS[curve.arm] + ("" if run.recipe.training_seeds == 1 else f", seed {curve.seed}")
