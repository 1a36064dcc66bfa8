"""Benchmarks whose answers somebody reads before they are scored: a judge, or people.

A judge gets cases, and a review file comes back that `Benchmark.read` reads. A review file of the
official code and one of ours are read by the same code, and a score can be made again without the
judge. People fill in a sheet: JSON lines, one per answer, with an open place for what they find. It
is their work: once written it is never written again.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from veridical.files import write_text_atomically
from veridical.judges.protocol import Case, Review, Template
from veridical.scoring.protocol import Benchmark, BenchmarkPrompt, Files
from veridical.scoring.rows import Faults, read_rows

Items = TypeVar("Items")


class Cases(NamedTuple):
    """What a judge is to read, and how the judge is asked."""

    cases: list[Case]
    """One per item, in the benchmark's order."""
    template: Template
    """Makes the messages of a case."""


class JudgedBenchmark(Benchmark[Items]):
    """A benchmark that can be judged, by an endpoint or by any other `Judge`."""

    without_judge: ClassVar[frozenset[str]] = frozenset()
    """Variants that score the responses as they are."""

    @abstractmethod
    def cases(self, files: Files, *, template: Path | None = None) -> Cases:
        """Read what is to be judged.

        Args:
            files: Responses, and what else the judge is given.
            template: File with the judge's prompt; None: one of our own, whose scores compare to no
                published ones.

        Raises:
            ConfigError: A file is missing, or the template does not fit.
            DataError: All faults of the files at once.
        """

    @abstractmethod
    def write_reviews(self, path: Path, cases: Sequence[Case], reviews: Sequence[Review]) -> Path:
        """Write the reviews in the official format; a failed one has no score."""


class AnnotatedBenchmark(Benchmark[Items]):
    """A benchmark that scores what people marked in answers."""

    how_to_mark: str
    """What people put into the sheet, in a sentence."""

    @abstractmethod
    def sheet_row(self, asked: BenchmarkPrompt, answer: str) -> Mapping[str, Any]:
        """The row of an answer, its place for the marks open (null)."""

    @abstractmethod
    def is_marked(self, row: Mapping[str, Any]) -> bool:
        """Whether somebody has filled in a row."""

    def write_sheet(
        self, path: Path, asked: Sequence[BenchmarkPrompt], answers: Sequence[str]
    ) -> Path:
        """Write one row per answer, in the questions' order; an existing sheet is kept."""
        if path.is_file():
            return path
        rows = [self.sheet_row(*pair) for pair in zip(asked, answers, strict=True)]
        return write_text_atomically(
            path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        )

    def unmarked(self, path: Path) -> int:
        """How many answers of a sheet still wait for people.

        Raises:
            DataError: The sheet cannot be read.
        """
        faults = Faults()
        rows = read_rows(path, faults)
        faults.stop()
        return sum(not self.is_marked(row.values) for row in rows)
