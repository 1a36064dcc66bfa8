"""The arms of the Fact-RLHF loop: reward models, policies and dense DPO, each by its usual recipe."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.world.evaluation import WorldEvaluation, compare_world, pool_evaluations
from veridical.config import Settings, load_recipe, merge_settings
from veridical.evaluation.reward_model import HeldOutRow, read_held_out, report_rewards
from veridical.feedback.comparisons import read_compared_pairs
from veridical.models.features import FeatureCache
from veridical.records import Difference, Facts, Metric, read_records, write_records
from veridical.records.fact_rlhf import ArmTest
from veridical.records.folders import FACTS_FILE, PROMPTS_FILE
from veridical.report.fact_rlhf_inputs import Dependence
from veridical.rewards.model import RewardModel
from veridical.rewards.protocol import RewardFunction
from veridical.rewards.queries import RewardQuery
from veridical.statistics import clustered_bootstrap, mcnemar, paired_permutation, wilson
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.train import train_ppo
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.train import HELD_OUT_FILE, train_reward_model
from veridical.training.run.choice import latest
from veridical.training.run.frame import RunResult
from veridical.world.known_facts import FactsModel, known_facts
from veridical.world.scenes import Scene

COMPARED_METRICS = (
    "hallucination_rate",
    "object_coverage",
    "mean_length",
    "yes_no_f1",
    "mmhal_score",
    "relative_score",
)
"""Metrics on which arms are tested against each other."""
_SHARES = (0.0, 0.25, 0.5, 1.0)


class TrainedRewardModels(NamedTuple):
    """The two reward models of a seed, trained on the same comparisons."""

    without_facts: RunResult
    """It sees no facts: plain RLHF."""
    with_facts: RunResult
    """It reads them: Fact-RLHF."""

    def rows(self) -> tuple[list[HeldOutRow], list[HeldOutRow]]:
        """Held-out comparisons with the rewards of either."""
        first, second = (read_held_out(run.run_dir / HELD_OUT_FILE) for run in self)
        return first, second

    def metrics(self) -> dict[str, dict[str, Metric]]:
        """Accuracy of either on the held-out comparisons, and with facts or image taken away."""
        found = {}
        for name, rows in zip(self._fields, self.rows(), strict=True):
            report = report_rewards(rows)
            leaks = {
                f"accuracy/{condition}": Metric.model_validate(one["accuracy"])
                for condition, one in report.text["leak_check"].items()
                if condition != "intact"
            }
            found[name] = {"accuracy": report.accuracy, **leaks}
        return found


def pooled_accuracy(models: Sequence[TrainedRewardModels]) -> dict[str, dict[str, Metric]]:
    """Accuracy over all seeds, that of each seed beside it; what else was measured is the first seed's."""
    tables = [one.metrics() for one in models]
    found = {name: dict(table) for name, table in tables[0].items()}
    if len(models) > 1:
        for name, (ids, right) in _right_by_seed(models).items():
            values = [float(hit) for seed in right for hit in seed]
            found[name]["accuracy"] = clustered_bootstrap(
                values, ids * len(right), bounds=(0.0, 1.0), seed=0
            )
            found[name] |= {
                f"accuracy/seed {seed}": table[name]["accuracy"]
                for seed, table in enumerate(tables)
            }
    return found


def pooled_difference(models: Sequence[TrainedRewardModels]) -> Difference:
    """Accuracy with facts minus without, on the same comparisons; over several seeds comparisons are clusters."""
    right = _right_by_seed(models)
    (ids, without), (_, with_facts) = right["without_facts"], right["with_facts"]
    if len(models) == 1:
        return mcnemar(without[0], with_facts[0])
    first, second = ([float(hit) for seed in one for hit in seed] for one in (without, with_facts))
    return paired_permutation(first, second, ids * len(models), seed=0)


def _right_by_seed(
    models: Sequence[TrainedRewardModels],
) -> dict[str, tuple[list[str], list[list[bool]]]]:
    """For either reward model the ids of the held-out comparisons, and for each seed which were judged rightly."""
    rows = [one.rows() for one in models]
    return {
        name: (
            [row.id for row in rows[0][place]],
            [[_is_right(row) for row in seed[place]] for seed in rows],
        )
        for place, name in enumerate(TrainedRewardModels._fields)
    }


