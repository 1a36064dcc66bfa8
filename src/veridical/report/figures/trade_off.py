"""Hallucination against coverage: what is gained against what is lost."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from veridical.records import Metric
from veridical.report.figures.parts import (
    WIDTH,
    tick_text,
)
from veridical.report.figures.svg import (
    SHAPES,
    Scale,
    figure_svg,
    line,
    mark,
    span_of,
    text,
)
from veridical.report.wording import (
    count_text,
    interval_text,
    value_text,
)


class TradeOff(NamedTuple):
    """One run in the picture of what is gained against what is lost."""

    name: str
    """The objective (runs of one name share a mark)."""
    run: str
    """Which run of it: seed and settings."""
    coverage: Metric
    """Share of the objects named."""
    hallucination: Metric
    """Share of descriptions with a hallucination."""


def trade_off(
    runs: Sequence[TradeOff],
    *,
    base: TradeOff,
    title: str,
    looks: Mapping[str, tuple[str, str]] | None = None,
) -> Markup:
    """Hallucination (up is worse) against coverage (left is worse); best is at the bottom right.

    Args:
        runs: What is compared.
        base: Where it began.
        title: What the figure shows, for those who cannot see it.
        looks: Style and shape by name, where other figures have fixed them; others get their own.
    """
    looks = looks or {}
    everything = [base, *runs]
    names = list(dict.fromkeys(run.name for run in runs))
    left, right, top, bottom = 44.0, WIDTH - 8, 24.0, 260.0
    x = Scale(
        *span_of([100 * v for r in everything for v in (r.coverage.low, r.coverage.high)]),
        left,
        right,
    )
    low, high = span_of(
        [100 * v for r in everything for v in (r.hallucination.low, r.hallucination.high)]
    )
    y = Scale(max(0.0, low), high, bottom, top)
    parts: list[Markup] = []
    for tick in y.ticks(4):
        parts += [
            line(left, y(tick), right, y(tick), "grid"),
            text(left - 6, y(tick) + 4, tick_text(tick), "tick", anchor="end"),
        ]
    for tick in x.ticks(5):
        parts += [
            line(x(tick), top, x(tick), bottom, "grid"),
            text(x(tick), bottom + 16, tick_text(tick), "tick", anchor="middle"),
        ]
    parts.append(
        text(right, bottom + 32, "objects named, % (right is better)", "tick", anchor="end")
    )
    parts.append(text(6, 12, "descriptions with a hallucination, % (lower is better)", "tick"))
    for run in everything:
        across, up = x(100 * run.coverage.value), y(100 * run.hallucination.value)
        parts.append(
            line(x(100 * run.coverage.low), up, x(100 * run.coverage.high), up, "range faint")
        )
        parts.append(
            line(
                across,
                y(100 * run.hallucination.low),
                across,
                y(100 * run.hallucination.high),
                "range faint",
            )
        )
    for run in everything:
        own = ("before", "circle") if run is base else _series(names.index(run.name))
        style, shape = looks.get(run.name, own)
        said = (
            f"{run.name}{', ' if run.run else ''}{run.run}: hallucination"
            f" {value_text(run.hallucination, '%')} ({interval_text(run.hallucination, '%')}),"
            f" coverage {value_text(run.coverage, '%')} ({interval_text(run.coverage, '%')}), n ="
            f" {count_text(run.hallucination.n)}"
        )
        place = x(100 * run.coverage.value), y(100 * run.hallucination.value)
        parts.append(mark(*place, style, shape=shape, title=said))
    for row, name in enumerate([base.name, *names]):
        y_legend = bottom + 54 + 19 * row
        style, shape = looks.get(name, ("before", "circle") if row == 0 else _series(row - 1))
        parts += [
            mark(left + 4, y_legend - 4, style, shape=shape),
            text(left + 18, y_legend, name, "label"),
        ]
    return figure_svg(WIDTH, bottom + 58 + 19 * (1 + len(names)), title, *parts)


def _series(number: int) -> tuple[str, str]:
    return f"series s{number % len(SHAPES)}", SHAPES[(number + 1) % len(SHAPES)]
