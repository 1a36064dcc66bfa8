"""What the cells of a grid measured, by arm and seed, read back from disk.

A cell leaves a whole evaluation (`items.jsonl`, `responses.jsonl`), single figures
(`measures.json`), or both; a cell of several arms leaves a folder for each.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.world.evaluation import WorldEvaluation, score_world
from veridical.benchmarks.world.items import WorldItem
from veridical.errors import ConfigError
from veridical.files import write_json_atomically
from veridical.records import Metric, Response, read_records
from veridical.studies.image_free import descriptions_of

_MEASURES = "measures.json"
_ITEMS = "items.jsonl"


class Measured(NamedTuple):
    """What is known of an arm with one seed."""

    metrics: Mapping[str, Metric]
    """Everything that was measured, by name."""
    evaluation: WorldEvaluation | None
    """Its answers to the test scenes; None for what answers nothing, such as a reward model."""


def write_measures(folder: Path, metrics: Mapping[str, Metric]) -> None:
    """Leave single figures in a cell's folder."""
    stated = {name: metric.model_dump(mode="json") for name, metric in metrics.items()}
    write_json_atomically(folder / _MEASURES, stated)


def load_evaluation(folder: Path, *, seed: int = 0) -> WorldEvaluation:
    """Read the evaluation that a cell left in its folder, and judge it again."""
    return score_world(
        read_records(folder / _ITEMS, WorldItem),
        read_records(folder / "responses.jsonl", Response),
        seed=seed,
    )


def load_measured(folder: Path, *, seed: int = 0) -> Measured:
    """Read all that a cell left in its folder."""
    evaluation = load_evaluation(folder, seed=seed) if (folder / _ITEMS).is_file() else None
    metrics = dict(evaluation.metrics) if evaluation else {}
    if (folder / _MEASURES).is_file():
        stated = json.loads((folder / _MEASURES).read_text(encoding="utf-8"))
        metrics |= {name: Metric.model_validate(one) for name, one in stated.items()}
    return Measured(metrics, evaluation)


def load_arm(out: Path, arm: str, *, seeds: int, seed: int = 0) -> list[Measured]:
    """What was measured of an arm, by seed.

    Raises:
        ConfigError: The grid has no such arm.
    """
    return [load_measured(_folder_of(out, arm, number), seed=seed) for number in range(seeds)]


def on_shared_items(
    first: Sequence[WorldEvaluation], second: Sequence[WorldEvaluation], *, seed: int = 0
) -> tuple[list[WorldEvaluation], list[WorldEvaluation]]:
    """Two arms on the items that both answered; those that edit texts have descriptions only."""
    if len(first[0].items) == len(second[0].items):
        return list(first), list(second)
    return (
        [descriptions_of(one, seed=seed) for one in first],
        [descriptions_of(one, seed=seed) for one in second],
    )


def _folder_of(out: Path, arm: str, number: int) -> Path:
    """An arm's folder for a seed: a cell of its own, or a part of one with several arms."""
    own = out / arm / f"seed-{number}"
    for folder in (own, *sorted(out.glob(f"*/seed-{number}/{arm}"))):
        if _was_measured(folder):
            return folder
    raise ConfigError(
        f"The grid has no arm {arm!r}: nothing was measured in `{own}`. Name one of the plan's"
        " arms."
    )


def _was_measured(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (_ITEMS, _MEASURES))
