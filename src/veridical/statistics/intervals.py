"""Intervals in closed form: Wilson's for rates, Student's for means, Newcombe's for differences.

Papers: Wilson (1927), JASA 22; Newcombe (1998), Statistics in Medicine 17, 857-872 (two samples)
and 2635-2650 (pairs).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from veridical.errors import ConfigError
from veridical.records import Difference, Metric

_Floats = NDArray[np.float64]
_Z = float(stats.norm.ppf(0.975))
_EQUAL = 1e-12
"""Differences that rounding alone makes."""


def wilson(successes: int, n: int) -> Metric:
    """Rate with Wilson's score interval.

    Args:
        successes: How many of the n items have the property.
        n: How many items; 0 gives the value 0 with the interval [0, 1].

    Raises:
        ConfigError: `successes` is not within 0 … n.
    """
    if not 0 <= successes <= n:
        raise ConfigError(f"A rate needs 0 <= successes <= n, got {successes} of {n}. Count again.")
    if n == 0:
        return Metric(value=0.0, n=0, low=0.0, high=1.0, method="wilson")
    low, high = wilson_interval(successes / n, n)
    return Metric(value=successes / n, n=n, low=low, high=high, method="wilson")


def mean_metric(values: ArrayLike, *, bounds: tuple[float, float] | None = None) -> Metric:
    """Mean of independent items with Student's t interval.

    Args:
        values: One number an item.
        bounds: Least and greatest possible value, where there are such; the interval is kept within
            them.
    """
    x = vector(values, "values")
    n = len(x)
    if n == 0:
        low, high = bounds or (0.0, 0.0)
        return Metric(
            value=0.0 if bounds is None else low, n=0, low=low, high=high, method="student t"
        )
    mean = float(x.mean())
    if n == 1 or np.ptp(x) == 0:
        low, high = interval_without_spread(mean, n, bounds)
    else:
        half = float(stats.t.ppf(0.975, n - 1)) * float(x.std(ddof=1)) / math.sqrt(n)
        low, high = within(mean - half, mean + half, bounds)
    return Metric(value=mean, n=n, low=low, high=high, method="student t")


def paired_t(first: ArrayLike, second: ArrayLike, *, least_spread: float = 0.0) -> Difference:
    """Student's t test of pairs that are independent runs: seeds of training.

    Args:
        first: One number per run.
        second: The other number of the same runs.
        least_spread: The least standard deviation to assume. A rate over n items moves in steps of
            1/n, so that a few runs may differ by the same although they vary: give 1/n.

    Returns:
        Second minus first. Where all pairs differ by the same and no spread is assumed, Student's t
        would be certain however few they are: p is then that of the sign test.
    """
    x = vector(second, "second") - vector(first, "first")
    n, mean = len(x), float(x.mean()) if len(x) else 0.0
    spread = max(float(x.std(ddof=1)) if n > 1 else 0.0, least_spread)
    if n < 2 or spread < _EQUAL:
        metric = mean_metric(x)
        p = min(1.0, 2 * 0.5**n) if mean else 1.0
        return Difference(
            difference=mean, low=metric.low, high=metric.high, p=p, test="sign test", n=n
        )
    error = spread / math.sqrt(n)
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Difference(
        difference=mean,
        low=mean - half,
        high=mean + half,
        p=float(2 * stats.t.sf(abs(mean) / error, n - 1)),
        test="paired t",
        n=n,
    )


def wilson_interval(rate: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % limits of a rate, n > 0; exactly 0 and 1 where none or all have it."""
    centre = rate + _Z**2 / (2 * n)
    half = _Z * math.sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    low = 0.0 if rate == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if rate == 1 else min(1.0, (centre + half) / scale)
    return low, high


def newcombe_paired(both: int, gained: int, lost: int, neither: int) -> tuple[float, float]:
    """Newcombe's method 10: Wilson's limits of both margins, combined by their correlation φ."""
    n = both + gained + lost + neither
    second, first = (both + gained) / n, (both + lost) / n
    low1, high1 = wilson_interval(first, n)
    low2, high2 = wilson_interval(second, n)
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    product: float = both * neither - gained * lost
    # The continuity correction is Newcombe's; it applies to positive association only.
    product = max(product - n / 2, 0.0) if product > 0 else product
    phi = product / math.sqrt(margins) if margins > 0 else 0.0
    down = _combine(second - low2, high1 - first, phi)
    up = _combine(high2 - second, first - low1, phi)
    difference = second - first
    return max(-1.0, difference - down), min(1.0, difference + up)


def _combine(a: float, b: float, correlation: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b))


def interval_without_spread(
    value: float, n: int, bounds: tuple[float, float] | None
) -> tuple[float, float]:
    """Interval without spread: at a bound Wilson's, scaled; for n = 1 everything; else a point."""
    if bounds is None:
        return value, value
    low, high = bounds
    if n == 1:
        return low, high
    if value not in bounds or low == high:
        return value, value
    reach = wilson_interval(0.0, n)[1] * (high - low)
    return (low, low + reach) if value == low else (high - reach, high)


def within(low: float, high: float, bounds: tuple[float, float] | None) -> tuple[float, float]:
    """Cut an interval to the bounds, where there are such."""
    return (low, high) if bounds is None else (max(low, bounds[0]), min(high, bounds[1]))


def vector(values: ArrayLike, name: str) -> _Floats:
    """Check and convert: one finite number an item, [n]."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return np.zeros(0)
    if array.ndim != 1:
        raise ConfigError(
            f"`{name}` must be one number an item, got shape {array.shape}. Flatten it."
        )
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ConfigError(
            f"`{name}` holds {array[bad]} at position {bad}. Leave out what could not be measured."
        )
    return array


def same_length(*columns: NDArray[np.generic]) -> None:
    """Refuse columns of different lengths."""
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ConfigError(
            f"Pairs need the same items on both sides, got {lengths} of them. Match them by id"
            " first."
        )
