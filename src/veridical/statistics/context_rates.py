"""Whether objects are invented more often in the context they are typical of.

After RLHF-V (arXiv 2312.00849, Table 2): H_a is the rate at which the typical objects of a context
are hallucinated in all responses, H_s the same in responses about the context, Δ = H_s − H_a. The
paper does not state the denominator; its numbers allow only *responses that mention the object*,
which is what is used here. Rates are averaged over objects with at least one mention ("macro"), or
pooled over mentions. What nobody mentions has no rate: it stays out of every mean.
"""

import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from veridical.records import Difference, Metric
from veridical.statistics.intervals import interval_without_spread

RESAMPLES = 2_000
"""Resamples of an interval or a test: the Monte Carlo error of p = 0.05 is then 0.005."""

T = TypeVar("T")
_Floats = NDArray[np.float64]
_METHOD = "clustered bootstrap"
_RATE, _GAP = (0.0, 1.0), (-1.0, 1.0)


class ContextCounts(NamedTuple):
    """Counts within each of S images (or scenes), for C contexts of at most K typical objects."""

    wrong: _Floats
    """[S, C, K]: responses that mention the object, which is not there."""
    mentioned: _Floats
    """[S, C, K]: responses that mention the object; 0 throughout where a context has fewer than K
    objects."""
    inside: _Floats
    """[S, C]: 1 where the image is of the context, else 0."""


class Rates(NamedTuple, Generic[T]):
    """H_a, H_s and Δ, or differences between two runs' of them."""

    everywhere: T
    """H_a."""
    inside: T
    """H_s."""
    gap: T
    """Δ = H_s − H_a."""


class ContextTable(NamedTuple, Generic[T]):
    """The table: a row a context, and their mean."""

    contexts: tuple[Rates[T], ...]
    """In the order of the counts."""
    mean: Rates[T]
    """Over contexts in which H_s is defined."""


def measure_contexts(
    counts: ContextCounts, *, seed: int, pooled: bool = False, resamples: int = RESAMPLES
) -> ContextTable[Metric]:
    """The table with intervals from resampling images.

    Args:
        counts: Sums by image.
        seed: Seed of the resampling.
        pooled: Pool mentions instead of averaging over objects.
        resamples: How many resamples; those in which a rate is not defined are left out of its
            interval.

    Returns:
        Metrics with n the number of mentions that the rate is of (for Δ those of H_s); 0 where it
        is not defined.
    """
    size = len(counts.inside)
    values = _statistics(counts, np.ones((1, size)), pooled=pooled)[0]
    drawn = _statistics(counts, _weights(size, seed, resamples), pooled=pooled)
    own = counts.inside[:, :, None] * counts.mentioned
    mentions = [
        (counts.mentioned[:, one].sum(), own[:, one].sum()) for one in range(counts.inside.shape[1])
    ]
    images = [
        (int(counts.mentioned[:, one].any(axis=1).sum()), int(own[:, one].any(axis=1).sum()))
        for one in range(counts.inside.shape[1])
    ]
    defined = [one for one, (_, inside) in enumerate(mentions) if inside]
    total = (sum(mentions[one][0] for one in defined), sum(mentions[one][1] for one in defined))
    spread = tuple(
        int(table[:, defined].any(axis=(1, 2)).sum()) for table in (counts.mentioned, own)
    )
    rows = [
        _rates(values[number], drawn[:, number], (int(of[0]), int(of[1])), (within[0], within[1]))
        for number, (of, within) in enumerate(
            zip([total, *mentions], [spread, *images], strict=True)
        )
    ]
    return ContextTable(tuple(rows[1:]), rows[0])


def compare_contexts(
    first: ContextCounts,
    second: ContextCounts,
    *,
    seed: int,
    pooled: bool = False,
    resamples: int = RESAMPLES,
) -> ContextTable[Difference]:
    """Second minus first of every rate and gap, paired by image: bootstrap interval, permutation p.

    Args:
        first: One run's counts.
        second: The other's, of the same images in the same order.
        seed: Seed of the resampling.
        pooled: Pool mentions instead of averaging over objects.
        resamples: How many resamples and permutations.

    Returns:
        Differences with n the number of images (for H_s and Δ of a context: of images of the
        context); one that is not defined in both runs is 0 with p = 1 and n = 0.
    """
    size = len(first.inside)

    def difference(weights: _Floats, swapped: _Floats) -> _Floats:
        kept, moved = weights * (1 - swapped), weights * swapped
        after = _statistics(second, kept, pooled=pooled, other=(first, moved))
        return after - _statistics(first, kept, pooled=pooled, other=(second, moved))

    observed = difference(np.ones((1, size)), np.zeros((1, size)))[0]
    drawn = difference(_weights(size, seed, resamples), np.zeros((1, size)))
    swaps = (
        np.random.default_rng([seed, 1]).integers(0, 2, size=(resamples, size)).astype(np.float64)
    )
    null = difference(np.ones((1, size)), swaps)
    known = ~np.isnan(null)
    # A tie with what was observed counts as reached, in spite of rounding.
    reached = (known & (np.abs(np.where(known, null, 0)) >= np.abs(observed) - 1e-12)).sum(axis=0)
    p = (reached + 1) / (known.sum(axis=0) + 1)
    inside = [size, *(int(count) for count in first.inside.sum(axis=0))]
    rows = [
        Rates(
            *(
                _difference(observed[row, part], drawn[:, row, part], p[row, part], n)
                for part, n in enumerate((size, within, within))
            )
        )
        for row, within in enumerate(inside)
    ]
    return ContextTable(tuple(rows[1:]), rows[0])


