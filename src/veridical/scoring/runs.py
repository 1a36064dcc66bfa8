"""Scored runs on disk, found again by `veridical report` and compared with others."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from veridical.errors import ConfigError, DataError, Fault
from veridical.files import JsonObject
from veridical.records import BenchmarkScore, ItemScore, read_records
from veridical.records.storage import describe_validation
from veridical.scoring.comparison import Compared, compare_scores
from veridical.scoring.files import Scored

SCORES = "scores.json"
"""The list of an evaluation's scores."""


class ScoredRun(NamedTuple):
    """A score with what distinguishes it from others."""

    model: str
    """Who answered."""
    benchmark: str
    """What the benchmark is called, for instance "pope-random"."""
    trial: str
    """Template and seed, where there are several; else empty."""
    scored: Scored
    """Total and items; no items where only the total was kept."""
    path: Path
    """The file of the total."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What two runs must share to be compared: benchmark, variant and trial."""
        return self.benchmark, self.scored.total.variant, self.trial

    @property
    def items_path(self) -> Path:
        """The file of the items' scores next to it."""
        return self.path.with_name(self.path.name.replace("score", "items", 1)).with_suffix(
            ".jsonl"
        )


class RunComparison(NamedTuple):
    """One run against the first run of the same benchmark, variant and trial."""

    first: ScoredRun
    """The run compared with."""
    second: ScoredRun
    """The run in question."""
    metrics: Mapping[str, Compared]
    """By metric; empty where it could not be made."""
    problem: str = ""
    """Why it could not be made."""


def run_entry(run: ScoredRun, root: Path) -> JsonObject:
    """A run's line in the list of scores; paths relative to the list."""
    return {
        "model": run.model,
        "benchmark": run.benchmark,
        "trial": run.trial,
        "variant": run.scored.total.variant,
        "score": run.path.relative_to(root).as_posix(),
        "items": run.items_path.relative_to(root).as_posix(),
    }


def comparison_entry(one: RunComparison) -> JsonObject:
    """A comparison's entry in `comparison.json`."""
    return {
        "model": one.second.model,
        "against": one.first.model,
        "benchmark": one.second.benchmark,
        "trial": one.second.trial,
        "variant": one.second.scored.total.variant,
        "problem": one.problem,
        "metrics": {
            name: {
                "first": found.first,
                "second": found.second,
                **found.difference.model_dump(),
                "corrected_p": found.corrected_p,
                "note": found.note,
            }
            for name, found in one.metrics.items()
        },
    }


def is_scored(path: Path) -> bool:
    """Whether a path holds scores: an evaluation's folder, its list, or one score's file."""
    if path.is_dir():
        return (path / SCORES).is_file()
    return path.is_file() and path.name != "results.json" and path.suffix == ".json"


def read_runs(path: Path, *, name: str = "") -> list[ScoredRun]:
    """Read the runs of an evaluation, or a single score.

    Args:
        path: The folder or list of an evaluation, or what `veridical score --json` wrote.
        name: What to call the model of a single score, and what to put before the models of an
            evaluation.

    Raises:
        DataError: It is none of those.
    """
    listed = path / SCORES if path.is_dir() else path
    value = _read(listed)
    if "scores" not in value:
        total = _total(listed, value)
        run = ScoredRun(name or listed.stem, total.benchmark, "", Scored(total, []), listed)
        return [run._replace(scored=Scored(total, _items(run.items_path)))]
    runs = []
    for entry in _entries(listed, value):
        score_path = listed.parent / entry["score"]
        total = _total(score_path, _read(score_path))
        items = _items(listed.parent / entry["items"])
        model = f"{name}/{entry['model']}" if name else entry["model"]
        runs.append(
            ScoredRun(
                model,
                entry["benchmark"],
                entry.get("trial", entry.get("round", "")),
                Scored(total, items),
                score_path,
            )
        )
    return runs


def _entries(path: Path, value: Mapping[str, Any]) -> list[dict[str, str]]:
    """The list of scores, checked: each names its model, benchmark and files."""
    entries = value["scores"]
    needed = {"model", "benchmark", "score", "items"}
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and needed <= entry.keys() and all(map(_is_text, entry.values()))
        for entry in entries
    ):
        message = "not a list of scores. Give the folder that veridical evaluate wrote."
        raise DataError([Fault(path, None, message)])
    return entries


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def compare_runs(runs: Sequence[ScoredRun], *, seed: int = 0) -> list[RunComparison]:
    """Compare every run with the first of its benchmark, variant and trial."""
    first: dict[tuple[str, str, str], ScoredRun] = {}
    found = []
    for run in runs:
        base = first.setdefault(run.key, run)
        if base is run:
            continue
        if not base.scored.items or not run.scored.items:
            without = "no item scores are kept of one of the two; score again with --items"
            found.append(RunComparison(base, run, {}, without))
            continue
        try:
            found.append(
                RunComparison(base, run, compare_scores(base.scored, run.scored, seed=seed))
            )
        except ConfigError as error:
            found.append(RunComparison(base, run, {}, str(error)))
    return found


class Spread(NamedTuple):
    """One metric over the trials of a model: how much words and chance matter."""

    mean: float
    """Mean of the trials' values."""
    low: float
    """Least."""
    high: float
    """Greatest."""
    trials: int
    """How many."""


def spread(runs: Sequence[ScoredRun]) -> dict[tuple[str, str, str], dict[str, Spread]]:
    """Mean and range over trials, by model, benchmark and variant with several trials."""
    groups: dict[tuple[str, str, str], list[ScoredRun]] = {}
    for run in runs:
        groups.setdefault((run.model, run.benchmark, run.scored.total.variant), []).append(run)
    found = {}
    for key, members in groups.items():
        if len(members) < 2:
            continue
        values: dict[str, list[float]] = {}
        for run in members:
            for name, metric in run.scored.total.metrics.items():
                values.setdefault(name, []).append(metric.value)
        found[key] = {
            name: Spread(sum(v) / len(v), min(v), max(v), len(v)) for name, v in values.items()
        }
    return found


def _read(path: Path) -> JsonObject:
    if not path.is_file():
        raise DataError(
            [
                Fault(
                    path,
                    None,
                    "there is no such file. Give an evaluation's folder or a score's file.",
                )
            ]
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError([Fault(path, None, f"not valid JSON: {error}. Make it again.")]) from error
    if not isinstance(value, dict):
        raise DataError(
            [Fault(path, None, "no score of a benchmark. Give what veridical score --json wrote.")]
        )
    return value


def _total(path: Path, value: Mapping[str, Any]) -> BenchmarkScore:
    try:
        return BenchmarkScore.model_validate(value)
    except ValidationError as error:
        message = (
            f"no score of a benchmark: {describe_validation(error)}. Give what veridical score"
            " --json wrote."
        )
        raise DataError([Fault(path, None, message)]) from error


def _items(path: Path) -> list[ItemScore]:
    return read_records(path, ItemScore) if path.is_file() else []
