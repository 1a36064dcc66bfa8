"""The LLaVA-RLHF loop on the embedded world: comparisons → rewards → PPO → measure → report.

Arms, all from one base and measured on the same unseen scenes: the base as fine-tuned (SFT), RLHF
(a reward model that sees no facts), Fact-RLHF (one that reads them; arXiv 2309.14525), best-of-n
from the reward model without facts, and dense DPO (RLHF-V) on corrections that cost people as much
time as the comparisons did.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.world.evaluation import WorldEvaluation, pool_evaluations
from veridical.benchmarks.world.items import build_world_benchmark
from veridical.config import write_recipe
from veridical.files import write_json_atomically
from veridical.models.hashing import model_hash
from veridical.models.loading import load_model
from veridical.progress import log
from veridical.records import Metric
from veridical.records.fact_rlhf import CurveMeasurement, FactRlhfResults, write_fact_rlhf_results
from veridical.records.manifests import build_manifest, library_versions
from veridical.report.fact_rlhf import write_fact_rlhf_report
from veridical.report.fact_rlhf_inputs import Dependence
from veridical.studies.collection import Collected, collect_corrections
from veridical.studies.fact_rlhf.arms import (
    load_policy,
    test_arms,
    train_dense_dpo,
    train_policy,
)
from veridical.studies.fact_rlhf.best_of_n import Sampling, best_of_n, best_of_n_curve
from veridical.studies.fact_rlhf.curves import RunCurve, read_curve
from veridical.studies.fact_rlhf.distance import compare_at_equal_distance
from veridical.studies.fact_rlhf.evidence import accuracy_of_the_image, facts_dependence
from veridical.studies.fact_rlhf.loop import Loop, collect_all_comparisons, write_prompts
from veridical.studies.fact_rlhf.recipe import FactRlhfRecipe
from veridical.studies.fact_rlhf.report import FactRlhfRun, describe_fact_rlhf
from veridical.studies.fact_rlhf.reward_models import (
    TrainedRewardModels,
    pooled_accuracy,
    train_reward_models,
)
from veridical.studies.image_free import compare_with_image_free
from veridical.studies.stages import Stages, claim_folder
from veridical.studies.world_prompts import AskedScene, ExactJudge
from veridical.training.run.frame import RunResult

POLICIES = {"rlhf": False, "fact_rlhf": True}
"""Arms that are trained by PPO, and whether their reward model reads facts."""


class _Rewards(NamedTuple):
    """What the reward stage leaves."""

    models: list[TrainedRewardModels]
    """By seed."""
    dependence: tuple[Dependence, ...]
    image_alone: Metric


class _Policies(NamedTuple):
    """What the PPO stage leaves."""

    runs: dict[str, list[RunResult]]
    """By arm, then by seed."""
    curves: list[RunCurve]
    held_out: list[AskedScene]
    """The prompts that the curves were measured on."""


def run_fact_rlhf(recipe: FactRlhfRecipe, out: Path) -> FactRlhfResults:
    """Run the loop.

    Args:
        recipe: How large.
        out: Folder for every stage's records, `report.html` and `results.json`; an earlier run
            there is replaced.

    Raises:
        ConfigError: `out` holds something other than an earlier run.
    """
    claim_folder(out, holds=["recipe.toml", "comparisons"], what="run")
    write_recipe(recipe, out / "recipe.toml")
    base = load_model(recipe.base)
    items = build_world_benchmark(
        recipe.seed,
        "test",
        n_scenes=recipe.test_scenes,
        n_probe_scenes=recipe.probe_scenes,
        n_per_type=recipe.questions_per_type,
        pixels=recipe.pixels,
    )
    loop, stages = Loop(recipe, out, base, items), Stages()
    with stages.stage(
        "measure", "1 of 6 · measure: the base as fine-tuned describes unseen scenes"
    ):
        start = loop.evaluate(base, "sft")
    with stages.stage(
        "compare", "2 of 6 · compare: simulated people say which of two responses hallucinates less"
    ):
        collect_all_comparisons(loop)
    with stages.stage("reward", "3 of 6 · reward models, without facts and with them"):
        rewards = _train_rewards(loop)
    with stages.stage("ppo", "4 of 6 · PPO against each reward model"):
        policies = _train_policies(loop, rewards.models)
    with stages.stage(
        "baselines", "5 of 6 · best-of-n, and dense DPO on corrections of the same human effort"
    ):
        collected = _collect_corrections(loop)
        dpo = _train_dense_dpo(loop, collected)
    with stages.stage("measure again", "6 of 6 · measure again: every arm on the same scenes"):
        measured = _measure_policies(loop, policies)
        pooled = {arm: pool_evaluations(runs, seed=recipe.seed) for arm, runs in measured.items()}
        arms = {"sft": start, **pooled}
        arms["best_of_n"], best_of_n_points = _measure_best_of_n(loop, rewards, policies.held_out)
        arms["dense_dpo"] = loop.evaluate(load_model(str(dpo.weights)), "dense_dpo")
        tests = test_arms(arms, seed=recipe.seed)
        image_free = compare_with_image_free(
            start, measured["fact_rlhf"], collected.corrections, seed=recipe.seed
        )
    manifest = build_manifest(
        verb="demo --system llava-rlhf",
        seed=recipe.seed,
        recipe=recipe,
        inputs={"base model": model_hash(base.model)},
        seconds=stages.seconds,
    )
    curves = policies.curves
    results = FactRlhfResults(
        arms={name: dict(one.metrics) for name, one in arms.items()},
        tests=tests,
        reward_model=pooled_accuracy(rewards.models)
        | {"image_alone": {"accuracy": rewards.image_alone}},
        curves=(*(point for curve in curves for point in curve.measurements()), *best_of_n_points),
        equal_distance=compare_at_equal_distance(
            curves, first="rlhf", second="fact_rlhf", seed=recipe.seed
        ),
        image_free=tuple(image_free),
        seconds=stages.rounded(),
        seed=recipe.seed,
        versions=library_versions(),
    )
    write_fact_rlhf_results(out / "results.json", results)
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    run = FactRlhfRun(
        recipe=recipe,
        arms=arms,
        rewards=rewards.models,
        dependence=rewards.dependence,
        curves=curves,
        results=results,
        manifest=manifest,
    )
    write_fact_rlhf_report(describe_fact_rlhf(run), out / "report.html")
    for name, one in arms.items():
        _log_rates(name, one.metrics)
    log(
        f"{sum(stages.seconds.values()):.0f} s in all. Numbers: {out / 'results.json'}. Report:"
        f" {out / 'report.html'}"
    )
    return results


def _train_rewards(loop: Loop) -> _Rewards:
    """Train reward models with each seed, and ask what facts and picture are worth to the first."""
    recipe = loop.recipe
    models = [
        train_reward_models(recipe.reward, loop.out, base=loop.base.name, seed=seed)
        for seed in range(recipe.training_seeds)
    ]
    dependence = facts_dependence(
        models[0].with_facts.weights,
        loop.held_out,
        seed=recipe.seed,
        comparisons=recipe.dependence_comparisons,
    )
    image_alone = accuracy_of_the_image(
        loop.base, loop.held_out, seed=recipe.seed, pixels=recipe.pixels
    )
    return _Rewards(models, dependence, image_alone)


def _train_policies(loop: Loop, rewards: Sequence[TrainedRewardModels]) -> _Policies:
    """Train a policy against each reward model, and follow it on held-out prompts."""
    folder = loop.out / "prompts"
    write_prompts(loop, folder / "train", split="ppo", count=loop.recipe.prompts)
    held_out = write_prompts(
        loop, folder / "held_out", split="ppo-held-out", count=loop.recipe.curve_prompts
    )
    judge = ExactJudge(held_out)
    policies = _Policies({arm: [] for arm in POLICIES}, [], held_out)
    for seed, models in enumerate(rewards):
        for arm, reads_facts in POLICIES.items():
            log(f"PPO: {arm}, seed {seed}")
            run = train_policy(
                loop.recipe.ppo,
                loop.out / arm / f"seed-{seed}",
                base=loop.base.name,
                prompts=folder,
                judge=judge,
                seed=seed,
                reward_model=(models.with_facts if reads_facts else models.without_facts).weights,
                reads_facts=reads_facts,
            )
            policies.runs[arm].append(run)
            policies.curves.append(read_curve(run.run_dir, arm=arm, seed=seed, asked=held_out))
    return policies


def _measure_policies(loop: Loop, policies: _Policies) -> dict[str, list[WorldEvaluation]]:
    """Measure the policies on the test scenes, by arm and seed."""
    return {
        arm: [loop.evaluate(load_policy(run), f"{arm}-{seed}") for seed, run in enumerate(runs)]
        for arm, runs in policies.runs.items()
    }


def _measure_best_of_n(
    loop: Loop, rewards: _Rewards, held_out: Sequence[AskedScene]
) -> tuple[WorldEvaluation, tuple[CurveMeasurement, ...]]:
    """Best-of-n by the first reward model without facts: on the test scenes, and its curve."""
    sampling = Sampling(
        loop.base,
        rewards.models[0].without_facts.weights,
        n=loop.recipe.best_of,
        temperature=loop.recipe.temperature,
        seed=loop.recipe.seed,
    )
    measured = best_of_n(sampling, loop.items, out=loop.out / "tests" / "best_of_n")
    return measured, best_of_n_curve(sampling, held_out, ExactJudge(held_out))


def _collect_corrections(loop: Loop) -> Collected:
    recipe = loop.recipe
    return collect_corrections(
        loop.base,
        loop.out / "corrections",
        count=recipe.corrections,
        split="train",
        seed=recipe.seed,
        temperature=recipe.temperature,
        person=recipe.person,
        pixels=recipe.pixels,
    )


def _train_dense_dpo(loop: Loop, collected: Collected) -> RunResult:
    recipe = loop.recipe
    return train_dense_dpo(
        recipe.dpo,
        loop.out / "dense_dpo",
        base=loop.base.name,
        corrections=collected.path,
        seed=recipe.seed,
    )


def _log_rates(name: str, metrics: dict[str, Metric]) -> None:
    rate, coverage, score = (
        metrics[key] for key in ("hallucination_rate", "object_coverage", "mmhal_score")
    )
    log(
        f"{name}: {rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}] of descriptions hallucinate,"
        f" coverage {coverage.value:.1%}, MMHal-style {score.value:.2f}"
    )
