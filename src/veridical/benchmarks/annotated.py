"""Benchmarks whose answers people mark: `veridical evaluate` writes a sheet, then scores it.

A sheet is JSON lines, one per answer, with an open place for what people find. It is people's work:
once written it is never written again.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from veridical.files import write_text_atomically
from veridical.scoring.protocol import Benchmark, BenchmarkPrompt
from veridical.scoring.rows import Faults, read_rows

Items = TypeVar("Items")


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
