"""Warnings from a run's log: lost entropy, growing answers, repetition, distance, a useless critic.

Each rule looks at one measure of the log (`metrics.jsonl`) and warns where every one of the last
rows is beyond a limit: a single bad row never warns. Limits are fixed, or shares of where the run
began (the mean of its first rows). These are rules of thumb on noisy measures, not tests; how
rarely they cry without cause is checked by simulation: on stationary noise of 10 % of each measure,
fewer than 1 in 100 runs of 200 rows. Reward hacking has a test of its own, see `hacking`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from veridical.training.ppo.hacking import Hacking


class Rule(NamedTuple):
    """When one measure warns."""

    kind: str
    """Short name: "entropy collapse"."""
    measure: str
    """Key in the log's rows."""
    side: Literal["above", "below"]
    """Which side of the limit is bad."""
    limit: float
    """The limit, or with `relative` its ratio to the run's beginning."""
    relative: bool
    """Whether the limit is a share of the mean of the first rows."""
    rows: int
    """How many rows must all be beyond it, and how many make the beginning."""
    advice: str
    """What to do."""


RULES: tuple[Rule, ...] = (
    Rule(
        "entropy collapse",
        "entropy",
        "below",
        0.3,
        True,
        5,
        "raise the KL price or lower the learning rate; look at samples for one answer given to"
        " everything",
    ),
    Rule(
        "length growth",
        "length",
        "above",
        1.6,
        True,
        5,
        "the reward may pay for length: look at its accuracy by length difference, set"
        " reward.length_weight below 0",
    ),
    Rule(
        "length collapse",
        "length",
        "below",
        0.5,
        True,
        5,
        "saying less errs less: look at coverage, lower the price of length, compare with a judge"
        " of informativeness",
    ),
    Rule(
        "repetition",
        "repetition",
        "above",
        0.2,
        False,
        5,
        "set reward.repetition_weight below 0, and look at samples",
    ),
    Rule(
        "unfinished answers",
        "finished",
        "below",
        0.8,
        False,
        5,
        "set reward.unfinished_weight below 0, or raise rollout.max_new_tokens if answers are"
        " rightly so long",
    ),
    Rule(
        "KL blow-up",
        "kl_k1",
        "above",
        30.0,
        False,
        3,
        "the policy is where the reward was never learnt: raise kl.coefficient or set kl.target",
    ),
    Rule(
        "clipping",
        "clip_fraction",
        "above",
        0.3,
        False,
        5,
        "updates are larger than the clipped loss is made for: lower the learning rate or"
        " train.ppo_epochs",
    ),
    Rule(
        "critic worse than none",
        "explained_variance",
        "below",
        0.0,
        False,
        5,
        "values predict returns worse than their mean: warm the value up longer, raise its learning"
        " rate, or take rloo",
    ),
)
"""The rules by default. Measures that a log does not have are passed over."""


class Warned(NamedTuple):
    """One warning about a run."""

    kind: str
    """What it is about; each kind warns once at a time."""
    since_step: int
    """Step from which on it holds."""
    text: str
    """What happens, with its numbers."""
    advice: str
    """What to do."""

    def __str__(self) -> str:
        return f"{self.text}. To do: {self.advice}."


def find_warnings(
    rows: Iterable[Mapping[str, Any]], *, rules: Sequence[Rule] = RULES
) -> list[Warned]:
    """Say what the log of a run warns of as it stands.

    Args:
        rows: Rows of the log in order, each with `step`; rows without a rule's measure do not count
            for it. Rows of the part "validation" are left out: what is measured there is not
            comparable with training rows.
        rules: What to look for.
    """
    found = []
    kept = [row for row in rows if row.get("part") != "validation"]
    for rule in rules:
        series = [
            (int(row["step"]), float(row[rule.measure]))
            for row in kept
            if _is_number(row.get(rule.measure))
        ]
        warned = _apply(rule, series)
        if warned is not None:
            found.append(warned)
    return found


def hacking_warning(hacking: Hacking) -> Warned:
    """Put what the test of reward hacking found next to the other warnings."""
    return Warned("reward hacking", hacking.since_step, hacking.text, hacking.advice)


def _apply(rule: Rule, series: Sequence[tuple[int, float]]) -> Warned | None:
    if len(series) < rule.rows * (2 if rule.relative else 1):
        return None
    start = math.fsum(value for _, value in series[: rule.rows]) / rule.rows
    if rule.relative and start <= 0:
        return None  # a share of nothing gives no limit
    limit = rule.limit * start if rule.relative else rule.limit
    watched = series[rule.rows :] if rule.relative else series
    first = len(watched)
    while (
        first
        and (watched[first - 1][1] > limit) == (rule.side == "above")
        and watched[first - 1][1] != limit
    ):
        first -= 1
    if len(watched) - first < rule.rows:
        return None
    last = [value for _, value in watched[-rule.rows :]]
    now, since = math.fsum(last) / len(last), watched[first][0]
    of = f"; it began at {start:.3g}" if rule.relative else ""
    text = (
        f"{rule.kind} since step {since}: {rule.measure} is {now:.3g} (mean of the last {rule.rows}"
        f" rows), {rule.side} {limit:.3g}{of}"
    )
    return Warned(rule.kind, since, text, rule.advice)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
