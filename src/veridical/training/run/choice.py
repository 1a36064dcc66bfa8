"""What is held out, and which checkpoint is kept by measurements on it, never on test data.

Data is held out by images, so that no image is learnt from and measured on.

A rule turns a checkpoint's metrics into a key; the smallest key wins, the earliest of equals. Keys
are compared, not weighed, so that the best so far can be kept while training continues and the rest
thrown away.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from veridical.errors import ConfigError
from veridical.feedback.pairs import HasImages, image_groups, split_by_image
from veridical.progress import counted

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


Item = TypeVar("Item", bound=HasImages)


def hold_out(
    items: Sequence[Item], share: float, *, setting: str, seed: int
) -> tuple[list[Item], list[Item]]:
    """Split rows into those that are learnt from and those that are held out.

    Args:
        items: The rows.
        share: Share of the images that is held out; 0: none.
        setting: The setting that gives the share, for the error.
        seed: Root seed.

    Raises:
        ConfigError: There are too few images for the share.
    """
    if not share:
        return list(items), []
    try:
        parts = split_by_image(items, {"train": 1 - share, "held out": share}, seed=seed)
    except ConfigError as error:
        images = len(set(image_groups(items)))
        raise ConfigError(
            f"`{setting}` = {share:g} splits {counted(images, 'image')} so that one part"
            " gets none. Give more"
            " images or another share, or set it to 0."
        ) from error
    return parts["train"], parts["held out"]
