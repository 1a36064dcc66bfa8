"""A page of plots about a dataset: what is in it, how balanced it is, what was found."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from veridical.feedback.datasets import DataSource
from veridical.feedback.doctor.whole import Examination
from veridical.feedback.statistics import DataStatistics
from veridical.report.figures.accuracy import above_chance
from veridical.report.figures.spread import lengths, shares
from veridical.report.page import write_page
from veridical.statistics.intervals import wilson

_MOST_BARS = 12
_WITHIN_PAIRS = "the preferred response is"


class Plot(NamedTuple):
    """A figure with its heading."""

    title: str
    """What it shows."""
    note: str
    """How to read it."""
    figure: Markup
    """The figure."""


def write_data_report(
    out: Path, source: DataSource, statistics: DataStatistics, found: Examination
) -> Path:
    """Write the page.

    Args:
        out: The HTML file to write.
        source: The dataset.
        statistics: What is in it.
        found: What the doctor saw.

    Raises:
        StorageError: The disk refused.
    """
    findings = found.findings()
    return write_page(
        out,
        "data.html.j2",
        name=source.path.name,
        format_name=source.format_name,
        rows=found.rows,
        statistics=statistics,
        findings=findings,
        plots=[*_balance(found), *_lengths(found), *_sections(statistics.sections)],
        sentence=_sentence(found, len(findings)),
    )


def _sentence(found: Examination, findings: int) -> str:
    rows = f"{found.rows:,} {'row' if found.rows == 1 else 'rows'}"
    if not findings:
        return f"{rows}, and nothing suspicious in them."
    return f"{rows}, and {findings} {'finding' if findings == 1 else 'findings'} to look at."


def _balance(found: Examination) -> list[Plot]:
    differ = [pair for pair in found.lengths if pair.chosen != pair.rejected]
    sides = found.preferred["first"] + found.preferred["second"]
    answers = sum(found.yes_no.values())
    counted = [
        ("the longer response wins", sum(p.chosen > p.rejected for p in differ), len(differ)),
        ("the first response shown wins", found.preferred["first"], sides),
        ("yes, of yes and no", found.yes_no["yes"], answers),
    ]
    rows = [(label, wilson(count, total)) for label, count, total in counted if total]
    if not rows:
        return []
    title = "Shares that should be near one half"
    return [Plot(title, "With 95 % intervals.", above_chance(rows, title=title))]


def _lengths(found: Examination) -> list[Plot]:
    if not found.lengths:
        return []
    title = "Words of preferred and rejected responses"
    chosen, rejected = zip(*found.lengths, strict=True)
    note = "The longest hundredth stands in the last bar."
    return [Plot(title, note, lengths(chosen, rejected, title=title))]


def _sections(sections: Mapping[str, Mapping[str, int]]) -> list[Plot]:
    plots = []
    for name, counts in sections.items():
        largest = dict(sorted(counts.items(), key=lambda item: -item[1])[:_MOST_BARS])
        rest = sum(counts.values()) - sum(largest.values())
        shown = largest | ({"all others": rest} if rest else {})
        title = name[:1].upper() + name[1:]
        plots.append(Plot(title, "", shares(shown, title=title)))
    return plots
