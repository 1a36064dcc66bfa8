"""Figures of reward training: proxy and judge over √KL, training curves, accuracy above chance.

Without facts is red, with facts ink, anything else blue; marks differ in shape too, so that colour
is never needed.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from veridical.records import Metric
from veridical.report.figures import WIDTH
from veridical.report.svg import Scale, element, figure_svg, line, mark, span_of, text
from veridical.report.wording import count_text, decimal, interval_text, shown, value_text


class Measured(NamedTuple):
    """A policy at one step."""

    step: int
    """Optimiser steps, or the n of best-of-n."""
    kl: float
    """Nats a response."""
    proxy: Metric
    """What the reward model says."""
    judge: Metric
    """What the judge says."""


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


class Axes(NamedTuple):
    """What all panels of a figure share, so that they can be compared."""

    root_kl: float
    """Highest √KL."""
    proxy: tuple[float, float]
    """Lowest and highest proxy."""
    judge: tuple[float, float]
    """Lowest and highest judge's score."""


def shared_axes(runs: Sequence[Sequence[Measured]]) -> Axes:
    """Find the axes that hold all runs with their intervals."""
    points = [point for run in runs for point in run]
    ends = {
        name: span_of(
            [v for p in points for v in (getattr(p, name).low, getattr(p, name).high)], least=0.05
        )
        for name in ("proxy", "judge")
    }
    return Axes(max([_root(p.kl) for p in points] + [0.1]) * 1.04, ends["proxy"], ends["judge"])


def hacking_panel(
    runs: Sequence[Sequence[Measured]],
    *,
    label: str,
    look: Look,
    axes: Axes,
    proxy_label: str,
    judge_label: str,
    since_kl: float | None,
) -> Markup:
    """What the reward says above, what the judge says below, over √KL; one line a seed.

    Args:
        runs: Measurements of each seed, by step.
        label: Which arm.
        look: How it is drawn.
        axes: Shared by all panels.
        proxy_label: What the reward is.
        judge_label: What the judge is.
        since_kl: Divergence from which on a warning holds; marked in both halves.
    """
    left, right, height = 44.0, WIDTH - 8, 328.0
    halves = (
        ("proxy", proxy_label, axes.proxy, 34.0, 144.0),
        ("judge", judge_label, axes.judge, 184.0, 290.0),
    )
    x = Scale(0.0, axes.root_kl, left, right)
    parts: list[Markup] = []
    for name, words, ends, top, bottom in halves:
        y = Scale(*ends, bottom, top)
        parts.append(
            text(
                left,
                top - 10,
                f"{'Reward says' if name == 'proxy' else 'Judge says'} ({words})",
                "label",
            )
        )
        parts += _frame(x, y, x_words=name == "judge")
        for run in runs:
            parts += _line(run, name, x, y, look, label)
        if since_kl is not None:
            at = x(_root(since_kl))
            parts.append(line(at, top - 4, at, bottom, "kept"))
            if name == "judge":
                side = "end" if at > (left + right) / 2 else "start"
                parts.append(
                    text(
                        at + (-5 if side == "end" else 5),
                        bottom - 6,
                        "warned",
                        "tick kept",
                        anchor=side,
                    )
                )
    parts.append(
        text(
            right,
            height - 4,
            "distance from the start, √KL (nats a response)",
            "tick",
            anchor="end",
        )
    )
    return figure_svg(WIDTH, height, _said(runs, label), *parts)


def _line(
    run: Sequence[Measured], name: str, x: Scale, y: Scale, look: Look, label: str
) -> list[Markup]:
    places = [(x(_root(point.kl)), getattr(point, name)) for point in run]
    upper = [(at, y(metric.high)) for at, metric in places]
    lower = [(at, y(metric.low)) for at, metric in reversed(places)]
    parts = [
        element("polygon", points=_points(upper + lower), class_=f"band {look.style}"),
        element(
            "polyline",
            points=_points([(at, y(m.value)) for at, m in places]),
            class_=f"curve {look.style}",
        ),
    ]
    for (at, metric), point in zip(places, run, strict=True):
        said = (
            f"{label}, step {point.step}: {name} {decimal(metric.value, digits=2)}"
            f" ({interval_text(metric, '')}), KL {decimal(point.kl, digits=2)}, n ="
            f" {count_text(metric.n)}"
        )
        parts.append(mark(at, y(metric.value), look.style, shape=look.shape, size=3.2, title=said))
    return parts


def _said(runs: Sequence[Sequence[Measured]], label: str) -> str:
    ends = [(run[0], run[-1]) for run in runs if run]
    if not ends:
        return f"{label}: nothing measured"
    words = "; ".join(
        f"reward {decimal(a.proxy.value, digits=2)} to {decimal(b.proxy.value, digits=2)}, "
        f"judge {decimal(a.judge.value, digits=2)} to {decimal(b.judge.value, digits=2)}"
        for a, b in ends
    )
    return f"{label} from start to end, by seed: {words}"


