"""What a run was (`Manifest`), what it measured, and how each item and benchmark was scored."""

from typing import Literal

from pydantic import Field

from veridical.files import JsonObject
from veridical.records.base import Record


class Metric(Record):
    """A number with its n and interval: no number stands without them."""

    value: float
    """The estimate; rates lie in [0, 1], scores are in their own unit."""
    n: int = Field(ge=0)
    """How many items (or clusters, for clustered intervals) it rests on."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    method: str = ""
    """How the interval was made: "wilson", "clustered bootstrap" …"""


class Difference(Record):
    """A paired comparison of one metric between two runs on the same items."""

    difference: float
    """Second minus first."""
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    """Upper end of the 95 % interval of the difference."""
    p: float = Field(ge=0, le=1)
    """Two-sided p-value."""
    test: str
    """The test that gave p: "mcnemar exact", "paired permutation" …"""
    n: int = Field(ge=0)
    """How many pairs."""


class Manifest(Record):
    """What made a run directory: enough to repeat it and to know what it rests on."""

    verb: str
    """The command that ran, for instance "train dpo"."""
    created: str
    """UTC time, ISO 8601."""
    seed: int
    """The root seed."""
    versions: dict[str, str]
    """Versions of veridical, Python and the libraries that matter."""
    machine: dict[str, str | int | float]
    """Processor, cores, memory (GiB), accelerator."""
    git_commit: str | None = None
    """Commit of the working tree, with "+dirty" where it had changes; None outside a checkout."""
    recipe: JsonObject = Field(default_factory=dict)
    """The resolved recipe."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """Content hash of every input file or model."""
    parents: tuple[str, ...] = ()
    """Run directories that this one builds on."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Wall-clock seconds by stage."""
    peak_memory_bytes: int | None = None
    """Highest resident memory (CPU) or allocated memory (accelerator) seen."""
    notes: JsonObject = Field(default_factory=dict)
    """What else a reader must know, for instance which checkpoint was chosen and by which rule."""


ItemStatus = Literal["scored", "empty", "unparsed", "refused", "failed"]
"""How an item ended: it has a score · the response is empty · nothing could be read from it · the
model refused · the judgement could not be had. How each counts in a total is the variant's matter;
that they are counted is everybody's."""


class ItemScore(Record):
    """The score of one item of a benchmark, kept next to the total."""

    id: str
    """Id of the item in its benchmark."""
    cluster: str
    """What is resampled together in intervals: mostly the image."""
    group: str = ""
    """Category, question type or split."""
    status: ItemStatus = "scored"
    """How it ended."""
    parsed: str = ""
    """What was read from the response or judgement, for people to look at."""
    values: dict[str, float] = Field(default_factory=dict)
    """The numbers from which totals are made."""


class InputFile(Record):
    """A file that a score rests on."""

    path: str
    """As it was named."""
    sha256: str
    """Hash of its bytes; of the sorted hashes of its files where it is a folder."""
    rows: int | None = None
    """How many rows were read, where it has rows."""


class BenchmarkScore(Record):
    """A benchmark's metrics, with all that a reader needs to know what they mean."""

    benchmark: str
    """Name of the benchmark."""
    variant: str
    """Which way of counting."""
    options: dict[str, str] = Field(default_factory=dict)
    """What else was set, by option."""
    metrics: dict[str, Metric]
    """Metrics by name; rates in [0, 1], scores in their own unit."""
    counts: dict[str, int]
    """How many items ended in which way, and the benchmark's own counts."""
    versions: dict[str, str]
    """What the score rests on: veridical, nltk, synonym list, judge …"""
    inputs: dict[str, InputFile]
    """Files by role (responses, questions, reference, reviews), and those that options name."""
    warnings: tuple[str, ...] = ()
    """Where the numbers mean less than they seem."""
