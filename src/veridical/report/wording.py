"""How numbers are worded: metrics with units, intervals, n, p, and what a difference shows."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from veridical.records import Difference, Metric

_THIN = "\u202f"
_MINUS = "\u2212"
_CLOSE = 5.0
"""Points below which two rates in a sentence keep a digit after the point."""

Verdict = Literal["better", "worse", "changed", "not shown"]


class MetricInfo(NamedTuple):
    """What a metric is called and how it is shown."""

    label: str
    """For people."""
    unit: Literal["%", "points", "words", "tokens", "of 6", ""]
    """Rates are kept in [0, 1] and shown in per cent, differences of rates in points."""
    better: Literal["lower", "higher", ""]
    """Which direction is good; empty where neither is."""
    meaning: str = ""
    """A sentence that says what is counted."""


METRICS: dict[str, MetricInfo] = {
    "hallucination_rate": MetricInfo(
        "Descriptions with a hallucination",
        "%",
        "lower",
        "Descriptions that say at least one thing that is not so.",
    ),
    "mention_hallucination_rate": MetricInfo(
        "Mentions that are wrong",
        "%",
        "lower",
        "Of all things said, those that are not in the picture or not so.",
    ),
    "object_coverage": MetricInfo(
        "Objects named",
        "%",
        "higher",
        "Of the objects in the pictures, those that the description names.",
    ),
    "detail_coverage": MetricInfo(
        "Details stated",
        "%",
        "higher",
        "Of the numbers, colours and places of these objects, those that it states truly.",
    ),
    "mean_length": MetricInfo(
        "Length of a description", "words", "", "A model that says less errs less: watch this."
    ),
    "mean_length/tokens": MetricInfo("Length of a description, in tokens", "tokens", ""),
    "repetition_rate": MetricInfo("Descriptions that repeat themselves", "%", "lower"),
    "empty_rate": MetricInfo("Empty descriptions", "%", "lower"),
    "cut_rate": MetricInfo("Descriptions cut at the token limit", "%", "lower"),
    "yes_no_f1": MetricInfo(
        "Yes/no questions, F1", "%", "higher", "Questions whether an object is there."
    ),
    "yes_no_accuracy": MetricInfo("Yes/no questions, right", "%", "higher"),
    "yes_ratio": MetricInfo(
        "Yes/no questions answered yes", "%", "", "Half of the questions deserve a yes."
    ),
    "yes_no_precision": MetricInfo("Yes/no questions, precision", "%", "higher"),
    "yes_no_recall": MetricInfo("Yes/no questions, recall", "%", "higher"),
    "yes_no_unparsed_rate": MetricInfo("Yes/no questions without a readable answer", "%", "lower"),
    "mmhal_hallucination_rate": MetricInfo(
        "MMHal-style answers with a hallucination", "%", "lower"
    ),
    "mmhal_score": MetricInfo(
        "MMHal-style score",
        "of 6",
        "higher",
        "Eight types of questions, each answer rated from 0 to 6.",
    ),
    "relative_score": MetricInfo(
        "Score relative to the true answer",
        "%",
        "higher",
        "As in LLaVA-Bench: 1 to 10, judged next to a reference answer.",
    ),
    "reward_accuracy": MetricInfo(
        "Comparisons that the reward model decides rightly",
        "%",
        "higher",
        "Held-out comparisons by people who never err, ties left out.",
    ),
    "judge": MetricInfo(
        "Exact judge on held-out prompts",
        "of 6",
        "higher",
        "At the last measurement of a run; four samples per prompt.",
    ),
    "judge_fall": MetricInfo("Judge's fall from its best", "of 6", "lower"),
    "reward_rise": MetricInfo("Reward's rise since then", "", ""),
    "kl": MetricInfo("Distance from the start, nats per response", "", ""),
    "hacking_warning": MetricInfo("Runs that warned of reward hacking", "%", ""),
    "over_generalisation": MetricInfo(
        "Over-generalisation",
        "points",
        "lower",
        "How much more often typical objects are invented in their own context than anywhere.",
    ),
}
"""The metrics that have a wording of their own; others are shown under their own name, as they
are."""


_SPELLINGS = {"f1": "F1", "chair": "CHAIR", "amber": "AMBER", "mmhal": "MMHal", "gpt": "GPT"}
"""Words of metrics' names that are not written in lower case."""


def metric_info(name: str) -> MetricInfo:
    """Wording of a metric; `hallucination_rate/object` is `hallucination_rate` of one kind."""
    if name in METRICS:
        return METRICS[name]
    stem, _, kind = name.partition("/")
    if kind and stem in METRICS:
        known = METRICS[stem]
        return known._replace(label=f"{known.label}: {kind.replace('_', ' ')}", meaning="")
    better: Literal["lower", "higher", ""] = "lower" if "hallucination" in name else ""
    return MetricInfo(label_of(name), "%" if stem.endswith("_rate") else "", better)


