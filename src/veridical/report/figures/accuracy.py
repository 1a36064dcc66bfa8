"""Accuracies of reward models: above chance, and over a share of the facts."""

from collections.abc import Sequence

from markupsafe import Markup

from veridical.records import Metric
from veridical.report.figures.parts import (
    WIDTH,
    frame,
    points_text,
)
from veridical.report.figures.svg import Scale, element, figure_svg, line, mark, text
from veridical.report.wording import count_text, interval_text, value_text


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
    parts = frame(x, y, x_words=True)
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
    parts.append(element("polygon", points=points_text(upper + lower), class_="band after"))
    parts.append(
        element(
            "polyline",
            points=points_text([(at, y(100 * m.value)) for at, m in places]),
            class_="curve",
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
