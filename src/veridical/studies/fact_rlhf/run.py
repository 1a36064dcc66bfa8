"""The whole LLaVA-RLHF loop on the embedded world: comparisons → reward models → PPO → measure → report.

Arms, all from one base and measured on the same unseen scenes: the base as fine-tuned (SFT), RLHF
(a reward model that sees no facts), Fact-RLHF (one that reads them; arXiv 2309.14525), best-of-n
from the reward model without facts, and dense DPO (RLHF-V) on corrections that cost people as much
time as the comparisons did.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from veridical.benchmarks.world.evaluation import WorldEvaluation, pool_evaluations
from veridical.benchmarks.world.items import WorldItem, build_world_benchmark
from veridical.config import Recipe, write_recipe
from veridical.errors import ConfigError
from veridical.evaluation.world import evaluate_world
from veridical.files import write_json_atomically
from veridical.models.hashing import model_hash
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.progress import log
from veridical.records import Metric
from veridical.records.fact_rlhf import FactRlhfResults, write_fact_rlhf_results
from veridical.records.manifests import build_manifest, library_versions
from veridical.report.fact_rlhf import write_fact_rlhf_report
from veridical.studies.collection import collect_corrections
from veridical.studies.comparisons import collect_comparisons
from veridical.studies.fact_rlhf.arms import (
    TrainedRewardModels,
    facts_dependence,
    pooled_accuracy,
    test_arms,
    train_dense_dpo,
    train_policy,
    train_reward_models,
)
from veridical.studies.fact_rlhf.best_of_n import best_of_n, best_of_n_curve
from veridical.studies.fact_rlhf.curves import RunCurve, read_curve
from veridical.studies.fact_rlhf.distance import compare_at_equal_distance
from veridical.studies.fact_rlhf.image import accuracy_of_the_image
from veridical.studies.fact_rlhf.report import FactRlhfRun, describe_fact_rlhf
from veridical.studies.world_prompts import AskedScene, ExactJudge, QuestionMix, write_world_prompts
from veridical.training.run.frame import RunResult
from veridical.world.base import WORLD_MODEL
from veridical.world.known_facts import FactsModel
from veridical.world.people import PersonModel
from veridical.world.scenes import IMAGE_PIXELS

POLICIES = {"rlhf": False, "fact_rlhf": True}
"""Arms that are trained by PPO, and whether their reward model reads facts."""


class FactRlhfRecipe(Recipe):
    """How large the loop is. Scenes of test, validation and training are never the same."""

    base: str = WORLD_MODEL
    """The model that is aligned: "world", or the folder of another one made by `veridical world
    pretrain`."""
    seed: int = Field(default=0, ge=0)
    """Root seed of scenes, samples and people."""
    training_seeds: int = Field(default=1, ge=1)
    """How often reward models and policies are trained, each time from another seed; results are
    pooled."""
    pixels: int = Field(default=32, ge=8, le=IMAGE_PIXELS)
    """Resolution of all pictures, pixels a side. At 120 the base sees nearly everything, and a
    reward model judges as well by its own eyes as with facts; at 32 it sees about as badly as real
    models do, which is what facts are for."""
    comparisons: int = Field(default=6000, ge=64)
    """Comparisons to learn from. LLaVA-RLHF: 9,422."""
    held_out_comparisons: int = Field(default=1000, ge=32)
    """Comparisons by people who never err, on which reward models are measured."""
    dependence_comparisons: int = Field(default=500, ge=16)
    """How many of them are scored again with facts that are incomplete or wrong."""
    comparison_seconds: float = Field(default=30.0, gt=0)
    """Time that one comparison is taken to cost a person. Assumed; neither paper reports it."""
    correction_seconds: float = Field(default=60.0, gt=0)
    """Time that one correction is taken to cost. Assumed; it sets how many corrections the same
    effort buys."""
    prompts: int = Field(default=3072, ge=16)
    """Prompts that PPO answers. LLaVA-RLHF: 72,000."""
    curve_prompts: int = Field(default=256, ge=8)
    """Held-out prompts on which proxy reward and judge are followed."""
    test_scenes: int = Field(default=1000, ge=20)
    """Unseen scenes that every arm describes."""
    probe_scenes: int = Field(default=250, ge=5)
    """How many of them are probed with yes/no questions, four each."""
    questions_per_type: int = Field(default=48, ge=1)
    """MMHal-style questions of each of the eight types."""
    best_of: int = Field(default=8, ge=2)
    """n of best-of-n."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of the responses that people see."""
    person: PersonModel = Field(default_factory=PersonModel)
    """The simulated people: how often they prefer the wrong response."""
    facts: FactsModel = Field(default_factory=FactsModel)
    """What is known of the scenes that reward models are trained and used on."""
    questions: QuestionMix = Field(default_factory=QuestionMix)
    """What people compare answers to, and what PPO asks."""
    reward: dict[str, Any] = Field(default_factory=dict)
    """Settings that win over the recipe `reward-world`, by section: `reward.train.epochs=2`."""
    ppo: dict[str, Any] = Field(default_factory=dict)
    """Settings that win over the recipe `ppo-world`, by section: `ppo.train.iterations=6`."""
    dpo: dict[str, Any] = Field(default_factory=dict)
    """Settings that win over the recipe `dpo-world`, by section."""

    @property
    def corrections(self) -> int:
        """Corrections that cost people as much time as the comparisons."""
        return max(32, round(self.comparisons * self.comparison_seconds / self.correction_seconds))


