"""The few SVG pieces that figures need; colours are classes of the style sheet, for both themes."""

import math
from typing import NamedTuple

from markupsafe import Markup, escape

SHAPES = ("circle", "square", "triangle", "diamond", "down", "cross", "hexagon", "plus")
"""Marks that differ without colour."""


def element(name: str, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """One element: `class_` is `class`, `_` becomes `-`, numbers are rounded, None is left out."""
    parts = [
        f'{key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    opening = " ".join([name, *parts])
    inner = Markup("").join(escape(child) for child in children)
    # Names are literals of this package; attribute values and children are escaped above.
    return Markup(f"<{opening}>{inner}</{name}>" if children else f"<{opening}/>")  # noqa: S704


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def figure_svg(width: float, height: float, title: str, *children: Markup) -> Markup:
    """A figure with its title for screen readers."""
    return element(
        "svg",
        element("title", title),
        *children,
        class_="figure",
        viewBox=f"0 0 {_text(width)} {_text(height)}",
        role="img",
        aria_label=title,
    )


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=style)


def text(x: float, y: float, words: str, style: str = "", *, anchor: str | None = None) -> Markup:
    """One line of text."""
    return element("text", words, x=x, y=y, class_=style or None, text_anchor=anchor)


def mark(
    x: float, y: float, style: str, *, shape: str = "circle", size: float = 4.5, title: str = ""
) -> Markup:
    """A mark of one of the `SHAPES`, with a title that shows on hover."""
    inner = (element("title", title),) if title else ()
    if shape == "circle":
        return element("circle", *inner, cx=x, cy=y, r=size, class_=style)
    if shape in ("cross", "plus"):
        turn = math.pi / 4 if shape == "cross" else 0.0
        ends = [
            (
                size * 1.2 * math.cos(turn + i * math.pi / 2),
                size * 1.2 * math.sin(turn + i * math.pi / 2),
            )
            for i in range(4)
        ]
        path = "".join(f"M{_text(x)} {_text(y)}L{_text(x + dx)} {_text(y + dy)}" for dx, dy in ends)
        return element("path", *inner, d=path, class_=f"{style} open")
    corners, start = {
        "square": (4, 45),
        "triangle": (3, -90),
        "diamond": (4, 0),
        "down": (3, 90),
        "hexagon": (6, 0),
    }[shape]
    radius = size * 1.3
    points = " ".join(
        f"{_text(x + radius * math.cos(math.radians(start + 360 * i / corners)))},"
        f"{_text(y + radius * math.sin(math.radians(start + 360 * i / corners)))}"
        for i in range(corners)
    )
    return element("polygon", *inner, points=points, class_=style)


class Scale(NamedTuple):
    """Maps numbers linearly to pixels."""

    low: float
    """Number at `start`."""
    high: float
    """Number at `end`."""
    start: float
    """Pixel of `low`."""
    end: float
    """Pixel of `high`."""

    def __call__(self, value: float) -> float:
        """Pixel of a number; numbers beyond the ends stay at the ends."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 4) -> list[float]:
        """Round numbers within the scale, about `count` of them."""
        return round_numbers(self.low, self.high, count)


def round_numbers(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten that lie within low … high."""
    rough = (high - low) / max(1, count)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def span_of(values: list[float], *, pad: float = 0.06, least: float = 1e-6) -> tuple[float, float]:
    """Lowest and highest of the values with some air around them."""
    low, high = min(values), max(values)
    air = max((high - low) * pad, least)
    return low - air, high + air
