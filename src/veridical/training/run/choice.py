"""Which checkpoint is kept: a stated rule over measurements on held-out data, never on test data.

A rule turns a checkpoint's metrics into a key; the smallest key wins, the earliest of equals. Keys
are compared, not weighed, so that the best so far can be kept while training continues and the rest
thrown away.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from veridical.errors import ConfigError

Metrics = Mapping[str, float]


class ChoiceRule(NamedTuple):
    """How checkpoints are compared."""

    statement: str
    """The rule in words; written into the manifest."""
    key: Callable[[Metrics, Metrics], tuple[float, ...]]
    """From a checkpoint's metrics and those of the base to a key; the smallest wins."""


def default_rule(*, scenes: bool, held_out: bool, of: str, coverage_tolerance: float) -> ChoiceRule:
    """Give the rule for what is measured.

    Args:
        scenes: Whether hallucination and coverage are measured on validation scenes.
        held_out: Whether training data is held out.
        of: What that data is of: "pairs", "conversations".
        coverage_tolerance: How much less coverage than the base's is accepted, absolute.
    """
    if scenes:
        return least_hallucination(coverage_tolerance=coverage_tolerance)
    return least_loss(of=of) if held_out else latest()


def least_loss(*, of: str = "pairs") -> ChoiceRule:
    """Choose the checkpoint with the least loss on held-out data; the statement says which data."""

    def key(metrics: Metrics, base: Metrics) -> tuple[float, ...]:  # noqa: ARG001 (a rule may look at the base)
        return (_value(metrics, "loss"),)

    return ChoiceRule(f"least loss on held-out {of}", key)


def latest() -> ChoiceRule:
    """Choose the last checkpoint, where nothing is held out or held-out data only measures."""

    def key(metrics: Metrics, base: Metrics) -> tuple[float, ...]:  # noqa: ARG001 (a rule may look at the base)
        return (-_value(metrics, "step"),)

    return ChoiceRule("the last checkpoint", key)


def least_hallucination(*, coverage_tolerance: float) -> ChoiceRule:
    """Choose the least hallucination among checkpoints that keep coverage; if none, most coverage.

    Args:
        coverage_tolerance: How much less coverage than the base's is accepted, absolute.
    """

    def key(metrics: Metrics, base: Metrics) -> tuple[float, ...]:
        coverage = _value(metrics, "object_coverage")
        if coverage >= _value(base, "object_coverage") - coverage_tolerance - 1e-9:
            return (0.0, _value(metrics, "hallucination_rate"))
        return (1.0, -coverage)

    statement = (
        "least hallucination_rate among checkpoints whose object_coverage is at most"
        f" {coverage_tolerance:g} below the base's; where there is none, the most object_coverage"
    )
    return ChoiceRule(statement, key)


def _value(metrics: Metrics, name: str) -> float:
    if name not in metrics:
        raise ConfigError(
            f"The rule that chooses the checkpoint needs `{name}`, but only"
            f" {', '.join(sorted(metrics)) or 'nothing'} was measured. Give an `evaluate` that"
            " returns it, held-out pairs, or another rule."
        )
    return float(metrics[name])
