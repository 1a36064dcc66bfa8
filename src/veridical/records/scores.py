"""What a benchmark gave: the score of every item and the total."""

from typing import Literal

from pydantic import Field

from veridical.records.base import Record
from veridical.records.runs import Metric

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
