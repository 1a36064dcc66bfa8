"""What the reward says and what the judge says, over the distance from the start."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from veridical.records import Metric
from veridical.records.fact_rlhf import CurveMeasurement
from veridical.report.figures.parts import (
    LOOKS,
    WIDTH,
    Look,
    frame,
    points_text,
)
from veridical.report.figures.svg import Scale, element, figure_svg, line, mark, span_of, text
from veridical.report.wording import count_text, decimal, interval_text


class Measured(NamedTuple):
    """A policy at one step."""

    step: int
    """Optimiser steps, or the n of best-of-n."""
    kl: float
    """Nats per response."""
    proxy: Metric
    """What the reward model says."""
    judge: Metric
    """What the judge says."""


class Panel(NamedTuple):
    """One arm's curves."""

    label: str
    """The arm."""
    figure: Markup
    """Reward and judge over √KL."""


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


def hacking_panels(
    points: Iterable[CurveMeasurement],
    *,
    labels: Mapping[str, str],
    looks: Mapping[str, Look],
    proxy_label: str,
    judge_label: str,
    since_kl: Mapping[str, float],
) -> list[Panel]:
    """A panel for every arm that was measured along the way, all on the same axes.

    Args:
        points: Measurements of all arms and seeds.
        labels: What the arms are called; gives their order.
        looks: How they are drawn, where they have a look of their own.
        proxy_label: What the reward is.
        judge_label: What the judge is.
        since_kl: Divergence from which on a warning holds, by arm.
    """
    by_arm: dict[str, dict[int, list[Measured]]] = {}
    for point in points:
        measured = Measured(point.step, point.kl, point.proxy, point.judge)
        by_arm.setdefault(point.arm, {}).setdefault(point.seed, []).append(measured)
    if not by_arm:
        return []
    axes = shared_axes([run for seeds in by_arm.values() for run in seeds.values()])
    return [
        Panel(
            label,
            hacking_panel(
                [sorted(run) for run in by_arm[arm].values()],
                label=label,
                look=looks.get(arm, LOOKS[2]),
                axes=axes,
                proxy_label=proxy_label,
                judge_label=judge_label,
                since_kl=since_kl.get(arm),
            ),
        )
        for arm, label in labels.items()
        if arm in by_arm
    ]


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
    """What the reward says above, what the judge says below, over √KL; one line per seed.

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
        parts += frame(x, y, x_words=name == "judge")
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
            "distance from the start, √KL (nats per response)",
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
        element("polygon", points=points_text(upper + lower), class_=f"band {look.style}"),
        element(
            "polyline",
            points=points_text([(at, y(m.value)) for at, m in places]),
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


def _root(kl: float) -> float:
    return math.sqrt(max(kl, 0.0))
