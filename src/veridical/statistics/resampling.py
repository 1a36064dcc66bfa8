"""Resampling by cluster: bootstrap intervals and permutation tests of means and ratios.

Answers about one picture are not independent, so whole pictures are drawn and swapped. A mean is a
ratio of sums with denominators of 1; one mechanism therefore serves means, rates of mentions,
coverage and F1.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veridical.errors import ConfigError
from veridical.records import Difference, Metric
from veridical.statistics.intervals import interval_without_spread, same_length, vector, within

_Floats = NDArray[np.float64]

Clusters = Sequence[Hashable] | NDArray[np.generic]
"""What each item belongs to, one entry per item: pictures, prompts, comparisons."""

RESAMPLES = 10_000
"""Resamples of a bootstrap or permutation: the Monte Carlo error of p = 0.05 is then 0.002."""

_CELLS_AT_ONCE = 4_000_000
"""Cells of the resampling matrix held in memory at once (32 MB)."""


def clustered_bootstrap(
    values: ArrayLike,
    clusters: Clusters | None = None,
    *,
    denominators: ArrayLike | None = None,
    bounds: tuple[float, float] | None = None,
    seed: int,
    resamples: int = RESAMPLES,
) -> Metric:
    """Mean, or ratio of sums, with a percentile interval from resampling whole clusters.

    Args:
        values: One number an item; the numerators where `denominators` are given.
        clusters: What each item belongs to (the image); None makes every item its own cluster.
        denominators: One number an item. The statistic is Σ values / Σ denominators (hallucinated
            mentions over mentions); without them it is the mean of the values.
        bounds: Least and greatest possible value of the statistic, (0, 1) for a rate.
        seed: Seed of the resampling.
        resamples: How many resamples.

    Returns:
        The statistic, with n the number of clusters.
    """
    numerators = vector(values, "values")
    below = (
        np.ones_like(numerators) if denominators is None else vector(denominators, "denominators")
    )
    sums = _sum_by_cluster(clusters, numerators, below)

    def draw() -> _Floats:
        rows_of = _draws(sums.shape[1], seed=seed, resamples=resamples)
        return np.concatenate([_ratios(*(sums[:, rows].sum(axis=2))) for rows in rows_of])

    return _ratio_metric(sums, draw, bounds=bounds)


def clustered_ratios(
    ratios: Mapping[str, tuple[ArrayLike, ArrayLike]],
    clusters: Clusters | None = None,
    *,
    bounds: tuple[float, float] | None = None,
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, Metric]:
    """Several ratios of sums over the same items, with intervals from one set of resamples.

    Only how often each *kind* of cluster comes up is drawn (multinomial): clusters with the same
    sums are interchangeable, so that the distribution is that of drawing clusters one by one.
    Counts, as benchmarks have them, make few kinds, which is some twenty times as fast.

    Args:
        ratios: Numerators and denominators by name, one of each an item.
        clusters: What each item belongs to; None makes every item its own cluster.
        bounds: Least and greatest possible value of every ratio.
        seed: Seed of the resampling.
        resamples: How many resamples.

    Returns:
        By name, with n the number of clusters.
    """
    columns = [vector(column, name) for name, pair in ratios.items() for column in pair]
    sums = _sum_by_cluster(clusters, *columns)
    drawn = _draw_kinds(sums, seed=seed, resamples=resamples)
    metrics = {}
    for first, name in zip(range(0, len(columns), 2), ratios, strict=True):
        pair_drawn = partial(_ratios, drawn[first], drawn[first + 1])
        metrics[name] = _ratio_metric(sums[first : first + 2], pair_drawn, bounds=bounds)
    return metrics


def paired_permutation(
    first: ArrayLike,
    second: ArrayLike,
    clusters: Clusters | None = None,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Difference:
    """Difference of two means on the same items: permutation test and bootstrap interval.

    Under the null hypothesis the two runs are exchangeable within a cluster, so whole clusters swap
    sides.

    Args:
        first: One number an item in the first run.
        second: The same items, in the same order, in the second run.
        clusters: What each item belongs to; None makes every item its own cluster.
        seed: Seed of the resampling.
        resamples: How many resamples; where all 2^n swaps are fewer, they are all gone through
            instead.
    """
    a, b = vector(first, "first"), vector(second, "second")
    same_length(a, b)
    ones = np.ones_like(a)
    return _paired(
        (a, ones), (b, ones), clusters, seed=seed, resamples=resamples, test="paired permutation"
    )


def paired_ratio_difference(
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    clusters: Clusters | None = None,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Difference:
    """Difference of two ratios of sums over the same clusters (rates of mentions, coverage, F1).

    Args:
        first: Numerators and denominators in the first run, one of each an item.
        second: The same in the second run; items in the same order.
        clusters: What each item belongs to; None makes every item its own cluster.
        seed: Seed of the resampling.
        resamples: How many resamples of the bootstrap (interval) and of the permutation of whole
            clusters (p).
    """
    a = (vector(first[0], "numerators"), vector(first[1], "denominators"))
    b = (vector(second[0], "numerators"), vector(second[1], "denominators"))
    same_length(a[0], a[1], b[0], b[1])
    return _paired(
        a, b, clusters, seed=seed, resamples=resamples, test="paired permutation of clusters"
    )


def _paired(
    first: tuple[_Floats, _Floats],
    second: tuple[_Floats, _Floats],
    clusters: Clusters | None,
    *,
    seed: int,
    resamples: int,
    test: str,
) -> Difference:
    sums = _sum_by_cluster(clusters, *first, *second)
    n = sums.shape[1]
    if n == 0:
        return Difference(difference=0.0, low=0.0, high=0.0, p=1.0, test=test, n=0)
    a, b, c, d = sums.sum(axis=1)
    observed = _ratio(c, d) - _ratio(a, b)
    drawn = []
    for rows in _draws(n, seed=seed, resamples=resamples):
        one, one_below, two, two_below = sums[:, rows].sum(axis=2)
        drawn.append(_ratios(two, two_below) - _ratios(one, one_below))
    low, high = _percentiles(np.concatenate(drawn), observed)
    p = _swap_p(sums, observed, seed=seed, resamples=resamples)
    return Difference(difference=observed, low=low, high=high, p=p, test=test, n=n)


def _swap_p(sums: _Floats, observed: float, *, seed: int, resamples: int) -> float:
    """Two-sided p of swapping the runs within clusters; exact where the swaps are few."""
    changed = np.flatnonzero((sums[:2] != sums[2:]).any(axis=0))
    if len(changed) == 0:
        return 1.0
    first, second = sums[:2], sums[2:]
    step = second[:, changed] - first[:, changed]
    start, end = first.sum(axis=1), second.sum(axis=1)
    exact = len(changed) < resamples.bit_length()
    reached = total = 0
    for swapped in _swaps(len(changed), exact=exact, seed=seed, resamples=resamples):
        moved = swapped @ step.T
        one, two = start + moved, end - moved
        difference = _ratios(two[:, 0], two[:, 1]) - _ratios(one[:, 0], one[:, 1])
        # A tie with what was observed counts as reached, in spite of rounding.
        reached += int((np.abs(difference) >= abs(observed) - 1e-12).sum())
        total += len(difference)
    return reached / total if exact else (reached + 1) / (total + 1)


def _ratio_metric(
    sums: _Floats, draw: Callable[[], _Floats], *, bounds: tuple[float, float] | None
) -> Metric:
    """Ratio of two rows of sums by cluster [2, C], with the interval that `draw` gives."""
    n = sums.shape[1]
    value = _ratio(*sums.sum(axis=1))
    if n == 0 or not sums[1].any():
        low, high = bounds or (0.0, 0.0)
    elif _is_constant(sums):
        low, high = interval_without_spread(value, n, bounds)
    else:
        low, high = within(*_percentiles(draw(), value), bounds)
    return Metric(value=value, n=n, low=low, high=high, method="clustered bootstrap")


def _draw_kinds(sums: _Floats, *, seed: int, resamples: int) -> _Floats:
    """Sums over resampled clusters: [columns, resamples]."""
    n = sums.shape[1]
    if n == 0:
        return np.zeros((len(sums), 0))
    kinds, counts = np.unique(sums, axis=1, return_counts=True)
    random = np.random.default_rng([seed, 2])
    sizes = _chunks(resamples, len(counts))
    return np.concatenate(
        [kinds @ random.multinomial(n, counts / n, size=size).T for size in sizes], axis=1
    )


def _swaps(count: int, *, exact: bool, seed: int, resamples: int) -> Iterator[_Floats]:
    """Rows of 0 and 1: which clusters swap sides."""
    if exact:
        yield ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(np.float64)
        return
    random = np.random.default_rng([seed, 1])
    for size in _chunks(resamples, count):
        yield random.integers(0, 2, size=(size, count)).astype(np.float64)


def _draws(n: int, *, seed: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """Indices of n clusters drawn with replacement, a chunk of resamples at a time."""
    random = np.random.default_rng([seed, 0])
    for size in _chunks(resamples, n):
        yield random.integers(0, n, size=(size, n))


def _chunks(total: int, width: int) -> Iterator[int]:
    if total < 1:
        raise ConfigError(f"Resampling needs at least one resample, got {total}.")
    step = max(1, _CELLS_AT_ONCE // max(1, width))
    for start in range(0, total, step):
        yield min(step, total - start)


def _sum_by_cluster(clusters: Clusters | None, *columns: _Floats) -> _Floats:
    """Sum each column within each cluster: [columns, C], clusters in order of first occurrence."""
    same_length(*columns)
    if clusters is None:
        return np.stack(columns)
    if len(clusters) != len(columns[0]):
        raise ConfigError(
            f"Each item needs its cluster: {len(columns[0])} items, {len(clusters)} clusters given."
        )
    numbers: dict[Hashable, int] = {}
    index = np.array(
        [numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.int64
    )
    return np.stack(
        [np.bincount(index, weights=column, minlength=len(numbers)) for column in columns]
    )


def _is_constant(sums: _Floats) -> bool:
    """Whether every cluster that counts has the same ratio, so that resampling shows no spread."""
    counted = sums[:, sums[1] != 0]
    return not sums[0, sums[1] == 0].any() and bool(np.ptp(counted[0] / counted[1]) == 0)


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else 0.0


def _ratios(numerators: _Floats, denominators: _Floats) -> _Floats:
    """Quotients; 0 where there is nothing to divide by, as in `_ratio`."""
    return np.divide(
        numerators, denominators, out=np.zeros_like(numerators), where=denominators != 0
    )


def _percentiles(drawn: _Floats, value: float) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    # An interval that leaves out its own estimate (few, skewed clusters) would only confuse.
    return min(float(low), value), max(float(high), value)