QUICK_FACT_RLHF = FactRlhfRecipe(
    comparisons=1200,
    held_out_comparisons=200,
    prompts=768,
    curve_prompts=64,
    test_scenes=200,
    probe_scenes=50,
    questions_per_type=12,
    best_of=4,
    ppo={"train": {"iterations": 6, "evaluation_iterations": 2}},
)
"""The same loop in a fraction of the time, with wider intervals."""


class _Loop(NamedTuple):
    """What the stages share."""

    recipe: FactRlhfRecipe
    out: Path
    base: VisionLanguageModel
    items: list[WorldItem]
    seconds: dict[str, float]

    def evaluate(self, vlm: VisionLanguageModel, name: str) -> WorldEvaluation:
        """Measure a model on the test scenes."""
        label = f"{name} answers"
        return evaluate_world(
            vlm, self.items, seed=self.recipe.seed, label=label, out=self.out / "tests" / name
        )

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        """Announce and time a stage."""
        log(title)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def run_fact_rlhf(recipe: FactRlhfRecipe, out: Path) -> FactRlhfResults:
    """Run the loop.

    Args:
        recipe: How large.
        out: Folder for every stage's records, `report.html` and `results.json`; an earlier run
            there is replaced.

    Raises:
        ConfigError: `out` holds something that is no such run.
    """
    _clear(out)
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
    loop = _Loop(recipe, out, base, items, {})
    arms: dict[str, WorldEvaluation] = {}
    with loop.stage("measure", "1 of 6 · measure: the base as fine-tuned describes unseen scenes"):
        arms["sft"] = loop.evaluate(base, "sft")
    with loop.stage(
        "compare", "2 of 6 · compare: simulated people say which of two responses hallucinates less"
    ):
        _collect(loop)
    with loop.stage("reward", "3 of 6 · reward models, without facts and with them"):
        rewards = [
            train_reward_models(recipe.reward, out, base=base.name, seed=seed)
            for seed in range(recipe.training_seeds)
        ]
        dependence = facts_dependence(
            rewards[0].with_facts.weights,
            out / "comparisons" / "held_out",
            seed=recipe.seed,
            comparisons=recipe.dependence_comparisons,
        )
        image_alone = accuracy_of_the_image(
            base, out / "comparisons" / "held_out", seed=recipe.seed, pixels=recipe.pixels
        )
    with loop.stage("ppo", "4 of 6 · PPO against each reward model"):
        policies, curves, held_out = _train_policies(loop, rewards)
    with loop.stage(
        "baselines", "5 of 6 · best-of-n, and dense DPO on corrections of the same human effort"
    ):
        dpo = _train_dense_dpo(loop)
    with loop.stage("measure again", "6 of 6 · measure again: every arm on the same scenes"):
        for arm, runs in policies.items():
            arms[arm] = pool_evaluations(
                [loop.evaluate(load_policy(run), f"{arm}-{seed}") for seed, run in enumerate(runs)],
                seed=recipe.seed,
            )
        arms["best_of_n"] = best_of_n(
            base,
            items,
            rewards[0].without_facts.weights,
            n=recipe.best_of,
            temperature=recipe.temperature,
            seed=recipe.seed,
            out=out / "tests" / "best_of_n",
        )
        best_of_n_points = best_of_n_curve(
            base,
            held_out,
            rewards[0].without_facts.weights,
            ExactJudge(held_out),
            n=recipe.best_of,
            temperature=recipe.temperature,
            seed=recipe.seed,
        )
        arms["dense_dpo"] = loop.evaluate(load_model(str(dpo.weights)), "dense_dpo")
        tests = test_arms(arms, seed=recipe.seed)
    manifest = build_manifest(
        verb="demo --system llava-rlhf",
        seed=recipe.seed,
        recipe=recipe,
        inputs={"base model": model_hash(base.model)},
        seconds=loop.seconds,
    )
    results = FactRlhfResults(
        arms={name: dict(one.metrics) for name, one in arms.items()},
        tests=tests,
        reward_model=pooled_accuracy(rewards) | {"image_alone": {"accuracy": image_alone}},
        curves=(*(point for curve in curves for point in curve.measurements()), *best_of_n_points),
        equal_distance=compare_at_equal_distance(
            curves, first="rlhf", second="fact_rlhf", seed=recipe.seed
        ),
        seconds={name: round(value, 2) for name, value in loop.seconds.items()},
        seed=recipe.seed,
        versions=library_versions(),
    )
    write_fact_rlhf_results(out / "results.json", results)
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    run = FactRlhfRun(
        comparisons=recipe.comparisons,
        corrections=recipe.corrections,
        comparison_seconds=recipe.comparison_seconds,
        correction_seconds=recipe.correction_seconds,
        best_of=recipe.best_of,
        seeds=recipe.training_seeds,
        arms=arms,
        rewards=rewards,
        dependence=dependence,
        curves=curves,
        results=results,
        manifest=manifest,
    )
    write_fact_rlhf_report(describe_fact_rlhf(run), out / "report.html")
    for name, one in arms.items():
        _tell(name, one.metrics)
    log(
        f"{sum(loop.seconds.values()):.0f} s in all. Numbers: {out / 'results.json'}. Report:"
        f" {out / 'report.html'}"
    )
    return results


