"""Scores of benchmarks side by side, with intervals and paired tests against the first run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from veridical.errors import ConfigError
from veridical.records import Difference, Metric
from veridical.report.figures.changes import forest, run_rates
from veridical.report.figures.curves import legend_marks
from veridical.report.page import write_page
from veridical.report.wording import Verdict, label_of, value_text, verdict
from veridical.scoring.comparison import Compared, is_headline
from veridical.scoring.protocol import MetricSpec
from veridical.scoring.registry import find_benchmark
from veridical.scoring.runs import (
    RunComparison,
    ScoredRun,
    Spread,
    compare_runs,
    is_scored,
    read_runs,
    spread,
)

_UNITS = {
    "rate": "%",
    "in [-1, 1]": "points",
    "score 0-6": "of 6",
    "words": "words",
    "tokens": "tokens",
}
_SHOWN_RATES = 5
"""Headline rates of a benchmark in the picture of the first screen."""


class Cell(NamedTuple):
    """One metric of one run."""

    metric: Metric | None
    """Its value; None where the run lacks it."""
    compared: Compared | None
    """Against the first run; None for the first, and where there is no test."""
    verdict: Verdict | None
    """What the difference shows."""


class MetricRow(NamedTuple):
    """One metric of all runs."""

    name: str
    """As the benchmark calls it."""
    label: str
    """As people read it."""
    meaning: str
    """What it counts."""
    unit: str
    """How it is shown."""
    cells: list[Cell]
    """One per run."""


class Group(NamedTuple):
    """All runs of one benchmark, counted and asked in one way."""

    title: str
    """Benchmark, variant and trial."""
    runs: list[ScoredRun]
    """The runs, the one that others are compared with first."""
    rows: list[MetricRow]
    """Headline metrics."""
    details: list[MetricRow]
    """Metrics of groups: by type, by dimension."""
    problems: list[str]
    """Why runs could not be tested against each other."""


def all_scored(paths: Sequence[Path]) -> bool:
    """Whether all paths hold scores of benchmarks.

    Raises:
        ConfigError: Some do and some do not.
    """
    found = [is_scored(path) for path in paths]
    if any(found) and not all(found):
        other = paths[found.index(False)]
        raise ConfigError(
            f"`{other}` holds no scores of benchmarks, and the others do. Compare runs of one sort"
            " at a time."
        )
    return all(found)


def compare_benchmarks(runs: Mapping[str, Path], out: Path | str, *, seed: int = 0) -> Path:
    """Write a page that compares scores.

    Args:
        runs: Name of each evaluation or score, and its folder or file.
        out: The HTML file to write.
        seed: Of the tests.

    Raises:
        DataError: Something is not a score of a benchmark.
    """
    single = len(runs) == 1
    scored = [
        run
        for name, path in runs.items()
        for run in read_runs(path, name="" if single and path.is_dir() else name)
    ]
    groups = group_runs(scored, seed=seed)
    forests = [
        (
            group.title,
            run.model,
            forest(rows, unit="%", title=f"{group.title}: {run.model} minus the first"),
        )
        for group in groups
        for number, run in enumerate(group.runs)
        if number and (rows := _forest_rows(group, number))
    ]
    return write_page(
        out,
        "benchmarks.html.j2",
        groups=groups,
        sentence=_headline(groups),
        legend=legend_marks([run.model for run in max(groups, key=lambda g: len(g.runs)).runs]),
        more_sentences=_sentences(groups)[1:],
        pictures=[(group, picture) for group in groups if (picture := _picture(group)) is not None],
        forests=forests,
        spreads=_spreads(scored),
    )


def group_runs(runs: Sequence[ScoredRun], *, seed: int = 0) -> list[Group]:
    """Put runs of one benchmark, variant and trial together, with their tests."""
    by_group: dict[tuple[str, str, str], list[ScoredRun]] = {}
    for run in runs:
        by_group.setdefault((run.benchmark, run.scored.total.variant, run.trial), []).append(run)
    comparisons = compare_runs(runs, seed=seed)
    return [
        _group(
            " · ".join(part for part in key if part),
            members,
            [c for c in comparisons if c.second in members],
        )
        for key, members in by_group.items()
    ]


def _group(title: str, runs: list[ScoredRun], comparisons: Sequence[RunComparison]) -> Group:
    specs = _specs(runs[0].scored.total.benchmark)
    names = list(dict.fromkeys(name for run in runs for name in run.scored.total.metrics))
    found = {id(one.second): one for one in comparisons}
    rows = [_row(name, specs, runs, [found.get(id(run)) for run in runs]) for name in names]
    return Group(
        title,
        runs,
        [row for row in rows if is_headline(row.name)],
        [row for row in rows if not is_headline(row.name)],
        [
            f"{one.second.model} and {one.first.model}: {one.problem}"
            for one in comparisons
            if one.problem
        ],
    )


def _row(
    name: str,
    specs: Mapping[str, MetricSpec],
    runs: Sequence[ScoredRun],
    comparisons: Sequence[RunComparison | None],
) -> MetricRow:
    stem = name.partition("/")[0]
    spec = specs.get(name) or specs.get(f"{stem}/*") or specs.get(stem)
    unit = "" if spec is None else _UNITS.get(spec.unit, "")
    better = "" if spec is None or spec.better == "neither" else spec.better
    cells = []
    for run, comparison in zip(runs, comparisons, strict=True):
        compared = comparison.metrics.get(name) if comparison else None
        said = verdict(compared.difference, better, p=compared.corrected_p) if compared else None
        cells.append(Cell(run.scored.total.metrics.get(name), compared, said))
    return MetricRow(name, label_of(name), "" if spec is None else spec.meaning, unit, cells)


def _specs(benchmark: str) -> Mapping[str, MetricSpec]:
    """The benchmark's metrics; none where it belongs to a package that is not here."""
    try:
        return find_benchmark(benchmark).card.metrics
    except ConfigError:
        return {}