def training_lines(
    label: str, unit: str, lines: Mapping[str, Sequence[tuple[int, float]]]
) -> Markup:
    """One measure along training, one line a run; the legend stands beside the figures."""
    width, height, left, right, top, bottom = 270.0, 182.0, 40.0, 262.0, 28.0, 150.0
    steps = [step for points in lines.values() for step, _ in points] or [0]
    values = [shown(value, unit) for points in lines.values() for _, value in points] or [0.0]
    x = Scale(min(steps), max(*steps, min(steps) + 1), left, right)
    y = Scale(*span_of(values, least=max(1e-4, 0.02 * max(map(abs, values)))), bottom, top)
    parts = [
        text(6, 14, f"{label}{', ' + unit if unit else ''}", "label"),
        *_frame(x, y, x_words=True),
    ]
    for look, points in zip(_looks(len(lines)), lines.values(), strict=True):
        places = [(x(step), y(shown(value, unit))) for step, value in points]
        parts.append(element("polyline", points=_points(places), class_=f"curve {look.style}"))
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
        for label, look in zip(labels, _looks(len(labels)), strict=True)
    ]


def _looks(count: int) -> list[Look]:
    return [LOOKS[min(number, len(LOOKS) - 1)] for number in range(count)]


def above_chance(rows: Sequence[tuple[str, Metric]], *, title: str) -> Markup:
    """Accuracies in a choice of two, drawn from the line of chance, with their intervals."""
    low = min([0.45, *(metric.low for _, metric in rows)])
    scale = Scale(100 * low - 1, 100.0, 6, WIDTH - 10)
    height = 40.0 * len(rows) + 24
    bottom = height - 20
    parts: list[Markup] = []
    for tick in (tick for tick in (25, 50, 75, 100) if tick >= scale.low):
        words = "50, chance" if tick == 50 else f"{tick} %" if tick == 100 else f"{tick}"
        anchor = "end" if tick == 100 else "start" if scale(tick) < 40 else "middle"
        parts.append(line(scale(tick), 4, scale(tick), bottom, "grid"))
        parts.append(text(scale(tick), bottom + 14, words, "tick", anchor=anchor))
    chance = scale(50)
    parts.append(line(chance, 4, chance, bottom, "zero"))
    for number, (label, metric) in enumerate(rows):
        y = 40.0 * number + 15
        value = scale(100 * metric.value)
        said = (
            f"{label}: {value_text(metric, '%')}, {interval_text(metric, '%')}, n ="
            f" {count_text(metric.n)}"
        )
        style = "after" if number == 0 else "before"
        parts += [
            text(6, y, label, "label"),
            text(WIDTH - 8, y, value_text(metric, "%"), "number", anchor="end"),
            line(chance, y + 12, value, y + 12, f"stem {style}"),
            line(
                scale(100 * metric.low), y + 12, scale(100 * metric.high), y + 12, f"range {style}"
            ),
            mark(value, y + 12, style, shape="circle", size=4.4, title=said),
        ]
    return figure_svg(WIDTH, height, title, *parts)


def dependence_curve(
    points: Sequence[tuple[float, Metric]],
    *,
    baseline: Metric,
    axis: str,
    ends: tuple[float, float],
) -> Markup:
    """Accuracy over a share of the facts, against the accuracy without facts.

    Args:
        points: Share in [0, 1] and the accuracy at it.
        baseline: Accuracy without facts, drawn as a line across.
        axis: What the share is of.
        ends: Lowest and highest accuracy of the scale, in [0, 1]; shared by the figures that stand
            together.
    """
    left, right, top, bottom, height = 44.0, WIDTH - 10, 16.0, 180.0, 222.0
    x = Scale(0.0, 100 * max(points[-1][0], 0.01), left, right)
    y = Scale(100 * ends[0], 100 * ends[1], bottom, top)
    parts = _frame(x, y, x_words=True)
    level = y(100 * baseline.value)
    parts += [
        element(
            "rect",
            x=left,
            y=y(100 * baseline.high),
            width=right - left,
            height=max(1.0, y(100 * baseline.low) - y(100 * baseline.high)),
            class_="band before",
        ),
        line(left, level, right, level, "level before"),
        text(
            right,
            level - 6,
            f"no facts {value_text(baseline, '%')}",
            "tick before-ink",
            anchor="end",
        ),
    ]
    places = [(x(100 * share), metric) for share, metric in points]
    upper = [(at, y(100 * m.high)) for at, m in places]
    lower = [(at, y(100 * m.low)) for at, m in reversed(places)]
    parts.append(element("polygon", points=_points(upper + lower), class_="band after"))
    parts.append(
        element(
            "polyline", points=_points([(at, y(100 * m.value)) for at, m in places]), class_="curve"
        )
    )
    for (at, metric), (share, _) in zip(places, points, strict=True):
        said = (
            f"{100 * share:.0f} %: {value_text(metric, '%')}, {interval_text(metric, '%')}, n ="
            f" {metric.n}"
        )
        parts.append(mark(at, y(100 * metric.value), "after", shape="square", size=3.6, title=said))
    parts.append(text(right, height - 4, f"{axis}, %", "tick", anchor="end"))
    first, last = points[0][1], points[-1][1]
    words = [value_text(metric, "%") for metric in (first, last, baseline)]
    title = f"Accuracy by {axis}: {words[0]} to {words[1]}; {words[2]} without facts"
    return figure_svg(WIDTH, height, title, *parts)


def _frame(x: Scale, y: Scale, *, x_words: bool) -> list[Markup]:
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


def _root(kl: float) -> float:
    return math.sqrt(max(kl, 0.0))


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
