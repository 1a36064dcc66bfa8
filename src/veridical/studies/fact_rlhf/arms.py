"""The trained arms of the Fact-RLHF loop, each by its usual recipe, and tests between all arms."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from veridical.benchmarks.world.evaluation import WorldEvaluation, compare_world, pool_evaluations
from veridical.config import Settings, load_recipe, merge_settings
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.records import Facts, read_records, write_records
from veridical.records.fact_rlhf import ArmTest
from veridical.records.folders import FACTS_FILE, PROMPTS_FILE
from veridical.rewards.protocol import RewardFunction
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.train import train_ppo
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.training.run.choice import latest
from veridical.training.run.frame import RunResult

POLICY_RECIPE = "ppo-world"
"""The shipped recipe that the policies are trained by."""

COMPARED_METRICS = (
    "hallucination_rate",
    "object_coverage",
    "mean_length",
    "yes_no_f1",
    "mmhal_score",
    "relative_score",
)
"""Metrics on which arms are tested against each other."""


def train_policy(
    changes: Settings,
    run_dir: Path,
    *,
    base: str,
    prompts: Path,
    judge: RewardFunction,
    seed: int,
    reward_model: Path,
    reads_facts: bool,
) -> RunResult:
    """Train a policy against a reward model (`veridical train ppo`), its last checkpoint kept.

    Args:
        changes: Settings that override the recipe `ppo-world`.
        run_dir: Its run directory.
        base: The model that it starts from.
        prompts: Folder with `train` and `held_out` prompts.
        judge: Rates responses to the held-out prompts.
        seed: Seed of training.
        reward_model: Folder of the reward model.
        reads_facts: Whether it reads facts.
    """
    settings = {
        "model": {"base": base},
        "data": {
            "prompts": str(prompts / "train" / PROMPTS_FILE),
            "held_out": str(prompts / "held_out" / PROMPTS_FILE),
            "held_out_fraction": 0.0,
        },
        "reward_model": str(reward_model),
        "train": {"seed": seed},
    }
    facts = {"data": {"facts": str(_join_facts(prompts, run_dir))}} if reads_facts else {}
    recipe = load_recipe(
        POLICY_RECIPE, PpoRecipe, settings=merge_settings(settings, facts, changes)
    )
    return train_ppo(recipe, run_dir, judge=judge, choose=latest())


def load_policy(run: RunResult) -> VisionLanguageModel:
    """Load what PPO trained: an adapter on its base, or a whole model."""
    if (run.weights / "adapter_config.json").is_file():
        return load_model(run.base, adapter=str(run.weights))
    return load_model(str(run.weights))


def _join_facts(prompts: Path, run_dir: Path) -> Path:
    """Put the facts of training and held-out prompts into one file next to a run directory."""
    facts = [
        one
        for part in ("train", "held_out")
        for one in read_records(prompts / part / FACTS_FILE, Facts)
    ]
    return write_records(run_dir.parent / f"{run_dir.name}-facts.jsonl", facts, kind="Facts")


def train_dense_dpo(
    changes: Settings, run_dir: Path, *, base: str, corrections: Path, seed: int
) -> RunResult:
    """Train by dense DPO on corrections and keep the last checkpoint, as the other arms do."""
    settings = {
        "model": {"base": base},
        "data": {"corrections": str(corrections), "validation_fraction": 0.0},
        "train": {"seed": seed},
    }
    recipe = load_recipe("dpo-world", PreferenceRecipe, settings=merge_settings(settings, changes))
    return train_dpo(recipe, run_dir, choose=latest())


def test_arms(arms: Mapping[str, WorldEvaluation], *, seed: int) -> tuple[ArmTest, ...]:
    """Test every two arms on the same scenes; a pooled arm is paired seed by seed."""
    tests = []
    for first, second in combinations(arms, 2):
        runs = [len(arms[name].descriptions) for name in (first, second)]
        repeated = [
            pool_evaluations([arms[name]] * (max(runs) // own), seed=seed)
            for name, own in zip((first, second), runs, strict=True)
        ]
        found = compare_world(*repeated, seed=seed, metrics=COMPARED_METRICS)
        tests += [
            ArmTest(first=first, second=second, metric=m, result=found[m]) for m in COMPARED_METRICS
        ]
    return tuple(tests)
