"""What figures share: width, looks, frames, ticks and polylines.

Without facts is red, with facts ink, anything else blue; marks differ in shape too, so that colour
is never needed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from veridical.report.figures.svg import (
    Scale,
    line,
    text,
)

WIDTH = 340.0
"""Width of most figures: about that of a phone's screen, so that their text keeps its size."""


class Look(NamedTuple):
    """How a run is drawn."""

    style: str
    """Class of the style sheet: "before", "after" or "other"."""
    shape: str
    """One of `svg.SHAPES`."""


LOOKS = (
    Look("before", "circle"),
    Look("after", "square"),
    Look("other", "triangle"),
    Look("more", "diamond"),
)
"""For runs in the order: without facts, with facts, others."""


def looks_of(count: int) -> list[Look]:
    """Looks of so many runs, in order; the last one repeats."""
    return [LOOKS[min(number, len(LOOKS) - 1)] for number in range(count)]


def frame(x: Scale, y: Scale, *, x_words: bool) -> list[Markup]:
    """Grid lines with ticks; those of the x axis only with `x_words`."""
    left, right, bottom = x.start, x.end, y.start
    parts: list[Markup] = []
    for tick in y.ticks(4):
        parts.append(line(left, y(tick), right, y(tick), "grid"))
        parts.append(
            text(left - 6, y(tick) + 4, f"{tick:g}".replace("-", "\u2212"), "tick", anchor="end")
        )
    ticks = x.ticks(4) if x_words else []
    return [
        *parts,
        *(text(x(tick), bottom + 16, f"{tick:g}", "tick", anchor="middle") for tick in ticks),
    ]


def points_text(places: Sequence[tuple[float, float]]) -> str:
    """The `points` attribute of a line or polygon."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def tick_text(value: float) -> str:
    """A number on an axis, with a real minus sign."""
    return f"{value:g}".replace("-", "\u2212")