def _forest_rows(group: Group, number: int) -> list[tuple[str, Difference]]:
    """Differences of rates, which share an axis."""
    return [
        (row.label, compared.difference)
        for row in group.rows
        if row.unit == "%" and (compared := row.cells[number].compared) is not None
    ]


def _headline(groups: Sequence[Group]) -> str:
    """The page's first sentence: what the tests show, or the numbers of a single run."""
    found = _sentences(groups)
    if found:
        return found[0]
    models = list(dict.fromkeys(run.model for group in groups for run in group.runs))
    if len(groups) == 1 and groups[0].rows:
        row = groups[0].rows[0]
        metric = row.cells[0].metric
        value = "" if metric is None else f", {row.label.lower()} {value_text(metric, row.unit)}"
        return f"{models[0]} on {groups[0].title}{value}."
    benchmarks = {run.benchmark for group in groups for run in group.runs}
    count = f"{len(benchmarks)} {'benchmark' if len(benchmarks) == 1 else 'benchmarks'}"
    return f"{' and '.join(models)} on {count}."


def _sentences(groups: Sequence[Group]) -> list[str]:
    """For each run that is compared with a first one: on how many headline metrics it is better."""
    verdicts: dict[tuple[str, str], list[Verdict]] = {}
    for group in groups:
        for number, run in enumerate(group.runs[1:], start=1):
            found = [row.cells[number].verdict for row in group.rows]
            pair = (run.model, group.runs[0].model)
            verdicts.setdefault(pair, []).extend(one for one in found if one is not None)
    return [_counted(*pair, found) for pair, found in verdicts.items() if found]


def _counted(model: str, first: str, found: Sequence[Verdict]) -> str:
    better, worse, unshown = (found.count(word) for word in ("better", "worse", "not shown"))
    counts = f"{better} of {len(found)} metrics" if better else f"none of {len(found)} metrics"
    sentence = f"{model} is better than {first} on {counts}, worse on {worse or 'none'}"
    return f"{sentence}; no difference is shown on {unshown}." if unshown else f"{sentence}."


def _picture(group: Group) -> Markup | None:
    """The headline rates of all runs of a group; None where it has none."""
    rows = [
        (row.label, [cell.metric for cell in row.cells]) for row in group.rows if row.unit == "%"
    ][:_SHOWN_RATES]
    if not rows:
        return None
    runs = [run.model for run in group.runs]
    return run_rates(rows, runs=runs, title=f"{group.title}: rates of {', '.join(runs)}")


def _spreads(runs: Sequence[ScoredRun]) -> list[tuple[str, str, Spread]]:
    return [
        (f"{benchmark} · {variant} · {model}", label_of(name), one)
        for (model, benchmark, variant), metrics in spread(runs).items()
        for name, one in metrics.items()
        if is_headline(name)
    ]
