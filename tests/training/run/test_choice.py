"""The rules that choose a checkpoint."""

import pytest

from veridical.errors import ConfigError
from veridical.training.run.choice import latest, least_hallucination, least_loss

BASE = {"hallucination_rate": 0.6, "object_coverage": 0.99}


def choose(rule, rows):
    return min(rows, key=lambda row: rule.key(row, BASE))


def row(step, hallucination, coverage):
    return {"step": step, "hallucination_rate": hallucination, "object_coverage": coverage}


def test_least_hallucination_counts_only_among_those_that_keep_coverage():
    rows = [row(1, 0.5, 0.99), row(2, 0.2, 0.97), row(3, 0.1, 0.96)]
    assert choose(least_hallucination(coverage_tolerance=0.02), rows)["step"] == 2


def test_coverage_at_the_very_edge_is_kept():
    assert (
        choose(
            least_hallucination(coverage_tolerance=0.02), [row(1, 0.5, 0.99), row(2, 0.4, 0.97)]
        )["step"]
        == 2
    )


def test_where_none_keeps_coverage_the_most_coverage_is_chosen():
    rows = [row(1, 0.1, 0.5), row(2, 0.3, 0.8), row(3, 0.0, 0.2)]
    assert choose(least_hallucination(coverage_tolerance=0.02), rows)["step"] == 2


def test_equals_go_to_the_earlier():
    assert choose(least_loss(), [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.5}])["step"] == 1


def test_without_anything_held_out_the_last_is_kept():
    assert choose(latest(), [{"step": 1}, {"step": 2}])["step"] == 2


def test_a_rule_says_what_it_misses():
    with pytest.raises(ConfigError, match="needs `object_coverage`, but only loss was measured"):
        least_hallucination(coverage_tolerance=0.02).key({"loss": 1.0}, BASE)
