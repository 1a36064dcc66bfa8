"""Yes and no: read strictly out of an answer, and the rates of such a classification."""

import re
from collections.abc import Sequence
from typing import Literal

from veridical.records import ItemScore, Metric
from veridical.scoring.measures import Measure
from veridical.statistics import clustered_ratios, wilson

Answer = Literal["yes", "no", "unknown"]

_WORD = re.compile(r"[a-z']+")


def strict_answer(text: str) -> Answer:
    """Read an answer that says one of yes and no, in any case and punctuation; all else is unknown.

    The first word decides where it is yes or no; otherwise the text must hold exactly one of the
    two.

    >>> strict_answer("NO!"), strict_answer("No, but yes"), strict_answer("I am not sure")
    ('no', 'no', 'unknown')
    """
    words = _WORD.findall(text.lower())
    if words and words[0] in ("yes", "no"):
        return "yes" if words[0] == "yes" else "no"
    said = {"yes", "no"} & set(words)
    if len(said) != 1:
        return "unknown"
    return "yes" if "yes" in said else "no"


def yes_no_metrics(
    scores: Sequence[ItemScore], *, positive: Literal["yes", "no"] = "yes", seed: int = 0
) -> dict[str, Metric]:
    """Accuracy, precision, recall, F1 and share of "yes", resampled by cluster.

    n is the number of items that the ratio is of (yes said, for precision), 0 where it is not
    defined.

    Args:
        scores: Items whose `values` hold `label` and `predicted`: 1 for yes, 0 for no; `predicted`
            is absent where the answer was neither, which is wrong and no prediction.
        positive: The class that precision, recall and F1 are of.
        seed: Of the bootstrap.
    """
    ratios = _ratios(scores, positive)
    clusters = [score.cluster for score in scores]
    found = clustered_ratios(ratios, clusters, bounds=(0.0, 1.0), seed=seed)
    counted = {name: round(sum(below)) for name, (_, below) in ratios.items()}
    counted["f1"] = len(scores) if any(ratios["f1"][1]) else 0
    metrics = {
        name: metric.model_copy(update={"n": counted[name]}) for name, metric in found.items()
    }
    if len(set(clusters)) == len(scores):
        for name in ("accuracy", "yes_ratio"):
            metrics[name] = wilson(round(sum(ratios[name][0])), len(scores))
    return metrics


def yes_no_measures(
    scores: Sequence[ItemScore], *, positive: Literal["yes", "no"] = "yes", suffix: str = ""
) -> dict[str, Measure]:
    """The same rates as sums over items, for paired tests.

    Args:
        scores: As above.
        positive: As above.
        suffix: What the metrics' names end in.
    """
    clusters = [score.cluster for score in scores]
    alone = len(set(clusters)) == len(scores)
    return {
        name + suffix: Measure(
            above,
            below,
            clusters,
            "rate" if alone and name in ("accuracy", "yes_ratio") else "ratio",
        )
        for name, (above, below) in _ratios(scores, positive).items()
    }


def _ratios(
    scores: Sequence[ItemScore], positive: Literal["yes", "no"]
) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Numerators and denominators of each rate, one of each an item."""
    truth = 1.0 if positive == "yes" else 0.0
    label = [score.values["label"] == truth for score in scores]
    said = [score.values.get("predicted") == truth for score in scores]
    right = [score.values.get("predicted") == score.values["label"] for score in scores]
    hits = [a and b for a, b in zip(label, said, strict=True)]
    yes = [score.values.get("predicted") == 1.0 for score in scores]
    both = [a + b for a, b in zip(label, said, strict=True)]
    ones = [1.0] * len(scores)
    return {
        "accuracy": (right, ones),
        "precision": (hits, said),
        "recall": (hits, label),
        "f1": ([2.0 * hit for hit in hits], both),
        "yes_ratio": (yes, ones),
    }
