"""The demo's report: what was wrong, what changed, how, and how sure one may be of it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from veridical.records import Metric
from veridical.records.results import REQUIRED_METRICS, ObjectiveRow, ObjectiveTest
from veridical.report.figures.changes import Change, dumbbell, forest
from veridical.report.figures.curves import Series, curve
from veridical.report.figures.trade_off import TradeOff, trade_off
from veridical.report.inputs import (
    CurvePoint,
    DemoReport,
    MarkedText,
    OverGeneralisation,
    ShownScene,
)
from veridical.report.page import Section, number_sections, write_page
from veridical.report.wording import Verdict, decimal, headline, metric_info, signed, verdict
from veridical.statistics import holm

_STEM = "hallucination_rate"
_TESTED_RATES = (
    "hallucination_rate",
    "mention_hallucination_rate",
    "object_coverage",
    "yes_no_f1",
    "yes_no_accuracy",
    "yes_ratio",
    "relative_score",
    "over_generalisation",
)
"""Rates whose differences are drawn; the table has them all."""
_KINDS_TITLE = "Descriptions with a hallucination of one kind"


def render_demo_report(inputs: DemoReport, out: Path | str) -> Path:
    """Write the demo's report as one self-contained HTML file and return its path."""
    results = inputs.results
    kinds = [name for name in results.base if name.startswith(f"{_STEM}/")]
    first = [name for name in results.base if name in REQUIRED_METRICS]
    others = [name for name in results.base if name not in kinds and name not in REQUIRED_METRICS]
    rate = _STEM
    return write_page(
        out,
        "demo.html.j2",
        report=inputs,
        sections=_sections(inputs),
        over_generalisation_text=_over_generalisation(inputs.over_generalisation),
        results=results,
        sentence=headline(
            results.base[rate],
            results.aligned[rate],
            results.comparison[rate],
            corrections=inputs.corrections.count,
        ),
        metric_groups=[("All descriptions", first), (_KINDS_TITLE, kinds), ("More", others)],
        kinds_title=_KINDS_TITLE,
        kinds_figure=_kinds_figure(inputs, kinds),
        forest_figure=_forest_figure(inputs),
        curves=[curve(series, chosen_step=inputs.chosen_step) for series in _series(inputs.curve)],
        types_figure=_types_figure(inputs),
        trade_off_figure=_trade_off_figure(inputs),
        objective_groups=[
            (name, list(rows))
            for name, rows in groupby(inputs.objectives, key=lambda row: row.name)
        ],
        objective_metrics=_shared_metrics(inputs.objectives),
        objective_tests=_judged(inputs.objective_tests),
        scenes=[GalleryScene(scene, _outcome(scene)) for scene in inputs.gallery],
        outcomes=_OUTCOMES,
        kinds_seen=_kinds_seen(inputs.gallery),
    )


def _sections(inputs: DemoReport) -> dict[str, Section]:
    """The sections that have something to show."""
    found = {
        "wrong": ("Wrong", True),
        "changed": ("Changed", True),
        "looking": ("Looking", bool(inputs.results.image_free)),
        "how": ("How", True),
        "training": ("Training", bool(inputs.curve)),
        "questions": ("Questions", bool(inputs.question_types or inputs.probes)),
        "objectives": ("Objectives", bool(inputs.objectives)),
        "gallery": ("Gallery", bool(inputs.gallery)),
        "caveats": ("Caveats", True),
        "rerun": ("Rerun", True),
    }
    return number_sections({key: name for key, (name, has_content) in found.items() if has_content})


def _over_generalisation(rows: Sequence[OverGeneralisation]) -> str:
    """What the table shows of the base model, in a sentence; empty without a table."""
    measured = [row for row in rows if row.everywhere_before.n and row.in_context_before.n]
    if not measured:
        return ""
    everywhere, inside = (
        sum(getattr(row, name).value for row in measured) / len(measured)
        for name in ("everywhere_before", "in_context_before")
    )
    shown = sum(row.delta_before is not None and row.delta_before.low > 0 for row in measured)
    return (
        f"Before, over {len(measured)} contexts: typical objects are invented in"
        f" {decimal(100 * inside)} % of the scenes of their context and in"
        f" {decimal(100 * everywhere)} % of all, so that the context adds"
        f" {signed(100 * (inside - everywhere))} points; the interval lies above 0 in {shown} of"
        f" {len(measured)}."
    )


