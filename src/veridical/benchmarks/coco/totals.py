"""Totals from items: how much they mention, how much of it is not there, what they found."""

from collections.abc import Mapping, Sequence

from veridical.records import ItemScore, Metric
from veridical.scoring.measures import RESAMPLES, Measure, means
from veridical.statistics import clustered_ratios


def column(scores: Sequence[ItemScore], name: str) -> list[float]:
    """One of the items' numbers."""
    return [score.values[name] for score in scores]


def object_measures(scores: Sequence[ItemScore]) -> dict[str, Measure]:
    """The metrics of CHAIR and Object HalBench as sums over items.

    Args:
        scores: Items whose `values` hold `mentions`, `hallucinated` (mentions of what is not
            there), `found` (kinds that are mentioned and there), `truth` (kinds that are there) and
            `tokens`.
    """
    clusters = [score.cluster for score in scores]
    mentions, absent = column(scores, "mentions"), column(scores, "hallucinated")
    wrong = [float(count > 0) for count in absent]
    answering = [one if count else None for one, count in zip(wrong, mentions, strict=True)]
    return {
        "chair_s": means(wrong, clusters),
        "response_hallucination": means(answering, clusters),
        "chair_i": Measure(absent, mentions, clusters, "ratio"),
        "recall": Measure(column(scores, "found"), column(scores, "truth"), clusters, "ratio"),
        "length": means(column(scores, "tokens"), clusters, bounds=None),
    }


def metrics_of(measures: Mapping[str, Measure], *, seed: int) -> dict[str, Metric]:
    """Values with intervals; n is the sum of the denominators, so 0 means nothing was measured.

    Args:
        measures: Metrics over the same items.
        seed: Of the bootstrap.
    """
    return {
        name: _metric(measure, seed=seed).model_copy(update={"n": int(sum(measure.denominators))})
        for name, measure in measures.items()
    }


def _metric(measure: Measure, *, seed: int) -> Metric:
    if measure.kind != "ratio":
        return measure.metric(seed=seed)
    # One ratio at a time: counts of one metric make few kinds of caption, and few kinds are drawn
    # fast.
    ratios = {"ratio": (measure.numerators, measure.denominators)}
    return clustered_ratios(
        ratios, measure.clusters, bounds=measure.bounds, seed=seed, resamples=RESAMPLES
    )["ratio"]


def complement(metric: Metric) -> Metric:
    """One minus a rate; not defined where the rate is not."""
    if metric.n == 0:
        return metric
    return metric.model_copy(
        update={"value": 1 - metric.value, "low": 1 - metric.high, "high": 1 - metric.low}
    )
