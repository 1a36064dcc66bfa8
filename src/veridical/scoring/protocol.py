"""What a benchmark is: it reads files, scores every item and makes totals, in three pure steps.

Your own benchmark subclasses `Benchmark`, fills in a `Card` and is registered as an entry
point of the group "veridical.benchmarks"; see docs/benchmarks/own.md.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from veridical.errors import ConfigError
from veridical.records import ItemScore, Metric
from veridical.scoring.card import (
    ROLES,
    SHORT_ANSWER,
    Card,
    InputSpec,
    KnownFault,
    MetricSpec,
    OptionSpec,
    Preset,
    ReferenceResult,
    Role,
    Variant,
    resolve_options,
)
from veridical.scoring.measures import Measure, Tested

__all__ = [
    "ROLES",
    "SHORT_ANSWER",
    "AnyBenchmark",
    "Benchmark",
    "BenchmarkPrompt",
    "Card",
    "Files",
    "InputSpec",
    "KnownFault",
    "Loaded",
    "MetricSpec",
    "OptionSpec",
    "Preset",
    "ReferenceResult",
    "Role",
    "Variant",
]

Items = TypeVar("Items")


class Files(NamedTuple):
    """The files of one score, by role."""

    responses: Path | None = None
    """What the model answered."""
    questions: Path | None = None
    """What was asked."""
    reference: Path | None = None
    """What is true."""
    reviews: Path | None = None
    """What a judge said."""
    answer_field: str = ""
    """Which field of a response is the answer, if several may be; empty: the one there."""

    def path(self, role: Role) -> Path:
        """A file that the benchmark cannot do without.

        Raises:
            ConfigError: It was not given.
        """
        path: Path | None = getattr(self, role)
        if path is None:
            raise ConfigError(f"--{role} is missing. Name the file.")
        return path


class Loaded(NamedTuple, Generic[Items]):
    """What was read: the items, and how many rows each file had."""

    items: Items
    """The benchmark's own type."""
    rows: Mapping[str, int]
    """Rows by role."""
    warnings: tuple[str, ...] = ()
    """What a reader must know of the input, for instance that it was matched by order."""
    versions: Mapping[str, str] = MappingProxyType({})
    """What the files say they rest on: the judge that wrote the reviews."""


class BenchmarkPrompt(NamedTuple):
    """One question to a model."""

    id: str
    """Unique in the benchmark."""
    image: str | None
    """File name of the image, or its id; None where the question is asked without one."""
    text: str
    """What is asked, as the benchmark words it."""
    row: Mapping[str, Any]
    """The answer's row in the file of responses, but for the answer itself."""


class Benchmark(ABC, Generic[Items]):
    """A benchmark. Its three steps are pure: same input, same output, no network, no torch.

    Args:
        options: Values of the card's options by name; those left out have their defaults.

    Raises:
        ConfigError: There is no such option, or it does not take that value.
    """

    name: ClassVar[str]
    """How the command line calls it."""
    card: ClassVar[Card]
    """The facts about it."""
    answer_field: ClassVar[str] = "answer"
    """Under which name a row of responses holds the answer."""

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        self.options: Mapping[str, str] = resolve_options(
            self.name, self.card.options, options or {}
        )

    def option_files(self) -> dict[str, Path]:
        """Files that options name, by option."""
        specs = self.card.options
        return {
            name: Path(value)
            for name, value in self.options.items()
            if specs[name].kind == "file" and value not in specs[name].choices
        }

    @abstractmethod
    def read(self, files: Files, *, variant: str) -> Loaded[Items]:
        """Read and check the files.

        Raises:
            DataError: All faults of all files at once, each with file and line.
        """

    @abstractmethod
    def score_items(self, items: Items, *, variant: str) -> list[ItemScore]:
        """Score every item; empty, unparsed, refused and failed ones too, with that status."""

    @abstractmethod
    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Make the totals. No division by zero: where nothing was measured, n is 0."""

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """What a model must be asked, for `veridical evaluate`, without any responses.

        Raises:
            ConfigError: This benchmark scores answers only.
            DataError: All faults of the files.
        """
        del files
        raise ConfigError(
            f"The benchmark {self.name!r} asks no model; it scores answers that exist. Use:"
            f" veridical score {self.name}"
        )

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The metrics as sums over items, so that two runs can be tested in pairs.

        Those of `aggregate` that are missing here and in `differences` are compared by eye only.
        """
        del scores, variant
        return {}

    def differences(
        self, first: Sequence[ItemScore], second: Sequence[ItemScore], *, variant: str, seed: int
    ) -> dict[str, Tested]:
        """Paired tests of metrics that are not ratios of sums; both runs have the same items."""
        del first, second, variant, seed
        return {}

    def count(self, scores: Sequence[ItemScore]) -> dict[str, int]:
        """Count how items ended."""
        ended = Counter(score.status for score in scores)
        return {"items": len(scores), **{status: ended[status] for status in sorted(ended)}}

    def versions(self, *, variant: str) -> dict[str, str]:
        """Versions of what the score rests on, besides veridical itself."""
        del variant
        return {}

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say where these numbers mean less than they seem."""
        del scores, metrics, variant
        return ()


AnyBenchmark = Benchmark[Any]