class GalleryScene(NamedTuple):
    """A scene and what became of it."""

    scene: ShownScene
    """The scene."""
    outcome: str
    """One of `fixed`, `partly`, `kept`, `clean`, `new`."""


class JudgedTest(NamedTuple):
    """A test between objectives with its adjusted p."""

    test: ObjectiveTest
    """The test."""
    p_holm: float
    """Holm's adjusted p over all tests shown."""
    verdict: Verdict
    """What may be said."""


_OUTCOMES = {
    "fixed": "fixed",
    "partly": "partly fixed",
    "kept": "still wrong",
    "clean": "right all along",
    "new": "newly wrong",
}


def _outcome(scene: ShownScene) -> str:
    before, after = _wrongs(scene.before), _wrongs(scene.after)
    if after and len(after) > len(before):
        return "new"
    if not after:
        return "fixed" if before else "clean"
    return "partly" if len(after) < len(before) else "kept"


def _wrongs(marked: MarkedText) -> list[str]:
    return [span.kind for span in marked.spans]


def _kinds_seen(scenes: Sequence[ShownScene]) -> dict[str, int]:
    """How many scenes show each kind, before or after; the most frequent first."""
    counts: dict[str, int] = {}
    for scene in scenes:
        for kind in {span.kind for text in (scene.before, scene.after) for span in text.spans}:
            counts[kind] = counts.get(kind, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _kinds_figure(inputs: DemoReport, kinds: Sequence[str]) -> Markup | None:
    base, aligned = inputs.results.base, inputs.results.aligned
    changes = [
        Change(name.partition("/")[2].replace("_", " "), base[name], aligned[name])
        for name in kinds
    ]
    if not changes:
        return None
    title = "Descriptions with a hallucination of each kind, per cent, before and after"
    return dumbbell(changes, unit="%", title=title)


def _types_figure(inputs: DemoReport) -> Markup | None:
    if not inputs.question_types:
        return None
    changes = [Change(row.name, row.before, row.after) for row in inputs.question_types]
    return dumbbell(
        changes, unit="of 6", title="Mean score of each question type, before and after", top=6.0
    )


def _forest_figure(inputs: DemoReport) -> Markup:
    comparison = inputs.results.comparison
    rows = [
        (metric_info(name).label, comparison[name])
        for name in _TESTED_RATES
        if name in comparison and comparison[name].n
    ]
    return forest(rows, unit="%", title="Difference of each rate, after minus before, in points")


def _series(points: Sequence[CurvePoint]) -> Iterator[Series]:
    loss = tuple((p.step, p.loss, None, None) for p in points if p.loss is not None)
    margin = tuple((p.step, p.margin, None, None) for p in points if p.margin is not None)
    found = {
        "Validation: hallucination, %": [(p.step, p.hallucination) for p in points],
        "Validation: objects named, %": [(p.step, p.coverage) for p in points],
    }
    rates = [
        (label, tuple(_with_interval(step, metric) for step, metric in rows if metric))
        for label, rows in found.items()
    ]
    for label, unit, values in (
        ("Training loss", "", loss),
        ("Margin of chosen over rejected", "", margin),
        *((label, "%", values) for label, values in rates),
    ):
        if values:
            yield Series(label, unit, values)


def _with_interval(step: int, metric: Metric) -> tuple[int, float, float | None, float | None]:
    return step, metric.value, metric.low, metric.high


def _trade_off_figure(inputs: DemoReport) -> Markup | None:
    if not inputs.objectives:
        return None
    base = inputs.results.base
    return trade_off(
        [
            TradeOff(
                row.name,
                ", ".join(
                    [f"seed {row.seed}", *(f"{key} {value}" for key, value in row.settings.items())]
                ),
                row.metrics["object_coverage"],
                row.metrics[_STEM],
            )
            for row in inputs.objectives
        ],
        base=TradeOff("base model", "", base["object_coverage"], base[_STEM]),
        title="Hallucination against coverage of every run, with 95 % intervals",
    )


def _shared_metrics(rows: Sequence[ObjectiveRow]) -> list[str]:
    """Metrics that every row has, in the order of the first."""
    return (
        [name for name in rows[0].metrics if all(name in row.metrics for row in rows)]
        if rows
        else []
    )


def _judged(tests: Sequence[ObjectiveTest]) -> list[JudgedTest]:
    adjusted = holm([test.result.p for test in tests])
    return [
        JudgedTest(test, p, verdict(test.result, metric_info(test.metric).better, p=p))
        for test, p in zip(tests, adjusted, strict=True)
    ]
