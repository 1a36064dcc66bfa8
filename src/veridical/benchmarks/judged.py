"""Benchmarks whose answers a judge reads: they make the cases and write the review file.

Judging stands apart from scoring: cases → judge → review file → `Benchmark.read`. A review file of
the official code and one of ours are read by the same code, and a score can be made again without
the judge.
"""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar

from veridical.judges.protocol import Case, Review, Template
from veridical.scoring.protocol import Benchmark, Files

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
