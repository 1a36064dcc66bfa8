"""The Fact-RLHF report: whether reward training and facts help, reward hacking, and the price."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from veridical.errors import ConfigError
from veridical.files import write_text_atomically
from veridical.records import Difference, Metric
from veridical.records.fact_rlhf import ArmTest
from veridical.records.results import REQUIRED_METRICS
from veridical.report.fact_rlhf_inputs import Arm, CurveWarning, FactRlhfReport
from veridical.report.figures.accuracy import above_chance, dependence_curve
from veridical.report.figures.changes import Change, dumbbell
from veridical.report.figures.curves import legend_marks, training_lines
from veridical.report.figures.hacking import Panel, hacking_panels
from veridical.report.figures.parts import LOOKS
from veridical.report.figures.svg import span_of
from veridical.report.figures.trade_off import TradeOff, trade_off
from veridical.report.page import Section, number_sections, render_page
from veridical.report.wording import Verdict, decimal, is_shown, metric_info, rate_texts, verdict
from veridical.statistics import holm

_RATE = "hallucination_rate"
_COVERAGE = "object_coverage"
_MAIN = ("sft", "rlhf", "fact_rlhf")
_THIN = "\u202f"


def render_fact_rlhf_report(inputs: FactRlhfReport) -> str:
    """Draw the report as one self-contained HTML page.

    Raises:
        ConfigError: An arm of the first screen is missing, or an arm has no metrics.
    """
    results = inputs.results
    arms = {arm.key: arm for arm in inputs.arms}
    missing = sorted({*_MAIN, *arms} - (arms.keys() & results.arms.keys()))
    if missing:
        raise ConfigError(
            f"The report needs metrics and a description of the arms {', '.join(missing)}. Add"
            " them."
        )
    labels = {key: arm.label for key, arm in arms.items()}
    headline_test = _test(results.tests, "rlhf", "fact_rlhf", _RATE)
    return render_page(
        "fact_rlhf.html.j2",
        report=inputs,
        sections=_sections(inputs),
        results=results,
        labels=labels,
        sentence=_headline(
            results.arms, headline_test, _test(results.tests, "rlhf", "fact_rlhf", _COVERAGE)
        ),
        main=[(arms[key], results.arms[key][_RATE]) for key in _MAIN],
        headline_test=headline_test,
        panels=_panels(inputs, labels),
        warnings=_by_arm(inputs.warnings, labels),
        accuracy=[
            results.reward_model[name]["accuracy"] for name in ("without_facts", "with_facts")
        ],
        remaining=_errors_gone(
            *(results.reward_model[name]["accuracy"] for name in ("without_facts", "with_facts"))
        ),
        breakdown_figure=_breakdown(inputs),
        leak_figure=_leaks(inputs),
        dependence_figures=_dependence(inputs),
        metrics=[name for name in _shared_metrics(inputs) if name != _RATE],
        trade_off_figure=_trade_off(inputs),
        tests=_judged(results.tests),
        equal_distance=list(
            zip(
                results.equal_distance,
                holm([row.result.p for row in results.equal_distance]),
                strict=True,
            )
        ),
        training_figures=[
            training_lines(row.label, row.unit, row.lines) for row in inputs.training
        ],
        training_legend=legend_marks(_lines_drawn(inputs)),
        most_hours=max([row.hours for row in inputs.effort] + [1e-9]),
        most_memory=max([row.memory_bytes for row in inputs.costs] + [1.0]),
        most_seconds=max([row.seconds for row in inputs.costs] + [1e-9]),
    )


def write_fact_rlhf_report(inputs: FactRlhfReport, out: Path | str) -> Path:
    """Write the report as one self-contained HTML file and return its path."""
    return write_text_atomically(out, render_fact_rlhf_report(inputs))


def _sections(inputs: FactRlhfReport) -> dict[str, Section]:
    """The sections that have something to show."""
    found = {
        "hacking": ("Reward and judge", bool(inputs.results.curves)),
        "reward": ("Reward model", True),
        "arms": ("Arms", True),
        "looking": ("Looking", bool(inputs.results.image_free)),
        "gallery": ("Gallery", bool(inputs.gallery)),
        "training": ("Training", bool(inputs.training)),
        "effort": ("Effort", True),
        "how": ("How", True),
        "caveats": ("Caveats", True),
        "rerun": ("Rerun", True),
    }
    return number_sections({key: name for key, (name, has_content) in found.items() if has_content})


class JudgedArmTest(NamedTuple):
    """A test between arms with its adjusted p."""

    test: ArmTest
    """The test."""
    p_holm: float
    """Holm's adjusted p over all tests shown."""
    verdict: Verdict
    """What may be said."""


def _headline(
    arms: dict[str, dict[str, Metric]], test: Difference | None, coverage: Difference | None
) -> str:
    """The one sentence, no stronger than the test allows."""
    start, without, with_facts = rate_texts([arms[key][_RATE] for key in _MAIN])
    found = (
        f"Before, {start} of the picture descriptions made something up. Reward training brings"
        f" that to {without}, with facts for the reward model to {with_facts}"
    )
    if test is None:
        return f"{found}."
    if not is_shown(test):
        return f"{found}: no difference between the two is shown."
    if test.difference < 0:
        return f"{found}."
    if coverage is None or not is_shown(coverage) or coverage.difference < 0:
        return f"{found}: here facts made it worse."
    less, more = rate_texts([arms[key][_COVERAGE] for key in _MAIN[1:]])
    return f"{found}, naming {more} of what is there instead of {less}."


