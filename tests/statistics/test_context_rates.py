"""Rates by context against a plain count, and contexts that no description mentions."""

import numpy as np
import pytest

from veridical.statistics.context_rates import ContextCounts, compare_contexts, measure_contexts


def drawn(seed, *, images=200, contexts=3, objects=4, rate=0.4):
    random = np.random.default_rng(seed)
    mentioned = (random.random((images, contexts, objects)) < 0.3).astype(float)
    wrong = mentioned * (random.random(mentioned.shape) < rate)
    inside = (random.random((images, contexts)) < 0.3).astype(float)
    return ContextCounts(wrong, mentioned, inside)


def counted(counts, context, *, pooled, inside):
    """The definition, word for word."""
    images = [
        image for image in range(len(counts.inside)) if not inside or counts.inside[image, context]
    ]
    said = [
        sum(counts.mentioned[image, context, one] for image in images)
        for one in range(counts.wrong.shape[2])
    ]
    wrong = [
        sum(counts.wrong[image, context, one] for image in images)
        for one in range(counts.wrong.shape[2])
    ]
    if pooled:
        return sum(wrong) / sum(said)
    rates = [one / of for one, of in zip(wrong, said, strict=True) if of]
    return sum(rates) / len(rates)


@pytest.mark.parametrize("pooled", [False, True])
def test_rates_are_those_of_the_definition(pooled):
    counts = drawn(0)
    table = measure_contexts(counts, seed=0, pooled=pooled)
    gaps = []
    for context, rates in enumerate(table.contexts):
        everywhere, inside = (
            counted(counts, context, pooled=pooled, inside=part) for part in (False, True)
        )
        assert rates.everywhere.value == pytest.approx(everywhere)
        assert rates.inside.value == pytest.approx(inside)
        assert rates.gap.value == pytest.approx(inside - everywhere)
        assert rates.everywhere.n == counts.mentioned[:, context].sum()
        gaps.append(inside - everywhere)
        for metric in rates:
            assert metric.low < metric.value < metric.high
    assert table.mean.gap.value == pytest.approx(sum(gaps) / len(gaps))
    assert table.mean.gap.value == pytest.approx(
        table.mean.inside.value - table.mean.everywhere.value
    )


def test_intervals_hold_the_truth_as_often_as_they_say():
    """No gap by construction: about 57 of 60 intervals hold 0."""
    tables = [
        measure_contexts(drawn(seed, images=100), seed=seed, resamples=200) for seed in range(60)
    ]
    held = sum(table.mean.gap.low <= 0 <= table.mean.gap.high for table in tables)
    assert 51 <= held <= 60


def test_equal_models_seldom_differ_and_others_do():
    same = [compare_contexts(drawn(n), drawn(n), seed=n, resamples=200).mean.gap for n in range(3)]
    assert all(one.difference == 0 and one.p == 1 for one in same)
    alike = [
        compare_contexts(drawn(n), second(n, 0.4), seed=n, resamples=200).mean.everywhere.p
        for n in range(60)
    ]
    assert sum(p < 0.05 for p in alike) <= 8
    other = compare_contexts(drawn(0), second(0, 0.1), seed=0)
    assert other.mean.everywhere.p < 0.001
    assert other.mean.everywhere.high < 0
    assert (other.mean.everywhere.n, other.contexts[0].gap.n) == (200, drawn(0).inside[:, 0].sum())


def second(seed, rate):
    """Another model's answers about the same images."""
    return drawn(seed + 1000, rate=rate)._replace(inside=drawn(seed).inside)


def test_a_context_without_mentions_stays_out_of_the_mean():
    counts = drawn(1)
    silent = counts._replace(mentioned=counts.mentioned.copy(), wrong=counts.wrong.copy())
    silent.mentioned[:, 0] = silent.wrong[:, 0] = 0
    table = measure_contexts(silent, seed=0)
    assert [metric.n for metric in table.contexts[0]] == [0, 0, 0]
    assert (table.contexts[0].gap.low, table.contexts[0].gap.high) == (-1, 1)
    rest = ContextCounts(counts.wrong[:, 1:], counts.mentioned[:, 1:], counts.inside[:, 1:])
    assert table.mean == measure_contexts(rest, seed=0).mean
    found = compare_contexts(counts, silent, seed=0, resamples=100).contexts[0].gap
    assert (found.difference, found.n, found.p) == (0, 0, 1)


def test_objects_that_a_context_does_not_have_change_nothing():
    counts = drawn(2)
    padded = ContextCounts(
        *(np.pad(part, ((0, 0), (0, 0), (0, 3))) for part in counts[:2]), counts.inside
    )
    assert measure_contexts(padded, seed=0) == measure_contexts(counts, seed=0)


def test_nothing_gives_no_number():
    table = measure_contexts(
        ContextCounts(np.zeros((0, 2, 3)), np.zeros((0, 2, 3)), np.zeros((0, 2))), seed=0
    )
    assert all(metric.n == 0 for rates in (table.mean, *table.contexts) for metric in rates)


def test_a_rate_without_spread_is_not_certain():
    counts = drawn(3)
    right = counts._replace(wrong=np.zeros_like(counts.wrong))
    gap = measure_contexts(right, seed=0).contexts[0].gap
    assert gap.value == 0
    assert -0.1 < gap.low < 0 < gap.high < 0.2