def load_policy(run: RunResult) -> VisionLanguageModel:
    """Load what PPO trained: an adapter on its base, or a whole model."""
    if (run.weights / "adapter_config.json").is_file():
        return load_model(run.base, adapter=str(run.weights))
    return load_model(str(run.weights))


def _collect(loop: _Loop) -> None:
    recipe, out = loop.recipe, loop.out
    exact = recipe.person.model_copy(update={"name": "exact", "comparison_error": 0.0})
    parts = (
        ("train", recipe.comparisons, "compare", recipe.person),
        ("held_out", recipe.held_out_comparisons, "compare-held-out", exact),
    )
    for name, count, split, person in parts:
        collect_comparisons(
            loop.base,
            out / "comparisons" / name,
            count=count,
            split=split,
            seed=recipe.seed,
            temperature=recipe.temperature,
            person=person,
            facts=recipe.facts,
            questions=recipe.questions,
            pairs="any" if name == "train" else "differing_faults",
            pixels=recipe.pixels,
        )


def _train_policies(
    loop: _Loop, rewards: list[TrainedRewardModels]
) -> tuple[dict[str, list[RunResult]], list[RunCurve], list[AskedScene]]:
    """Train a policy against each reward model; policies by arm, their curves, and the prompts that those are of."""
    recipe, folder = loop.recipe, loop.out / "prompts"
    write_world_prompts(
        folder / "train",
        count=recipe.prompts,
        split="ppo",
        seed=recipe.seed,
        mix=recipe.questions,
        facts=recipe.facts,
        pixels=recipe.pixels,
    )
    held_out = write_world_prompts(
        folder / "held_out",
        count=recipe.curve_prompts,
        split="ppo-held-out",
        seed=recipe.seed,
        mix=recipe.questions,
        facts=recipe.facts,
        pixels=recipe.pixels,
    )
    judge = ExactJudge(held_out)
    policies: dict[str, list[RunResult]] = {arm: [] for arm in POLICIES}
    curves: list[RunCurve] = []
    for seed, models in enumerate(rewards):
        for arm, reads_facts in POLICIES.items():
            log(f"PPO: {arm}, seed {seed}")
            run = train_policy(
                recipe.ppo,
                loop.out / arm / f"seed-{seed}",
                base=loop.base.name,
                prompts=folder,
                judge=judge,
                seed=seed,
                reward_model=(models.with_facts if reads_facts else models.without_facts).weights,
                reads_facts=reads_facts,
            )
            policies[arm].append(run)
            curves.append(read_curve(run.run_dir, arm=arm, seed=seed, asked=held_out))
    return policies, curves, held_out


def _train_dense_dpo(loop: _Loop) -> RunResult:
    recipe = loop.recipe
    collected = collect_corrections(
        loop.base,
        loop.out / "corrections",
        count=recipe.corrections,
        split="train",
        seed=recipe.seed,
        temperature=recipe.temperature,
        person=recipe.person,
        pixels=recipe.pixels,
    )
    return train_dense_dpo(
        recipe.dpo,
        loop.out / "dense_dpo",
        base=loop.base.name,
        corrections=collected.path,
        seed=recipe.seed,
    )


def _tell(name: str, metrics: dict[str, Metric]) -> None:
    rate, coverage, score = (
        metrics[key] for key in ("hallucination_rate", "object_coverage", "mmhal_score")
    )
    log(
        f"{name}: {rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}] of descriptions hallucinate,"
        f" coverage {coverage.value:.1%}, MMHal-style {score.value:.2f}"
    )


def _clear(out: Path) -> None:
    """Make room for a run; nothing but an earlier one is ever removed."""
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / "recipe.toml").is_file() or not (out / "comparisons").is_dir():
        raise ConfigError(
            f"`{out}` is not empty and holds no earlier run. Give another folder with --out."
        )
    shutil.rmtree(out)
