"""The two reward models of the Fact-RLHF loop, without facts and with: training and accuracy."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.config import Settings, load_recipe, merge_settings
from veridical.evaluation.reward_model import HeldOutRow, read_held_out, report_rewards
from veridical.records import Difference, Metric
from veridical.statistics import clustered_bootstrap, mcnemar, paired_permutation
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.held_out import HELD_OUT_FILE
from veridical.training.reward.train import train_reward_model
from veridical.training.run.choice import latest
from veridical.training.run.frame import RunResult


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
    """Accuracy over all seeds and of each; whatever else was measured is of the first seed."""
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
    """Accuracy with facts minus without, on the same comparisons (clusters over several seeds)."""
    right = _right_by_seed(models)
    (ids, without), (_, with_facts) = right["without_facts"], right["with_facts"]
    if len(models) == 1:
        return mcnemar(without[0], with_facts[0])
    first, second = ([float(hit) for seed in one for hit in seed] for one in (without, with_facts))
    return paired_permutation(first, second, ids * len(models), seed=0)


def _right_by_seed(
    models: Sequence[TrainedRewardModels],
) -> dict[str, tuple[list[str], list[list[bool]]]]:
    """For either reward model: ids of the held-out comparisons, and by seed which it got right."""
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
        changes: Settings that override the recipe `reward-world`.
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


def _is_right(row: HeldOutRow) -> bool:
    first, second = row.rewards["intact"]
    return (first - second) * (row.preference - 0.5) > 0
