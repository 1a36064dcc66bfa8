"""Measures along training: one with its interval and the kept checkpoint, or several runs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from veridical.report.figures.parts import (
    frame,
    looks_of,
    points_text,
    tick_text,
)
from veridical.report.figures.svg import (
    Scale,
    element,
    figure_svg,
    line,
    mark,
    span_of,
    text,
)
from veridical.report.wording import (
    shown,
)


class Series(NamedTuple):
    """A measure along training."""

    label: str
    """What it is."""
    unit: str
    """Its unit."""
    points: tuple[tuple[int, float, float | None, float | None], ...]
    """Step, value, and the ends of its interval where it has one."""


def curve(series: Series, *, chosen_step: int | None, axis: str = "step") -> Markup:
    """One measure by optimizer step, with its interval as a band and the kept checkpoint marked.

    Args:
        series: The measure.
        chosen_step: The step that was kept.
        axis: What is counted along the axis, where it is not steps.
    """
    steps = [point[0] for point in series.points]
    values = [shown(v, series.unit) for _, *rest in series.points for v in rest if v is not None]
    width, height, left, right, top, bottom = 270.0, 182.0, 36.0, 260.0, 28.0, 150.0
    x = Scale(min(steps), max(*steps, min(steps) + 1), left, right)
    y = Scale(*span_of(values, least=0.05), bottom, top)
    parts = [text(6, 14, series.label, "label")]
    for tick in y.ticks(4):
        parts += [
            line(left, y(tick), right, y(tick), "grid"),
            text(left - 6, y(tick) + 4, tick_text(tick), "tick", anchor="end"),
        ]
    for tick in x.ticks(4):
        parts.append(text(x(tick), bottom + 16, tick_text(tick), "tick", anchor="middle"))
    parts.append(text(right, height - 2, axis, "tick", anchor="end"))
    places = [(x(step), y(shown(value, series.unit))) for step, value, *_ in series.points]
    band = [p for p in series.points if p[2] is not None and p[3] is not None]
    if band:
        upper = [(x(p[0]), y(shown(p[3] or 0.0, series.unit))) for p in band]
        lower = [(x(p[0]), y(shown(p[2] or 0.0, series.unit))) for p in reversed(band)]
        parts.append(element("polygon", points=points_text(upper + lower), class_="band"))
    parts.append(element("polyline", points=points_text(places), class_="curve"))
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
    first, last = (
        tick_text(round(shown(series.points[end][1], series.unit), 3)) for end in (0, -1)
    )
    title = f"{series.label} by {axis}{unit}, from {first} to {last}"
    return figure_svg(width, height, title, *parts)


def training_lines(
    label: str, unit: str, lines: Mapping[str, Sequence[tuple[int, float]]]
) -> Markup:
    """One measure along training, one line per run; the legend is in the page."""
    width, height, left, right, top, bottom = 270.0, 182.0, 40.0, 262.0, 28.0, 150.0
    steps = [step for points in lines.values() for step, _ in points] or [0]
    values = [shown(value, unit) for points in lines.values() for _, value in points] or [0.0]
    x = Scale(min(steps), max(*steps, min(steps) + 1), left, right)
    y = Scale(*span_of(values, least=max(1e-4, 0.02 * max(map(abs, values)))), bottom, top)
    parts = [
        text(6, 14, f"{label}{', ' + unit if unit else ''}", "label"),
        *frame(x, y, x_words=True),
    ]
    for look, points in zip(looks_of(len(lines)), lines.values(), strict=True):
        places = [(x(step), y(shown(value, unit))) for step, value in points]
        parts.append(element("polyline", points=points_text(places), class_=f"curve {look.style}"))
        parts += [mark(px, py, look.style, shape=look.shape, size=3.4) for px, py in places[-1:]]
    parts.append(text(right, height - 2, "step", "tick", anchor="end"))
    said = "; ".join(
        f"{name} from {row[0][1]:.3g} to {row[-1][1]:.3g}" for name, row in lines.items() if row
    )
    return figure_svg(width, height, f"{label} by step: {said}", *parts)


def legend_marks(labels: Sequence[str]) -> list[tuple[str, Markup]]:
    """Runs with their marks, for a legend in the page's own text."""
    return [
        (
            label,
            element(
                "svg",
                mark(7, 6, look.style, shape=look.shape, size=4),
                class_="figure",
                viewBox="0 0 14 12",
                width=14,
                height=12,
            ),
        )
        for label, look in zip(labels, looks_of(len(labels)), strict=True)
    ]
