"""AMBER's totals are ratios of sums; the official values add a bias and roundings.

Official denominators start at 0.001, values are rounded to one decimal of a percent, and F1 is made
of rounded precision and recall with 0.0001 (existence: 0.001) in its denominator.
"""

import math
from collections.abc import Sequence

from veridical.records import ItemScore, Metric
from veridical.scoring.measures import Measure
from veridical.scoring.yes_no import yes_no_measures, yes_no_metrics
from veridical.statistics import clustered_ratios

QUESTIONS: dict[str, tuple[str, ...]] = {
    "": ("existence", "state", "number", "action", "relation"),
    "/existence": ("existence",),
    "/attribute": ("state", "number", "action"),
    "/state": ("state",),
    "/number": ("number",),
    "/action": ("action",),
    "/relation": ("relation",),
}
"""What each suffix of a metric pools."""

_BIAS = 0.001


def description_metrics(
    scores: Sequence[ItemScore], *, official: bool, seed: int
) -> dict[str, Metric]:
    """Make `chair`, `cover`, `hal` and `cog`; what each is of what stands in the card.

    Args:
        scores: Judged descriptions.
        official: With the official bias and rounding.
        seed: Of the bootstrap.
    """
    ratios = _description_ratios(scores)
    found = clustered_ratios(
        ratios, [score.cluster for score in scores], bounds=(0.0, 1.0), seed=seed
    )
    metrics = {}
    for name, (above, below) in ratios.items():
        metric = found[name].model_copy(update={"n": int(sum(below))})
        if official and name == "hal":
            free = len(scores) - sum(above)
            metric = _with_value(
                metric, round(100 - 100 * free / (len(scores) + _BIAS), 1) / 100 if scores else 0.0
            )
        elif official:
            metric = _with_value(metric, _official_share(sum(above), sum(below)))
        metrics[name] = metric
    return metrics


def amber_measures(scores: Sequence[ItemScore]) -> dict[str, Measure]:
    """The exact ratios of both halves as sums over items; a half without items has none."""
    descriptions = [score for score in scores if "mentions" in score.values]
    clusters = [score.cluster for score in descriptions]
    measures = {
        name: Measure(above, below, clusters, "rate" if name == "hal" else "ratio")
        for name, (above, below) in _description_ratios(descriptions).items()
        if descriptions
    }
    for suffix, dimensions in QUESTIONS.items():
        part = [score for score in scores if score.group in dimensions]
        if part:
            found = yes_no_measures(part, positive="no", suffix=suffix)
            measures |= {
                name: found[name]
                for name in found
                if name == "yes_ratio" or not name.startswith("yes_ratio")
            }
    return measures


def question_metrics(
    scores: Sequence[ItemScore], *, official: bool, seed: int
) -> dict[str, Metric]:
    """Accuracy, precision, recall and F1 of the answer "no", over all and by dimension.

    Args:
        scores: Judged answers.
        official: With the official bias and rounding.
        seed: Of the bootstrap.
    """
    metrics: dict[str, Metric] = {}
    for suffix, dimensions in QUESTIONS.items():
        part = [score for score in scores if score.group in dimensions]
        found = yes_no_metrics(part, positive="no", seed=seed)
        if suffix:
            del found["yes_ratio"]
        if official:
            found |= _official_answers(
                part, found, epsilon=0.001 if suffix == "/existence" else 0.0001
            )
        metrics |= {name + suffix: metric for name, metric in found.items()}
    return metrics


def amber_score(chair: Metric, f1: Metric) -> Metric:
    """(100 − chair + F1) / 2 in points; the interval adds the squares of the two parts' distances.

    Descriptions and questions share images, which this takes no account of.
    """
    down = math.hypot(chair.high - chair.value, f1.value - f1.low)
    up = math.hypot(chair.value - chair.low, f1.high - f1.value)
    value = (100 - 100 * chair.value + 100 * f1.value) / 2
    n = min(chair.n, f1.n)
    low, high = (max(0.0, value - 50 * down), min(100.0, value + 50 * up)) if n else (0.0, 100.0)
    return Metric(
        value=round(value, 10),
        n=n,
        low=min(low, value),
        high=max(high, value),
        method="squares of parts",
    )


def _description_ratios(scores: Sequence[ItemScore]) -> dict[str, tuple[list[float], list[float]]]:
    def column(name: str) -> list[float]:
        return [score.values[name] for score in scores]

    return {
        "chair": (column("hallucinated"), column("mentions")),
        "cover": (column("covered"), column("truth")),
        "hal": ([float(value > 0) for value in column("hallucinated")], [1.0] * len(scores)),
        "cog": (column("imagined"), column("traps")),
    }


def _official_answers(
    scores: Sequence[ItemScore], found: dict[str, Metric], *, epsilon: float
) -> dict[str, Metric]:
    said_no = [score.values.get("predicted") == 0.0 for score in scores]
    true_no = [score.values["label"] == 0.0 for score in scores]
    hits = sum(said and true for said, true in zip(said_no, true_no, strict=True))
    right = sum(score.values.get("predicted") == score.values["label"] for score in scores)
    accuracy = _official_share(right, len(scores))
    precision, recall = _official_share(hits, sum(said_no)), _official_share(hits, sum(true_no))
    f1 = round(100 * 2 * precision * recall / (precision + recall + epsilon), 1) / 100
    values = {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}
    return {name: _with_value(found[name], value) for name, value in values.items()}


def _official_share(above: float, below: float) -> float:
    return round(100 * above / (below + _BIAS), 1) / 100


def _with_value(metric: Metric, value: float) -> Metric:
    """The official value with the exact ratio's interval, widened where rounding leaves it."""
    value = min(max(round(value, 3), 0.0), 1.0)  # the digits of one decimal of a percent
    return metric.model_copy(
        update={"value": value, "low": min(metric.low, value), "high": max(metric.high, value)}
    )
