"""Krippendorff's α: agreement beyond chance for any number of raters, gaps allowed.

Paper: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability. Interval: bootstrap of whole
items (1000, seeded). Undefined is said with its reason, never 1 or NaN.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.records import Metric

Level = Literal["nominal", "ordinal", "interval"]
"""How far apart two categories are: different or not, by ranks, by their places."""
_DRAWS = 1000
_ZERO = np.zeros((1, 1))


class Agreement(NamedTuple):
    """α, or why there is none."""

    metric: Metric | None
    """α with its interval; n counts the items that two or more people judged."""
    reason: str
    """Why α is not defined; empty where it is."""


def krippendorff_alpha(
    units: Sequence[Sequence[int]],
    *,
    size: int,
    level: Level,
    items: Sequence[int] | None = None,
    seed: int = 0,
) -> Agreement:
    """α of ratings.

    Args:
        units: The ratings of each unit: numbers of categories from 0.
        size: How many categories there are.
        level: How far apart categories are.
        items: The item that each unit belongs to, which is resampled whole; by default its own.
        seed: Seed of the bootstrap.
    """
    groups: dict[int, Counter[tuple[int, ...]]] = {}
    for number, unit in enumerate(units):
        if len(unit) >= 2:
            name = number if items is None else items[number]
            groups.setdefault(name, Counter())[tuple(unit)] += 1
    if not groups:
        return Agreement(None, "no item has two judgements")
    stacked = np.stack(
        [
            sum((count * _coincidences(unit, size) for unit, count in alike.items()), _ZERO)
            for alike in groups.values()
        ]
    )
    value = _alpha(stacked.sum(axis=0)[None], level)[0]
    if np.isnan(value):
        return Agreement(None, "all judgements are the same")
    n = len(stacked)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_DRAWS)
    drawn = np.tensordot(weights.astype(float), stacked, axes=1)
    spread = _alpha(drawn, level)
    spread = spread[~np.isnan(spread)]
    low, high = np.quantile(spread, (0.025, 0.975)) if len(spread) else (-1.0, 1.0)
    return Agreement(
        Metric(
            value=float(value),
            n=n,
            low=float(min(low, value)),
            high=float(max(high, value)),
            method="item bootstrap",
        ),
        "",
    )


@lru_cache(maxsize=65_536)
def _coincidences(unit: tuple[int, ...], size: int) -> NDArray[np.float64]:
    counts = np.bincount(np.asarray(unit), minlength=size).astype(float)
    return (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)


def _alpha(tables: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
    """α of each coincidence table (draws, size, size); NaN where nothing differs."""
    totals = tables.sum(axis=2)
    n = totals.sum(axis=1)
    apart = np.stack([_distances(row, level) for row in totals])
    observed = (tables * apart).sum(axis=(1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * apart).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - (n - 1) * observed / expected, np.nan)


def _distances(totals: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
    size = len(totals)
    places = np.arange(size, dtype=float)
    if level == "nominal":
        return 1.0 - np.eye(size)
    if level == "ordinal":  # squared sum of the ranks in between, half of both ends
        places = np.cumsum(totals) - totals / 2
    return np.asarray(np.subtract.outer(places, places) ** 2)