def _statistics(
    counts: ContextCounts,
    weights: _Floats,
    *,
    pooled: bool,
    other: tuple[ContextCounts, _Floats] | None = None,
) -> _Floats:
    """[R, 1 + C, 3]: mean and contexts by H_a, H_s, Δ of images weighted [R, S]; NaN if undefined.

    A second run's images may be added with weights of their own, as a permutation needs it.
    """
    sums = _sums(counts, weights)
    if other is not None:
        sums = [one + two for one, two in zip(sums, _sums(*other), strict=True)]
    everywhere = _average(sums[0], sums[1], pooled=pooled)
    inside = _average(sums[2], sums[3], pooled=pooled)
    rates = np.stack([everywhere, inside, inside - everywhere], axis=2)
    defined = ~np.isnan(rates).any(axis=2, keepdims=True)
    mean = _divide(
        np.where(defined, rates, 0).sum(axis=1, keepdims=True), defined.sum(axis=1, keepdims=True)
    )
    return np.concatenate([mean, rates], axis=1)


def _sums(counts: ContextCounts, weights: _Floats) -> list[_Floats]:
    """Hallucinated and mentioned, everywhere and inside, each [R, C, K]."""
    own = counts.inside[:, :, None]
    contexts, objects = counts.wrong.shape[1:]
    tables = (counts.wrong, counts.mentioned, counts.wrong * own, counts.mentioned * own)
    flat = [table.reshape(len(table), contexts * objects) for table in tables]
    return [(weights @ table).reshape(len(weights), contexts, objects) for table in flat]


def _average(wrong: _Floats, mentioned: _Floats, *, pooled: bool) -> _Floats:
    """[R, C], NaN where nothing is mentioned."""
    if pooled:
        return _divide(wrong.sum(axis=2), mentioned.sum(axis=2))
    rates = np.divide(wrong, mentioned, out=np.zeros_like(wrong), where=mentioned > 0)
    return _divide(rates.sum(axis=2), (mentioned > 0).sum(axis=2))


def _divide(above: _Floats, below: NDArray[np.float64] | NDArray[np.int_]) -> _Floats:
    quotients: _Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return quotients


def _weights(size: int, seed: int, resamples: int) -> _Floats:
    """How often each image is drawn in each resample, [R, S]."""
    if size == 0:
        return np.zeros((resamples, 0))
    shares = np.full(size, 1 / size)
    return (
        np.random.default_rng([seed, 0])
        .multinomial(size, shares, size=resamples)
        .astype(np.float64)
    )


def _rates(
    values: _Floats, drawn: _Floats, mentions: tuple[int, int], images: tuple[int, int]
) -> Rates[Metric]:
    """A row of the table: values [3], drawn [R, 3]; mentions and images, all and inside."""
    everywhere = _metric(values[0], drawn[:, 0], mentions[0], images[0])
    inside = _metric(values[1], drawn[:, 1], mentions[1], images[1])
    if not mentions[1]:
        return Rates(
            everywhere, inside, Metric(value=0.0, n=0, low=_GAP[0], high=_GAP[1], method=_METHOD)
        )
    gap = float(values[2])
    known = drawn[~np.isnan(drawn[:, 2]), 2]
    if len(known) and np.ptp(known) > 0:
        low, high = _percentiles(gap, known, _GAP)
    else:  # without spread, as `fisher` has it for two rates apart: too wide rather than certain
        low = gap - math.hypot(inside.value - inside.low, everywhere.high - everywhere.value)
        high = gap + math.hypot(inside.high - inside.value, everywhere.value - everywhere.low)
        low, high = max(low, _GAP[0]), min(high, _GAP[1])
    return Rates(
        everywhere, inside, Metric(value=gap, n=mentions[1], low=low, high=high, method=_METHOD)
    )


def _metric(value: float, drawn: _Floats, mentions: int, images: int) -> Metric:
    if not mentions:
        return Metric(value=0.0, n=0, low=_RATE[0], high=_RATE[1], method=_METHOD)
    known = drawn[~np.isnan(drawn)]
    if len(known) and np.ptp(known) > 0:
        low, high = _percentiles(float(value), known, _RATE)
    else:
        low, high = interval_without_spread(float(value), images, _RATE)
    return Metric(value=float(value), n=mentions, low=low, high=high, method=_METHOD)


def _difference(value: float, drawn: _Floats, p: float, n: int) -> Difference:
    test = "paired permutation of clusters"
    if np.isnan(value):
        return Difference(difference=0.0, low=-2.0, high=2.0, p=1.0, test=test, n=0)
    known = drawn[~np.isnan(drawn)]
    low, high = _percentiles(float(value), known, (-2.0, 2.0)) if len(known) else (-2.0, 2.0)
    return Difference(difference=float(value), low=low, high=high, p=float(p), test=test, n=n)


def _percentiles(value: float, drawn: _Floats, bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return max(min(float(low), value), bounds[0]), min(max(float(high), value), bounds[1])
