"""Metrics before and after, differences with intervals, and a rate on a bar."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from veridical.records import Difference, Metric
from veridical.report.figures.parts import (
    WIDTH,
    looks_of,
    tick_text,
)
from veridical.report.figures.svg import Scale, element, figure_svg, line, mark, span_of, text
from veridical.report.wording import (
    count_text,
    digits_of,
    interval_text,
    p_text,
    shown,
    signed,
    value_text,
)


class Change(NamedTuple):
    """A metric before and after."""

    label: str
    """What it is."""
    before: Metric
    """The base model."""
    after: Metric
    """The aligned model."""


def dumbbell(
    changes: Sequence[Change], *, unit: str, title: str, top: float | None = None
) -> Markup:
    """One row per metric: hollow mark before, filled mark after, on a common scale from 0.

    Args:
        changes: The rows.
        unit: Unit of all of them.
        title: What the figure shows, for those who cannot see it.
        top: End of the scale in the unit shown; by default the highest interval.
    """
    highest = max(
        (shown(m.high, unit) for c in changes for m in (c.before, c.after) if m.n), default=1.0
    )
    scale = Scale(0.0, top or max(highest * 1.05, 1e-6), 6, WIDTH - 6)
    row_height, height = 40.0, 40.0 * len(changes) + 22
    parts = _axis(scale, 4, height - 18, unit)
    for row, change in enumerate(changes):
        y = row * row_height + 14
        parts.append(text(6, y, change.label, "label"))
        numbers = " → ".join(
            value_text(metric, "%" if unit == "%" else "").removesuffix("\u202f%")
            for metric in change[1:]
        )
        parts.append(text(WIDTH - 6, y, numbers, "number", anchor="end"))
        if change.before.n and change.after.n:
            parts.append(
                line(
                    _at(scale, change.before.value, unit),
                    y + 13,
                    _at(scale, change.after.value, unit),
                    y + 13,
                    "link",
                )
            )
        parts += _interval(
            scale, change.before, unit, y + 10.5, "before", f"{change.label}, before"
        )
        parts += _interval(scale, change.after, unit, y + 15.5, "after", f"{change.label}, after")
    return figure_svg(WIDTH, height, title, *parts)


def forest(rows: Sequence[tuple[str, Difference]], *, unit: str, title: str) -> Markup:
    """Differences with their intervals around the line of no change."""
    ends = [shown(end, unit) for _, row in rows for end in (row.low, row.high, 0.0)]
    scale = Scale(*span_of(ends or [-1.0, 1.0], least=0.1), 6, WIDTH - 52)
    row_height, height = 36.0, 36.0 * len(rows) + 22
    parts = _axis(scale, 4, height - 18, "points" if unit == "%" else unit, signed=True)
    parts.append(line(scale(0), 4, scale(0), height - 18, "zero"))
    for number, (label, row) in enumerate(rows):
        y = number * row_height + 14
        low, value, high = (scale(shown(v, unit)) for v in (row.low, row.difference, row.high))
        size = signed(shown(row.difference, unit), digits=digits_of(unit))
        said = f"{label}: {size}, {interval_text(row, unit)}, p {p_text(row.p)}, n = {row.n}"
        parts.append(text(6, y, label, "label"))
        parts.append(text(WIDTH - 4, y + 15, size, "number", anchor="end"))
        parts.append(line(low, y + 11, high, y + 11, "range after"))
        parts.append(mark(value, y + 11, "after", shape="square", size=3.6, title=said))
    return figure_svg(WIDTH, height, title, *parts)


def run_rates(
    rows: Sequence[tuple[str, Sequence[Metric | None]]], *, runs: Sequence[str], title: str
) -> Markup:
    """One group of lines per metric, one mark with its interval per run, from 0 to 100 %.

    Args:
        rows: Label of each metric and its rate in each run; None where a run lacks it.
        runs: Names of the runs.
        title: What the figure shows, for those who cannot see it.
    """
    step, gap = 15.0, 24.0
    scale = Scale(0.0, 100.0, 6, WIDTH - 58)
    height = len(rows) * (gap + step * len(runs)) + 22
    parts = _axis(scale, 4, height - 18, "%")
    top = 0.0
    for label, metrics in rows:
        parts.append(text(6, top + 14, label, "label"))
        for number, (look, metric) in enumerate(zip(looks_of(len(runs)), metrics, strict=True)):
            if metric is None or metric.n == 0:
                continue
            y = top + gap + step * number
            at = scale(100 * metric.value)
            said = (
                f"{runs[number]}, {label}: {value_text(metric, '%')},"
                f" {interval_text(metric, '%')}, n = {count_text(metric.n)}"
            )
            parts += [
                line(scale(100 * metric.low), y, scale(100 * metric.high), y, "range after"),
                mark(at, y, look.style, shape=look.shape, size=4.2, title=said),
                text(WIDTH - 4, y + 4, value_text(metric, "%"), "number", anchor="end"),
            ]
        top += gap + step * len(runs)
    return figure_svg(WIDTH, height, title, *parts)


def interval_bar(metric: Metric, *, style: str) -> Markup:
    """A rate with its interval on a bar from 0 to 100 %."""
    scale = Scale(0.0, 1.0, 1, WIDTH - 1)
    said = f"{value_text(metric, '%')}, 95 % interval {interval_text(metric, '%')}"
    return figure_svg(
        WIDTH,
        20,
        said,
        element("rect", x=1, y=6, width=WIDTH - 2, height=8, rx=4, class_="track"),
        element(
            "rect",
            x=1,
            y=6,
            width=max(0.5, scale(metric.value) - 1),
            height=8,
            rx=4,
            class_=f"fill {style}",
        ),
        line(scale(metric.low), 10, scale(metric.high), 10, "halo"),
        line(scale(metric.low), 10, scale(metric.high), 10, "whisker"),
        line(scale(metric.low), 4, scale(metric.low), 16, "whisker"),
        line(scale(metric.high), 4, scale(metric.high), 16, "whisker"),
    )


def _axis(
    scale: Scale, top: float, bottom: float, unit: str, *, signed: bool = False
) -> list[Markup]:
    parts: list[Markup] = []
    ticks = scale.ticks(4)
    for number, tick in enumerate(ticks):
        at = scale(tick)
        anchor = "start" if at < 14 else "end" if at > WIDTH - 24 else "middle"
        words = ("+" if signed and tick > 0 else "") + tick_text(tick)
        last = f" {unit}" if number == len(ticks) - 1 and unit else ""
        parts += [
            line(at, top, at, bottom, "grid"),
            text(at, bottom + 14, words + last, "tick", anchor=anchor),
        ]
    return parts


def _interval(
    scale: Scale, metric: Metric, unit: str, y: float, style: str, label: str
) -> list[Markup]:
    if metric.n == 0:
        return []
    said = (
        f"{label}: {value_text(metric, unit)}, {interval_text(metric, unit)}, n ="
        f" {count_text(metric.n)}"
    )
    return [
        line(_at(scale, metric.low, unit), y, _at(scale, metric.high, unit), y, f"range {style}"),
        mark(_at(scale, metric.value, unit), y, style, size=4.2, title=said),
    ]


def _at(scale: Scale, value: float, unit: str) -> float:
    return scale(shown(value, unit))