def label_of(name: str) -> str:
    """A metric's name for people: "chair_i/kitchen" is "CHAIR i: kitchen"."""
    words = name.replace("_", " ").replace("/", ": ").split(" ")
    text = " ".join(_SPELLINGS.get(word, word) for word in words)
    return text[:1].upper() + text[1:]


def shown(value: float, unit: str) -> float:
    """The number in the unit it is shown in: rates in per cent, their differences in points."""
    return 100 * value if unit in ("%", "points") else value


def decimal(value: float, *, digits: int = 1) -> str:
    """A number with a true minus sign and no minus zero."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", _MINUS)


def digits_of(unit: str) -> int:
    """Digits after the point that a unit is shown with."""
    return 1 if unit in ("%", "points", "words", "tokens") else 2


def value_text(metric: Metric, unit: str) -> str:
    """The estimate with its unit: "57.4 %"; a dash where nothing was measured."""
    if metric.n == 0:
        return "–"
    number = signed if unit == "points" else decimal
    text = number(shown(metric.value, unit), digits=digits_of(unit))
    return f"{text}{_THIN}{unit}" if unit else text


def interval_text(metric: Metric | Difference, unit: str) -> str:
    """The 95 % interval without unit: "54.1 to 60.6"."""
    low, high = (
        decimal(shown(end, unit), digits=digits_of(unit)) for end in (metric.low, metric.high)
    )
    return f"{low} to {high}"


def difference_text(difference: Difference, unit: str) -> str:
    """The difference with its sign: "−45.2 points"."""
    if difference.n == 0:
        return "–"
    name = "points" if unit == "%" else "" if unit == "of 6" else unit
    return (
        f"{signed(shown(difference.difference, unit), digits=digits_of(unit))}{_THIN}{name}".rstrip(
            _THIN
        )
    )


def signed(value: float, *, digits: int = 1) -> str:
    """A number with its sign, plus too; 0 has none."""
    text = decimal(value, digits=digits)
    return text if text[0] == _MINUS or float(text) == 0 else f"+{text}"


def points_text(value: float) -> str:
    """A difference of rates in points: "+16.6"."""
    return signed(100 * value)


def count_text(count: int) -> str:
    """A count with commas between thousands."""
    return f"{count:,}"


def p_text(p: float) -> str:
    """A p-value, "< 0.001" where smaller."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def seconds_text(seconds: float) -> str:
    """A duration: "48 s", "3 min 20 s"."""
    if seconds < 10:
        return f"{seconds:.1f}{_THIN}s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole}{_THIN}s"
    return f"{whole // 60}{_THIN}min {whole % 60}{_THIN}s"


def hours_text(hours: float) -> str:
    """Working time: "12 min", "33 h"."""
    return f"{60 * hours:.0f}{_THIN}min" if hours < 2 else f"{count_text(round(hours))}{_THIN}h"


def memory_text(memory: float) -> str:
    """Memory in MiB or GiB."""
    return (
        f"{memory / 2**30:.1f}{_THIN}GiB" if memory >= 2**30 else f"{memory / 2**20:.0f}{_THIN}MiB"
    )


def is_shown(difference: Difference, *, p: float | None = None) -> bool:
    """Whether test and interval both show a difference (p: the adjusted one, if there is one)."""
    return (
        difference.n > 0
        and (difference.p if p is None else p) < 0.05
        and not difference.low <= 0 <= difference.high
    )


def verdict(difference: Difference, better: str, *, p: float | None = None) -> Verdict:
    """What a difference shows."""
    if not is_shown(difference, p=p):
        return "not shown"
    if not better:
        return "changed"
    return "better" if (difference.difference < 0) == (better == "lower") else "worse"


def rate_texts(metrics: Sequence[Metric]) -> list[str]:
    """Rates for a sentence: whole per cent, or one digit more where rates are close together."""
    values = sorted({round(100 * metric.value, 1) for metric in metrics})
    close = any(after - before < _CLOSE for before, after in pairwise(values))
    digits = 1 if close else 0
    return [f"{decimal(100 * metric.value, digits=digits)}{_THIN}%" for metric in metrics]


def headline(before: Metric, after: Metric, difference: Difference, *, corrections: int) -> str:
    """The one sentence of the report, no stronger than the test allows."""
    old, new = rate_texts([before, after])
    made_up = f"This model made something up in {old} of its picture descriptions."
    learnt = f"{count_text(corrections)} corrections"
    if not is_shown(difference):
        return f"{made_up} {learnt} later it is {new}: no difference is shown."
    change = "Now it does so in" if difference.difference < 0 else "Now it does so more often, in"
    return f"{made_up} {change} {new}, after learning from {learnt}."
