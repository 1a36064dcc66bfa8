"""Reward models of several seeds: pooled accuracy, each seed's, comparisons as clusters."""

import json

import pytest

from veridical.studies.fact_rlhf.reward_models import (
    TrainedRewardModels,
    pooled_accuracy,
    pooled_difference,
)
from veridical.training.reward.held_out import HELD_OUT_FILE
from veridical.training.run.frame import RunResult


def run(folder, right):
    """A reward model that judges these comparisons rightly."""
    folder.mkdir(parents=True)
    rows = [
        {
            "id": f"c{number}",
            "task": "description",
            "source": "simulated",
            "preference": 1.0,
            "hallucination": True,
            "lengths": [10, 12],
            "rewards": {"intact": [1.0, 0.0] if hit else [0.0, 1.0]},
        }
        for number, hit in enumerate(right)
    ]
    (folder / HELD_OUT_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return RunResult(folder, folder, "base", None)


@pytest.fixture
def models(tmp_path):
    n = 40
    hits = {"without_facts": (24, 28), "with_facts": (36, 32)}
    return [
        TrainedRewardModels(
            *(
                run(tmp_path / f"{name}-{seed}", [i < hits[name][seed] for i in range(n)])
                for name in hits
            )
        )
        for seed in range(2)
    ]


def test_accuracy_is_pooled_and_each_seed_keeps_its_own(models):
    found = pooled_accuracy(models)
    assert found["without_facts"]["accuracy"].value == pytest.approx(26 / 40)
    assert [found["without_facts"][f"accuracy/seed {seed}"].value for seed in (0, 1)] == [
        24 / 40,
        28 / 40,
    ]
    assert found["with_facts"]["accuracy"].value == pytest.approx(34 / 40)
    # Two seeds on the same comparisons are no 80 comparisons.
    assert found["with_facts"]["accuracy"].n == 40


def test_the_difference_is_paired_by_comparison(models):
    both, one = pooled_difference(models), pooled_difference(models[:1])
    assert both.difference == pytest.approx(8 / 40)
    assert one.difference == pytest.approx(12 / 40)
    assert (one.test, both.test) == ("mcnemar exact", "paired permutation")
    assert both.p < 0.01
