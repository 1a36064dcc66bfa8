"""How well two raters agree: κ for categories, rank correlation for grades, with intervals.

Papers: Cohen (1960), Educational and Psychological Measurement 20; weights and standard error:
Fleiss, Cohen and Everitt (1969), Psychological Bulletin 72; intervals: Bonett and Wright (2000),
Psychometrika 65 (Spearman); Fieller, Hartley and Pearson (1957), Biometrika 44 (Kendall).
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from veridical.errors import ConfigError
from veridical.records import Metric
from veridical.statistics.intervals import same_length, vector

Weights = Literal["none", "linear", "quadratic"]
_Z = float(stats.norm.ppf(0.975))


def cohen_kappa(
    first: ArrayLike, second: ArrayLike, *, categories: Sequence[float], weights: Weights = "none"
) -> Metric:
    """Cohen's κ of two raters of the same items: agreement beyond what chance would give.

    Args:
        first: One category an item.
        second: The same items, in the same order.
        categories: All categories in order; weights go by their places.
        weights: "none" counts only equal ratings; "linear" and "quadratic" let near ones count in
            part.

    Returns:
        κ in [-1, 1] with the large-sample interval; n = 0 within [-1, 1] where κ is not defined,
        since both raters always say the same one thing or nothing was rated.

    Raises:
        ConfigError: A rating is none of the categories.
    """
    a, b = _places(first, categories, "first"), _places(second, categories, "second")
    same_length(a, b)
    n, size = len(a), len(categories)
    table = np.zeros((size, size))
    np.add.at(table, (a, b), 1.0)
    credit = _credit(size, weights)
    p = table / max(n, 1)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    by_chance = float((credit * np.outer(rows, columns)).sum())
    if n == 0 or math.isclose(by_chance, 1.0):
        return Metric(value=0.0, n=0, low=-1.0, high=1.0, method="fleiss-cohen-everitt")
    kappa = (float((credit * p).sum()) - by_chance) / (1 - by_chance)
    expected = (credit @ columns)[:, None] + (credit.T @ rows)[None, :]
    spread = (
        float((p * (credit - expected * (1 - kappa)) ** 2).sum())
        - (kappa - by_chance * (1 - kappa)) ** 2
    )
    half = _Z * math.sqrt(max(0.0, spread) / n) / (1 - by_chance)
    return Metric(
        value=kappa,
        n=n,
        low=max(-1.0, kappa - half),
        high=min(1.0, kappa + half),
        method="fleiss-cohen-everitt",
    )


def spearman(first: ArrayLike, second: ArrayLike) -> Metric:
    """Spearman's rank correlation of two raters' grades, with Bonett and Wright's interval.

    Args:
        first: One grade an item.
        second: The same items, in the same order.

    Returns:
        ρ; n = 0 within [-1, 1] where it is not defined: fewer than two items, or a rater who always
        says the same.
    """
    a, b = vector(first, "first"), vector(second, "second")
    same_length(a, b)
    if not _varies(a, b):
        return _undefined("bonett-wright")
    rho = float(stats.spearmanr(a, b).statistic)
    variance = (1 + rho**2 / 2) / (len(a) - 3) if len(a) > 3 else math.inf
    return _transformed(rho, len(a), variance, "bonett-wright")


def kendall(first: ArrayLike, second: ArrayLike) -> Metric:
    """Kendall's τ-b of two raters' grades, with Fieller's interval.

    Args:
        first: One grade an item.
        second: The same items, in the same order.

    Returns:
        τ-b; n = 0 within [-1, 1] where it is not defined.
    """
    a, b = vector(first, "first"), vector(second, "second")
    same_length(a, b)
    if not _varies(a, b):
        return _undefined("fieller")
    tau = float(stats.kendalltau(a, b).statistic)
    variance = 0.437 / (len(a) - 4) if len(a) > 4 else math.inf
    return _transformed(tau, len(a), variance, "fieller")


def _places(values: ArrayLike, categories: Sequence[float], name: str) -> NDArray[np.int64]:
    place = {category: number for number, category in enumerate(categories)}
    rated = vector(values, name)
    strange = sorted({float(value) for value in rated} - set(place))
    if strange:
        raise ConfigError(
            f"`{name}` holds {strange[0]:g}, which is none of the categories. Name all categories."
        )
    return np.array([place[float(value)] for value in rated], dtype=np.int64)


def _credit(size: int, weights: Weights) -> NDArray[np.float64]:
    """What a pair of categories counts: 1 for equal ones."""
    if weights == "none" or size < 2:
        return np.eye(size)
    apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / (size - 1)
    return np.asarray(1 - (apart if weights == "linear" else apart**2), dtype=np.float64)


def _varies(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return len(a) >= 2 and bool(np.ptp(a) > 0) and bool(np.ptp(b) > 0)


def _undefined(method: str) -> Metric:
    return Metric(value=0.0, n=0, low=-1.0, high=1.0, method=method)


def _transformed(value: float, n: int, variance: float, method: str) -> Metric:
    """Interval on Fisher's scale; the whole range where the items are too few, a point at ±1."""
    value = max(-1.0, min(1.0, value))
    if not math.isfinite(variance):
        return Metric(value=value, n=n, low=-1.0, high=1.0, method=method)
    if abs(value) == 1:
        return Metric(value=value, n=n, low=value, high=value, method=method)
    centre, half = math.atanh(value), _Z * math.sqrt(variance)
    return Metric(
        value=value, n=n, low=math.tanh(centre - half), high=math.tanh(centre + half), method=method
    )
