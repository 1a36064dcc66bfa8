"""`results.json`: what a run measured before and after, and tables of objectives."""

import json
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from veridical.errors import DataError, Fault
from veridical.files import JsonObject, write_json_atomically
from veridical.records import Difference, Metric, Record, Source
from veridical.records.storage import describe_validation

REQUIRED_METRICS = (
    "hallucination_rate",
    "mention_hallucination_rate",
    "object_coverage",
    "mean_length",
    "yes_no_f1",
    "mmhal_score",
)
"""The metrics that every comparison states; there may be others
(`hallucination_rate/object`)."""

_LEVEL = 0.05
_METRIC_KEYS = {"value", "n", "low", "high"}
_DIFFERENCE_KEYS = {"difference", "low", "high", "p", "test"}


class ImageFreeRow(Record):
    """A baseline that edits the base's descriptions without the picture, and how training compares.

    What training learns must beat it on hallucination and on coverage, of objects and of details.
    """

    name: str
    """What it does."""
    metrics: dict[str, Metric]
    """`hallucination_rate`, `object_coverage`, `detail_coverage` and `mean_length` of its
    descriptions; without the third in results of older versions."""
    trained: dict[str, Difference]
    """The trained model minus the baseline, paired; p adjusted over all baselines."""

    @property
    def beaten(self) -> tuple[bool, bool]:
        """Whether the trained model is better on hallucination, and on coverage."""
        rate, coverage = (self.trained[one] for one in ("hallucination_rate", "object_coverage"))
        return rate.difference < 0 and rate.p < _LEVEL, (
            coverage.difference > 0 and coverage.p < _LEVEL
        )


class Results(Record):
    """A model before and after alignment, on the same items."""

    base: dict[str, Metric]
    """Metrics of the model as it came."""
    aligned: dict[str, Metric]
    """The same metrics of the aligned model."""
    comparison: dict[str, Difference]
    """Aligned minus base, paired, for each metric."""
    image_free: tuple[ImageFreeRow, ...] = ()
    """Baselines that never look at the picture."""
    judgements: dict[Source, int] = Field(default_factory=dict)
    """How many judgements the aligned model learned from, by who made them; empty: not noted."""
    seconds: dict[str, float]
    """Wall-clock seconds by stage, in order."""
    seed: int
    """The root seed."""
    versions: dict[str, str]
    """Versions of veridical, Python and the libraries that matter."""

    @model_validator(mode="after")
    def _metrics_match(self) -> Self:
        for name, table in (
            ("base", self.base),
            ("aligned", self.aligned),
            ("comparison", self.comparison),
        ):
            missing = [metric for metric in REQUIRED_METRICS if metric not in table]
            if missing:
                raise ValueError(f"{name} lacks {', '.join(missing)}")
        if not self.base.keys() == self.aligned.keys() >= self.comparison.keys():
            odd = sorted(
                (self.base.keys() ^ self.aligned.keys())
                | (self.comparison.keys() - self.base.keys())
            )
            raise ValueError(
                f"base, aligned and comparison must state the same metrics; {', '.join(odd)} do not"
                " match"
            )
        return self


def write_results(path: Path | str, results: Results) -> Path:
    """Write `results.json`; `read_results` gives the numbers back."""
    value: JsonObject = {
        "base": {
            name: metric.model_dump(include=_METRIC_KEYS) for name, metric in results.base.items()
        },
        "aligned": {
            name: metric.model_dump(include=_METRIC_KEYS)
            for name, metric in results.aligned.items()
        },
        "comparison": {
            name: row.model_dump(include=_DIFFERENCE_KEYS)
            for name, row in results.comparison.items()
        },
        "image_free": [row.model_dump() for row in results.image_free],
        **({"judgements": results.judgements} if results.judgements else {}),
        "seconds": results.seconds,
        "seed": results.seed,
        "versions": results.versions,
    }
    return write_json_atomically(path, value)


def read_results(path: Path | str) -> Results:
    """Read a `results.json`, or that of a run directory.

    Raises:
        DataError: There is no such file, or it is not one of results.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "results.json"
    if not path.is_file():
        raise DataError(
            [Fault(path, None, "there is no such file. Give a run directory with a results.json.")]
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(
            [Fault(path, None, f"not valid JSON: {error}. Run the command again that wrote it.")]
        ) from error
    try:
        return Results.model_validate(_with_n(value))
    except ValidationError as error:
        message = (
            f"not a file of results: {describe_validation(error)}. Run the command again that"
            " wrote it."
        )
        raise DataError([Fault(path, None, message)]) from error


def _with_n(value: Any) -> Any:
    """A difference states no n of its own in the file: it has that of its metric."""
    if not isinstance(value, dict) or not isinstance(value.get("comparison"), dict):
        return value
    base = value.get("base")
    counts = (
        {name: metric.get("n", 0) for name, metric in base.items() if isinstance(metric, dict)}
        if isinstance(base, dict)
        else {}
    )
    rows = {
        name: {"n": counts.get(name, 0), **row} if isinstance(row, dict) else row
        for name, row in value["comparison"].items()
    }
    return {**value, "comparison": rows}


class ObjectiveRow(Record):
    """One training run of the table of objectives."""

    name: str
    """The objective: "DPO", "dense DPO (original)" …"""
    seed: int
    """Seed of the run."""
    settings: dict[str, str | int | float] = Field(default_factory=dict)
    """What was set: beta, learning rate …"""
    metrics: dict[str, Metric]
    """`hallucination_rate`, `object_coverage` and others, on the test scenes."""


class ObjectiveTest(Record):
    """Two objectives compared on the same scenes and seeds."""

    first: str
    """Name of one objective."""
    second: str
    """Name of the other."""
    metric: str
    """What is compared."""
    result: Difference
    """Second minus first; p as the test gave it (the report adjusts with Holm)."""


class RecordedObjectives(Record):
    """A table of objectives with where it comes from."""

    rows: tuple[ObjectiveRow, ...]
    """One row per arm and seed."""
    tests: tuple[ObjectiveTest, ...]
    """The last arm against each other one, seeds averaged within a scene."""
    base: str
    """Hash of the base model."""
    note: str
    """When, where and on how much it was measured."""
