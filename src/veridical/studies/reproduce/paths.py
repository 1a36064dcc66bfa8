"""What arms did along training: at its end, and where they have lost as much coverage.

A rule that keeps coverage stops an arm early, so that its checkpoint says little of what more data
or more steps would do. Every training measured the validation scenes on its way; from these
measurements come the last checkpoint, as papers report it, and the least hallucination at matched
coverage. Checkpoints are chosen on the same scenes, for all arms alike.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from veridical.files import read_jsonl_rows
from veridical.records import Metric
from veridical.records.claims import TrainingPath
from veridical.statistics import mean_metric
from veridical.training.run.directory import METRICS_FILE

_RATE, _COVERAGE = "hallucination_rate", "object_coverage"


class Checkpoint(NamedTuple):
    """One measurement on validation scenes."""

    hallucination: float
    """Share of descriptions with a hallucination."""
    coverage: float
    """Share of the objects that are named."""


def read_checkpoints(run_dir: Path) -> list[Checkpoint]:
    """What a training measured on validation scenes, from the base to its end; maybe nothing."""
    return [
        Checkpoint(float(row.value[_RATE]), float(row.value[_COVERAGE]))
        for row in read_jsonl_rows(run_dir / METRICS_FILE)
        if isinstance(row.value, dict) and _RATE in row.value
    ]


def least_at_coverage(path: Sequence[Checkpoint], *, lost: float) -> float:
    """The least hallucination on a path while coverage lies at most `lost` below its start.

    Where only one of two neighbouring checkpoints has lost more, the point at exactly that
    coverage counts, by linear interpolation.
    """
    least_coverage = path[0].coverage - lost
    reached = [one.hallucination for one in path if one.coverage >= least_coverage]
    for before, after in pairwise(path):
        first, second = before.coverage - least_coverage, after.coverage - least_coverage
        if first * second < 0:
            share = first / (first - second)
            reached.append(
                before.hallucination + share * (after.hallucination - before.hallucination)
            )
    return min(reached)


def last_measures(run_dir: Path, *, scenes: int) -> dict[str, Metric]:
    """What a training's last checkpoint did on validation scenes: no scene has chosen it.

    Args:
        run_dir: The training's run directory.
        scenes: How many validation scenes there are.

    Returns:
        `hallucination_rate/last` and `object_coverage/last`.
    """
    rows = [row.value for row in read_jsonl_rows(run_dir / METRICS_FILE)]
    last = next(row for row in reversed(rows) if isinstance(row, dict) and _RATE in row)
    return {
        f"{name}/last": Metric(
            value=last[name], n=scenes, low=last[f"{name}/low"], high=last[f"{name}/high"]
        )
        for name in (_RATE, _COVERAGE)
    }


def training_path(arm: str, runs: Sequence[Path], *, lost: float) -> TrainingPath | None:
    """Summarise an arm's trainings over seeds; None for an arm that was not trained so.

    Args:
        arm: The arm.
        runs: Run directories, one per seed.
        lost: How much coverage may be lost at matched coverage.
    """
    if not all((run / METRICS_FILE).is_file() for run in runs):
        return None
    paths = [read_checkpoints(run) for run in runs]
    if not all(paths):
        return None
    share = (0.0, 1.0)
    return TrainingPath(
        arm=arm,
        last_hallucination=mean_metric([path[-1].hallucination for path in paths], bounds=share),
        last_coverage=mean_metric([path[-1].coverage for path in paths], bounds=share),
        matched_hallucination=mean_metric(
            [least_at_coverage(path, lost=lost) for path in paths], bounds=share
        ),
    )
