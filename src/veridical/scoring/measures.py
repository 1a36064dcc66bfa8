"""A metric as sums over items, which give its interval and the paired test of two runs."""

from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

from veridical.errors import ConfigError
from veridical.records import Difference, ItemScore, Metric
from veridical.statistics import (
    clustered_bootstrap,
    clustered_ratios,
    mcnemar,
    mean_metric,
    paired_permutation,
    paired_ratio_difference,
    wilson,
)

RESAMPLES = 4_000
"""Resamples of an interval or a test here; the Monte Carlo error of p = 0.05 is then 0.003."""


class Measure(NamedTuple):
    """A metric as Σ numerators / Σ denominators over items."""

    numerators: Sequence[float]
    """One per item."""
    denominators: Sequence[float]
    """One per item; 0 where the item has no part in the metric."""
    clusters: Sequence[str]
    """What is resampled together: the scene or image of each item."""
    kind: Literal["rate", "mean", "ratio"]
    """rate: one yes or no per cluster (Wilson, McNemar); mean: one number per cluster (t,
    permutation); ratio: the rest."""
    bounds: tuple[float, float] | None = (0.0, 1.0)
    """Least and greatest possible value."""

    def metric(self, *, seed: int, resamples: int = RESAMPLES) -> Metric:
        """The value with its interval."""
        counted = [
            above for above, below in zip(self.numerators, self.denominators, strict=True) if below
        ]
        if self.kind == "rate":
            return wilson(int(sum(counted)), len(counted))
        if self.kind == "mean":
            return mean_metric(counted, bounds=self.bounds)
        return clustered_bootstrap(
            self.numerators,
            self.clusters,
            denominators=self.denominators,
            bounds=self.bounds,
            seed=seed,
            resamples=resamples,
        )

    def difference(self, other: "Measure", *, seed: int, resamples: int = RESAMPLES) -> Difference:
        """Other minus this, paired by item; for rates and means over the items that both runs have.

        Raises:
            ConfigError: The two are not of the same clusters in the same order.
        """
        if list(self.clusters) != list(other.clusters):
            raise ConfigError(
                "Two runs are compared on the same items in the same order. Evaluate both on one"
                " set."
            )
        if self.kind == "ratio":
            return paired_ratio_difference(
                (self.numerators, self.denominators),
                (other.numerators, other.denominators),
                self.clusters,
                seed=seed,
                resamples=resamples,
            )
        both = [
            i
            for i, pair in enumerate(zip(self.denominators, other.denominators, strict=True))
            if all(pair)
        ]
        first, second = ([one.numerators[i] for i in both] for one in (self, other))
        if self.kind == "rate":
            return mcnemar(first, second)
        clusters = [self.clusters[i] for i in both]
        return paired_permutation(first, second, clusters, seed=seed, resamples=resamples)


class Tested(NamedTuple):
    """Two values of a metric with their paired test, also where it is not a ratio of sums."""

    first: float
    """The first run's value."""
    second: float
    """The second run's."""
    difference: Difference
    """Second minus first."""
    items: str = "items"
    """What its n counts."""


def means(
    values: Sequence[float | None],
    clusters: Sequence[str],
    *,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Measure:
    """Mean of what was measured, as a measure of the right kind.

    Args:
        values: One number per item, None where there is none.
        clusters: What each item belongs to.
        bounds: Least and greatest possible value.
    """
    found = [value for value in values if value is not None]
    alone = len(set(clusters)) == len(clusters)
    yes_or_no = bounds == (0.0, 1.0) and set(found) <= {0, 1}
    kind: Literal["rate", "mean", "ratio"] = ("rate" if yes_or_no else "mean") if alone else "ratio"
    return Measure(
        [float(value or 0) for value in values],
        [float(value is not None) for value in values],
        clusters,
        kind,
        bounds,
    )


def rate_metric(values: Sequence[float], clusters: Sequence[Hashable], *, seed: int) -> Metric:
    """Mean of values in [0, 1], with n the number of items.

    Args:
        values: One number per item; true and false will do.
        clusters: What each item belongs to (its image); Wilson's interval where each stands alone
            and is 0 or 1.
        seed: Of the bootstrap.
    """
    if len(set(clusters)) == len(values) and set(values) <= {0, 1}:
        return wilson(int(sum(values)), len(values))
    ratios = {"rate": (values, [1.0] * len(values))}
    metric = clustered_ratios(ratios, clusters, bounds=(0.0, 1.0), seed=seed)["rate"]
    return metric.model_copy(update={"n": len(values)})


def rates_by_group(
    scores: Sequence[ItemScore], name: str, *, value: str = "correct", seed: int = 0
) -> dict[str, Metric]:
    """The rate `name` over all items and `name/GROUP` for each group, sorted by group.

    Args:
        scores: Items whose `values` hold `value` in [0, 1].
        name: Name of the metric.
        value: Which of the items' numbers.
        seed: Of the bootstrap.
    """
    groups: dict[str, list[ItemScore]] = {name: list(scores)}
    for group in sorted({score.group for score in scores if score.group}):
        groups[f"{name}/{group}"] = [score for score in scores if score.group == group]
    return {
        label: rate_metric(
            [one.values[value] for one in members], [one.cluster for one in members], seed=seed
        )
        for label, members in groups.items()
    }
