"""Small column charts as numbers for a template: no script, no style attribute."""

from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 480, 120


class Column(NamedTuple):
    """One column."""

    x: float
    """Left edge."""
    y: float
    """Top."""
    width: float
    """Width."""
    height: float
    """Height."""
    label: str
    """What it is of."""
    value: str
    """Its number."""


class Chart(NamedTuple):
    """A chart of columns."""

    title: str
    """What is drawn."""
    columns: list[Column]
    """Left to right."""
    first: str
    """Label of the first column."""
    last: str
    """Label of the last one."""
    top: str
    """Number at the top of the scale."""


def columns(title: str, values: Sequence[tuple[str, float]]) -> Chart:
    """Lay out the last sixty values."""
    values = values[-60:]
    top = max((value for _, value in values), default=0) or 1
    step = min(WIDTH / max(len(values), 1), 48)
    made = [
        Column(
            round(number * step, 1),
            round(HEIGHT * (1 - value / top), 1),
            round(step * 0.8, 1),
            round(HEIGHT * value / top, 1),
            label,
            f"{value:.0f}",
        )
        for number, (label, value) in enumerate(values)
    ]
    first, last = (values[0][0], values[-1][0]) if values else ("", "")
    return Chart(title, made, first, last, f"{top:.0f}")