def _test(tests: Sequence[ArmTest], first: str, second: str, metric: str) -> Difference | None:
    wanted = (first, second, metric)
    return next(
        (test.result for test in tests if (test.first, test.second, test.metric) == wanted), None
    )


def _panels(inputs: FactRlhfReport, labels: dict[str, str]) -> list[Panel]:
    return hacking_panels(
        inputs.results.curves,
        labels=labels,
        looks={"rlhf": LOOKS[0], "fact_rlhf": LOOKS[1]},
        proxy_label=inputs.proxy_label,
        judge_label=inputs.judge_label,
        since_kl=_warned_since(inputs),
    )


def _warned_since(inputs: FactRlhfReport) -> dict[str, float]:
    """By arm, the divergence at the first step that a warning of reward hacking names."""
    found: dict[str, float] = {}
    for warning in inputs.warnings:
        if warning.kind == "reward hacking":
            for point in inputs.results.curves:
                if (point.arm, point.seed, point.step) == (
                    warning.arm,
                    warning.seed,
                    warning.since_step,
                ):
                    found[point.arm] = min(point.kl, found.get(point.arm, point.kl))
    return found


def _by_arm(
    warnings: Sequence[CurveWarning], labels: dict[str, str]
) -> list[tuple[str, list[CurveWarning]]]:
    keys = [key for key in labels if any(warning.arm == key for warning in warnings)]
    return [(labels[key], [warning for warning in warnings if warning.arm == key]) for key in keys]


def _errors_gone(without: Metric, with_facts: Metric) -> str:
    """Which share of the errors facts take away, in words; empty where there is nothing to say."""
    if not without.n or not with_facts.n or without.value >= 1:
        return ""
    share = (with_facts.value - without.value) / (1 - without.value)
    return f"{decimal(100 * share, digits=0)}{_THIN}%" if share > 0 else ""


def _breakdown(inputs: FactRlhfReport) -> Markup | None:
    rows = inputs.reward_models.breakdown
    if not rows:
        return None
    changes = [Change(row.name, row.without_facts, row.with_facts) for row in rows]
    return dumbbell(
        changes, unit="%", title="Accuracy without and with facts, by comparison", top=100.0
    )


def _leaks(inputs: FactRlhfReport) -> Markup | None:
    rows = [(row.name, row.accuracy) for row in inputs.reward_models.leaks]
    return (
        above_chance(rows, title="Accuracy when something is taken away, per cent")
        if rows
        else None
    )


def _dependence(inputs: FactRlhfReport) -> list[tuple[str, Markup]]:
    baseline = inputs.results.reward_model["without_facts"]["accuracy"]
    rows = inputs.reward_models.dependence
    metrics = [baseline, *(metric for row in rows for _, metric in row.points)]
    low, high = span_of(
        [end for metric in metrics for end in (metric.low, metric.high)], least=0.005
    )
    ends = (low, min(high, 1.0))
    return [
        (
            row.name,
            dependence_curve(row.points, baseline=baseline, axis=row.name, ends=ends),
        )
        for row in rows
    ]


def _shared_metrics(inputs: FactRlhfReport) -> list[str]:
    """Metrics that every shown arm states: the required ones first, kinds left out."""
    tables = [inputs.results.arms[arm.key] for arm in inputs.arms]
    more = [name for name in tables[0] if name not in REQUIRED_METRICS and "/" not in name]
    return [name for name in [*REQUIRED_METRICS, *more] if all(name in table for table in tables)]


def _trade_off(inputs: FactRlhfReport) -> Markup:
    def point(arm: Arm) -> TradeOff:
        table = inputs.results.arms[arm.key]
        return TradeOff(arm.label, "", table[_COVERAGE], table[_RATE])

    base = next(arm for arm in inputs.arms if arm.key == "sft")
    title = "Hallucination against coverage of every arm, with 95 % intervals"
    looks = {
        "sft": ("start", "circle"),
        "rlhf": ("before", "circle"),
        "fact_rlhf": ("after", "square"),
    }
    others = [("other", "triangle"), ("more", "diamond")]
    for arm in inputs.arms:
        if arm.key not in looks and others:
            looks[arm.key] = others.pop(0)
    return trade_off(
        [point(arm) for arm in inputs.arms if arm is not base],
        base=point(base),
        title=title,
        looks={arm.label: looks[arm.key] for arm in inputs.arms if arm.key in looks},
    )


def _judged(tests: Sequence[ArmTest]) -> list[JudgedArmTest]:
    adjusted = holm([test.result.p for test in tests])
    return [
        JudgedArmTest(test, p, verdict(test.result, metric_info(test.metric).better, p=p))
        for test, p in zip(tests, adjusted, strict=True)
    ]


def _lines_drawn(inputs: FactRlhfReport) -> list[str]:
    """Runs of the training figures; each figure draws its own in this order."""
    return max((list(row.lines) for row in inputs.training), key=len, default=[])
