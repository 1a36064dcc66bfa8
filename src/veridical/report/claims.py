"""A study's claims with their verdicts: a table for the docs, and a page."""

from collections.abc import Sequence
from pathlib import Path

from veridical.records import Difference, Metric
from veridical.records.claims import (
    ArmSummary,
    ClaimsReport,
    ClaimVerdict,
    CurveRow,
    HackingWarnings,
    TrainingPath,
)
from veridical.report.figures.changes import forest
from veridical.report.figures.curves import Series, curve
from veridical.report.figures.hacking import hacking_panels
from veridical.report.figures.parts import LOOKS
from veridical.report.figures.trade_off import TradeOff, trade_off
from veridical.report.page import write_page
from veridical.report.wording import (
    difference_text,
    interval_text,
    metric_info,
    p_text,
    signed,
    value_text,
)

_RATE, _COVERAGE = "hallucination_rate", "object_coverage"
_SHORT = {_RATE: "hallucinate", _COVERAGE: "objects named"}
"""What curves call them, next to the method."""


def render_claims(report: ClaimsReport, out: Path | str) -> Path:
    """Write a study's report as one self-contained HTML file and return its path."""
    arms = {one.arm: one for one in report.arms}
    return write_page(
        out,
        "claims.html.j2",
        report=report,
        sentence=_sentence(report),
        change=_change_over_seeds,
        forest_figure=forest(
            [(claim.hypothesis, claim.seeds) for claim in report.claims if _is_rate(claim)],
            unit="%",
            title="Difference of each claim about a rate over seeds, 95 % intervals, in points",
        ),
        trade_off_figure=trade_off(
            [_point(one) for one in report.arms if one.arm != "base" and _COVERAGE in one.metrics],
            base=_point(arms["base"]),
            title="Hallucination against coverage of every arm, means over seeds",
        ),
        curves=[
            curve(series, chosen_step=None, axis="corrections") for series in _series(report, arms)
        ],
        tables=_tables(report.arms),
        panels=hacking_panels(
            report.policies,
            labels={one.arm: one.arm for one in report.policies},
            looks={one.arm: LOOKS[one.arm.startswith("fact-rlhf")] for one in report.policies},
            proxy_label="the reward model",
            judge_label="0–6",
            since_kl={},
        ),
    )


