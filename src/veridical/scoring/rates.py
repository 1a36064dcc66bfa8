"""Shares of items with intervals that respect clusters: over all items, and by group."""

from collections.abc import Hashable, Sequence

from veridical.records import ItemScore, Metric
from veridical.statistics import clustered_ratios, wilson


def rate_metric(values: Sequence[float], clusters: Sequence[Hashable], *, seed: int) -> Metric:
    """Mean of values in [0, 1], with n the number of items.

    Args:
        values: One number an item; true and false will do.
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
    """The rate `name` over all items and `name/GROUP` for each group, in order of the groups' names.

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