def train_reward_models(
    changes: Settings, out: Path, *, base: str, seed: int
) -> TrainedRewardModels:
    """Train a reward model without facts and one with, on the same comparisons.

    Args:
        changes: Settings that win over the recipe `reward-world`.
        out: Folder of the loop, with `comparisons/`.
        base: The model that both start from.
        seed: Seed of training.
    """
    compared = out / "comparisons"
    settings = {
        "model": {"base": base},
        "data": {
            "comparisons": str(compared / "train"),
            "validation": str(compared / "held_out"),
        },
        "train": {"seed": seed},
    }
    blind = {"template": {"facts_position": "none"}}
    runs = []
    for name, own in (("without_facts", blind), ("with_facts", {})):
        recipe = load_recipe(
            "reward-world", RewardRecipe, settings=merge_settings(settings, own, changes)
        )
        # Held-out comparisons only measure: the last checkpoint is kept, whatever they say.
        runs.append(train_reward_model(recipe, out / "reward" / f"{name}-{seed}", choose=latest()))
    return TrainedRewardModels(*runs)


def facts_dependence(
    reward_model: Path, held_out: Path, *, seed: int, comparisons: int
) -> tuple[Dependence, ...]:
    """How accurate a reward model is with facts that are less complete, or more often wrong.

    Args:
        reward_model: Folder of a reward model that reads facts.
        held_out: Folder of comparisons, with `scenes.jsonl`.
        seed: Seed of what is left out or wrong.
        comparisons: How many of them, from the first.
    """
    scenes = {scene.id: scene for scene in read_records(held_out / "scenes.jsonl", Scene)}
    pairs = [
        pair
        for pair in read_compared_pairs(held_out, images=False)
        if pair.comparison.preferred != "tie"
    ]
    model = RewardModel.load(reward_model)
    features = FeatureCache(None, model.vlm)

    def accuracy(facts: FactsModel) -> Metric:
        queries = []
        for pair in pairs[:comparisons]:
            known = known_facts(scenes[pair.prompt.known_image], facts, seed=seed)
            responses = (pair.first.text, pair.second.text)
            shown = () if known is None else (known,)
            queries.append(RewardQuery(pair.prompt.question, pair.prompt.image, responses, shown))
        scored = model.score(queries, batch_size=64, features=features)
        right = [
            bool(one[0] > one[1]) == (pair.comparison.preferred == "first")
            for one, pair in zip(scored, pairs, strict=False)
        ]
        return wilson(sum(right), len(right))

    return (
        Dependence(
            name="share of the statements that are left out",
            points=tuple((share, accuracy(FactsModel(missing=share))) for share in _SHARES),
        ),
        Dependence(
            name="share of the statements that are wrong",
            points=tuple((share, accuracy(FactsModel(wrong=share))) for share in _SHARES),
        ),
    )


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
    """Train a policy by PPO against a reward model, its last checkpoint kept.

    Args:
        changes: Settings that win over the recipe `ppo-world`.
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
    recipe = load_recipe("ppo-world", PpoRecipe, settings=merge_settings(settings, facts, changes))
    return train_ppo(recipe, run_dir, judge=judge, choose=latest())


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
    """Train by dense DPO on corrections, its last checkpoint kept, as the other arms keep theirs."""
    settings = {
        "model": {"base": base},
        "data": {"corrections": str(corrections), "validation_fraction": 0.0},
        "train": {"seed": seed},
    }
    recipe = load_recipe("dpo-world", PreferenceRecipe, settings=merge_settings(settings, changes))
    return train_dpo(recipe, run_dir, choose=latest())


def test_arms(arms: Mapping[str, WorldEvaluation], *, seed: int) -> tuple[ArmTest, ...]:
    """Test every two arms against each other on the same scenes; a pooled arm is paired seed by seed."""
    tests = []
    for first, second in combinations(arms, 2):
        runs = [len(arms[name].descriptions) for name in (first, second)]
        repeated = [
            pool_evaluations([arms[name]] * (max(runs) // own), seed=seed)
            for name, own in zip((first, second), runs, strict=True)
        ]
        found = compare_world(*repeated, seed=seed)
        tests += [
            ArmTest(first=first, second=second, metric=m, result=found[m]) for m in COMPARED_METRICS
        ]
    return tuple(tests)


def _is_right(row: HeldOutRow) -> bool:
    first, second = row.rewards["intact"]
    return (first - second) * (row.preference - 0.5) > 0