def claims_table(report: ClaimsReport) -> str:
    """The verdicts as a Markdown table."""
    head = (
        f"{report.seeds} seeds per arm, each with {report.scenes:,} unseen scenes of its own, plan"
        f" of {report.fixed} (`{report.plan[:12]}`); one-sided tests over seeds at 2.5 %, adjusted"
        " by Holm.\n\n"
        "| claim | from | to | change over seeds | p (Holm) | paired by scene | verdict |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    rows = "".join(f"{_row(claim)}\n" for claim in report.claims)
    return head + rows + _paths_table(report.paths) + _warnings_table(report.warnings)


def _paths_table(paths: Sequence[TrainingPath]) -> str:
    """What arms did along training, where that was measured."""
    if not paths:
        return ""
    head = (
        "\nAlong training, on the validation scenes (means over seeds; the last column is"
        " interpolated between checkpoints):\n\n"
        "| arm | hallucinate at the end | named at the end | least, at most two points of coverage"
        " lost |\n|---|---|---|---|\n"
    )
    return head + "".join(
        f"| {one.arm} | {_estimate(one.last_hallucination)} | {_estimate(one.last_coverage)}"
        f" | {_estimate(one.matched_hallucination)} |\n"
        for one in paths
    )


def _estimate(metric: Metric) -> str:
    return f"{value_text(metric, '%')} [{interval_text(metric, '%')}]"


def _warnings_table(warnings: Sequence[HackingWarnings]) -> str:
    """How well the warning of reward hacking did, where policies were trained."""
    if not warnings:
        return ""
    head = (
        "\nThe warning of reward hacking, given one half of the held-out prompts; the other half"
        " says whether the judge fell:\n\n"
        "| arm | checked | the judge fell | warned of it | false alarms |\n|---|---|---|---|---|\n"
    )
    return head + "".join(
        f"| {one.arm} | {one.checked} | {one.fell} | {one.hits} | {one.false_alarms} |\n"
        for one in warnings
    )


def _row(claim: ClaimVerdict) -> str:
    unit = metric_info(claim.metric).unit
    cells = (
        f"{claim.claim} ({claim.source})",
        value_text(claim.first, unit),
        value_text(claim.second, unit),
        f"{_change_over_seeds(claim)}{_kept(claim)}",
        p_text(claim.p if claim.verdict != "reversed" else claim.p_reversed),
        f"{_change(claim.scenes, unit)}, p {p_text(claim.scenes.p)}" if claim.scenes else "–",
        f"**{claim.verdict}**",
    )
    return "| " + " | ".join(cells) + " |"


def _change_over_seeds(claim: ClaimVerdict) -> str:
    if claim.scale == "difference":
        return _change(claim.seeds, metric_info(claim.metric).unit)
    change, low, high = (
        f"{signed(100 * value)} %"
        for value in (claim.seeds.difference, claim.seeds.low, claim.seeds.high)
    )
    return f"{change} of it [{low} to {high}]"


def _change(found: Difference, unit: str) -> str:
    return f"{difference_text(found, unit)} [{interval_text(found, unit)}]"


def _is_rate(claim: ClaimVerdict) -> bool:
    """Whether its change can be drawn in points or per cent, next to the others."""
    return claim.scale == "relative" or metric_info(claim.metric).unit in ("%", "points")


def _kept(claim: ClaimVerdict) -> str:
    if claim.kept is None:
        return ""
    return f"; coverage {difference_text(claim.kept, '%')}"


def _sentence(report: ClaimsReport) -> str:
    counts = [
        f"{sum(claim.verdict == verdict for claim in report.claims)} {verdict}"
        for verdict in ("shown", "not shown", "reversed")
    ]
    return f"{len(report.claims)} claims tested: {', '.join(counts)}"


def _point(one: ArmSummary) -> TradeOff:
    return TradeOff(_group(one.arm), one.arm, one.metrics[_COVERAGE], one.metrics[_RATE])


_GROUPS = {
    "base": "base",
    "habit": "never looks (habits)",
    "dense-by": "people err by rule",
    "compared-by": "people err by rule",
    "dense-dpo": "no reinforcement learning",
    "best-of-n": "no reinforcement learning",
    "blank": "dense DPO, pictures blanked",
    "four-epochs": "dense DPO, four epochs",
    "dense": "dense DPO, more and more corrections",
    "anchored": "dense DPO and the corrected texts",
    "sft": "fine-tuning on the corrected texts",
    "compared": "comparisons",
    "fact-rlhf": "Fact-RLHF",
    "rlhf": "RLHF",
}
"""Arms that share a mark, by how their names begin; the first that fits counts."""


def _group(arm: str) -> str:
    """Arms that share a mark: what they learn from, and how."""
    fitting = (name for start, name in _GROUPS.items() if arm.startswith(start))
    return next(fitting, "other objectives")


def _tables(arms: Sequence[ArmSummary]) -> list[tuple[tuple[str, ...], list[ArmSummary]]]:
    """Arms with the same measures, together, and the names of these."""
    columns = dict.fromkeys(tuple(one.metrics) for one in arms)
    return [(names, [one for one in arms if tuple(one.metrics) == names]) for names in columns]


def _series(report: ClaimsReport, arms: dict[str, ArmSummary]) -> list[Series]:
    """Hallucination and coverage over corrections, for every method that has more than one size."""
    methods: dict[str, list[CurveRow]] = {}
    for row in report.curve:
        methods.setdefault(row.arm.rpartition("-")[0], []).append(row)
    return [
        series
        for method, rows in methods.items()
        if len(rows) > 1
        for series in _of_method(method, rows, report, arms)
    ]


def _of_method(
    method: str, rows: Sequence[CurveRow], report: ClaimsReport, arms: dict[str, ArmSummary]
) -> list[Series]:
    """A method's curves: its chosen checkpoints, and its last ones where these are known."""
    paths = {one.arm: one for one in report.paths}
    last = [paths[row.arm] for row in rows if row.arm in paths]
    drawn: list[tuple[str, str, list[Metric]]] = [
        (name, "", [arms[row.arm].metrics[name] for row in rows]) for name in (_RATE, _COVERAGE)
    ]
    if len(last) == len(rows):
        drawn += [
            (_RATE, ", at the end", [one.last_hallucination for one in last]),
            (_COVERAGE, ", at the end", [one.last_coverage for one in last]),
        ]
    return [
        Series(
            f"{method}: {_SHORT[name]}{when}, %",
            "%",
            tuple(
                (row.corrections, one.value, one.low, one.high)
                for row, one in zip(rows, metrics, strict=True)
            ),
        )
        for name, when, metrics in drawn
    ]
