"""The report's figures: before against after, differences, curves, and the trade-off.

All are drawn about as wide as a phone's screen, so that their text keeps its size; the page sets
them side by side where there is room. Before is a hollow mark, after a filled one; lines are 95 %
intervals.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from veridical.records import Difference, Metric
from veridical.report.svg import SHAPES, Scale, element, figure_svg, line, mark, span_of, text
from veridical.report.wording import (
    count_text,
    digits_of,
    interval_text,
    p_text,
    shown,
    signed,
    value_text,
)

WIDTH = 340.0


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
    """One row a metric: hollow mark before, filled mark after, on a common scale from 0.

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


class Series(NamedTuple):
    """A measure along training."""

    label: str
    """What it is."""
    unit: str
    """Its unit."""
    points: tuple[tuple[int, float, float | None, float | None], ...]
    """Step, value, and the ends of its interval where it has one."""


def curve(series: Series, *, chosen_step: int | None) -> Markup:
    """One measure by optimizer step, with its interval as a band and the kept checkpoint marked."""
    steps = [point[0] for point in series.points]
    values = [shown(v, series.unit) for _, *rest in series.points for v in rest if v is not None]
    width, height, left, right, top, bottom = 270.0, 182.0, 36.0, 260.0, 28.0, 150.0
    x = Scale(min(steps), max(*steps, min(steps) + 1), left, right)
    y = Scale(*span_of(values, least=0.05), bottom, top)
    parts = [text(6, 14, series.label, "label")]
    for tick in y.ticks(4):
        parts += [
            line(left, y(tick), right, y(tick), "grid"),
            text(left - 6, y(tick) + 4, _tick(tick), "tick", anchor="end"),
        ]
    for tick in x.ticks(4):
        parts.append(text(x(tick), bottom + 16, _tick(tick), "tick", anchor="middle"))
    parts.append(text(right, height - 2, "step", "tick", anchor="end"))
    places = [(x(step), y(shown(value, series.unit))) for step, value, *_ in series.points]
    band = [p for p in series.points if p[2] is not None and p[3] is not None]
    if band:
        upper = [(x(p[0]), y(shown(p[3] or 0.0, series.unit))) for p in band]
        lower = [(x(p[0]), y(shown(p[2] or 0.0, series.unit))) for p in reversed(band)]
        parts.append(element("polygon", points=_points(upper + lower), class_="band"))
    parts.append(element("polyline", points=_points(places), class_="curve"))
    if band:
        parts += [mark(px, py, "after", size=2.6) for px, py in places]
    if chosen_step is not None and steps[0] <= chosen_step <= steps[-1]:
        at = x(chosen_step)
        anchor = "end" if at > (left + right) / 2 else "start"
        parts.append(line(at, top - 4, at, bottom, "kept"))
        parts.append(
            text(at + (-5 if anchor == "end" else 5), top + 5, "kept", "tick kept", anchor=anchor)
        )
    unit = f" in {series.unit}" if series.unit else ""
    first, last = (_tick(round(shown(series.points[end][1], series.unit), 3)) for end in (0, -1))
    title = f"{series.label} by step{unit}, from {first} to {last}"
    return figure_svg(width, height, title, *parts)


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
            text(left - 6, y(tick) + 4, _tick(tick), "tick", anchor="end"),
        ]
    for tick in x.ticks(5):
        parts += [
            line(x(tick), top, x(tick), bottom, "grid"),
            text(x(tick), bottom + 16, _tick(tick), "tick", anchor="middle"),
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


def _series(number: int) -> tuple[str, str]:
    return f"series s{number % len(SHAPES)}", SHAPES[(number + 1) % len(SHAPES)]


def _axis(
    scale: Scale, top: float, bottom: float, unit: str, *, signed: bool = False
) -> list[Markup]:
    parts: list[Markup] = []
    ticks = scale.ticks(4)
    for number, tick in enumerate(ticks):
        at = scale(tick)
        anchor = "start" if at < 14 else "end" if at > WIDTH - 24 else "middle"
        words = ("+" if signed and tick > 0 else "") + _tick(tick)
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


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "\u2212")


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
