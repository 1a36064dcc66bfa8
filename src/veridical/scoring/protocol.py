"""What a benchmark is: it reads files, scores every item, and makes totals; three pure steps apart from each other.

A benchmark of one's own subclasses `Benchmark`, fills in a `Card` and is registered as an entry
point of the group "veridical.benchmarks"; see docs/benchmarks/own.md.
"""

import difflib
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from veridical.errors import ConfigError
from veridical.records import ItemScore, Metric
from veridical.scoring.measures import Measure, Tested

Items = TypeVar("Items")
Role = Literal["responses", "questions", "reference", "reviews"]
ROLES: tuple[Role, ...] = ("responses", "questions", "reference", "reviews")

SHORT_ANSWER = "{question}\nAnswer the question using a single word or phrase."
"""How LLaVA asks for a short answer (docs/Evaluation.md)."""


class Variant(NamedTuple):
    """One way of counting."""

    meaning: str
    """What it does, in a sentence; for an official one, whose code it follows."""
    official: bool = False
    """Whether it gives what published code gives, faults included."""


class InputSpec(NamedTuple):
    """A file that a benchmark reads."""

    meaning: str
    """Its fields and formats."""
    required: bool = True
    """Whether there is no score without it."""


class Preset(NamedTuple):
    """How a model is asked: the words around the question, and the decoding."""

    meaning: str
    """Whose settings these are, with the source."""
    template: str = "{question}"
    """The question with what stands around it."""
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens that holds this much probability."""
    max_new_tokens: int = 512
    """Longest answer."""


class OptionSpec(NamedTuple):
    """A setting of a benchmark beside its variant; on the command line `--NAME VALUE`."""

    meaning: str
    """What it sets."""
    default: str
    """Its value where none is given."""
    choices: tuple[str, ...] = ()
    """The values it takes; empty with another kind than "choice": any."""
    kind: Literal["choice", "file", "number"] = "choice"
    """"choice": one of the choices · "file": one of them, or else a file, hashed as every input is
    · "number"."""


class MetricSpec(NamedTuple):
    """A metric of a benchmark."""

    meaning: str
    """What it counts, with the formula where that is short."""
    better: Literal["higher", "lower", "neither"]
    """Which way is better."""
    unit: str = "rate"
    """"rate" (in [0, 1]) or the metric's own unit: "score 0-6", "words", "points" …"""


class KnownFault(NamedTuple):
    """Something that the official code does and should not."""

    title: str
    """In a few words."""
    example: str
    """What goes in and what comes out."""
    remedy: str
    """Which variant does otherwise, and how."""


class ReferenceResult(NamedTuple):
    """A published result."""

    model: str
    """Whose."""
    values: Mapping[str, float]
    """By metric; rates in [0, 1]."""
    source: str
    """Where it stands; "remembered" where it could not be checked."""
    variant: str = "official"
    """Which variant it compares to."""


class Card(NamedTuple):
    """All facts about a benchmark that a reader needs; its page in the docs is made from this."""

    title: str
    """Its name as published."""
    paper: str
    """Paper with arXiv id, and repository."""
    measures: str
    """What it measures, and how."""
    leaves_out: str
    """What it does not measure, and what its numbers cannot tell."""
    data: str
    """How to get its data (not redistributed), with the licence."""
    prompt: str
    """What the model is asked."""
    judge: str
    """Which judge reads the answers; empty where there is none."""
    variants: Mapping[str, Variant]
    """The ways of counting; the first is the default."""
    inputs: Mapping[Role, InputSpec]
    """The files it reads."""
    metrics: Mapping[str, MetricSpec]
    """Its metrics; "score/*" stands for one metric a group."""
    faults: tuple[KnownFault, ...] = ()
    """Known faults of the official code or data."""
    references: tuple[ReferenceResult, ...] = ()
    """Published results."""
    options: Mapping[str, OptionSpec] = MappingProxyType({})
    """What can be set beside the variant."""
    presets: Mapping[str, Preset] = MappingProxyType({})
    """Ways to ask a model, for `veridical evaluate`; the first is the default."""


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
        self.options: Mapping[str, str] = _resolve_options(
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
        """What a model must be asked, for `veridical evaluate`; from the questions or the reference, no responses.

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
        """The metrics as sums over items, so that two runs can be tested against each other pair by pair.

        Those of `aggregate` that are missing here and in `differences` are compared by eye only.
        """
        del scores, variant
        return {}

    def differences(
        self, first: Sequence[ItemScore], second: Sequence[ItemScore], *, variant: str, seed: int
    ) -> dict[str, Tested]:
        """Paired tests of metrics that are no ratio of sums; both runs' scores are of the same items in one order."""
        del first, second, variant, seed
        return {}

    def count(self, scores: Sequence[ItemScore]) -> dict[str, int]:
        """Count how items ended."""
        ended = Counter(score.status for score in scores)
        return {"items": len(scores), **{status: ended[status] for status in sorted(ended)}}

    def versions(self, *, variant: str) -> dict[str, str]:
        """Versions of what the score rests on, beside veridical itself."""
        del variant
        return {}

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say where these numbers mean less than they seem."""
        del scores, metrics, variant
        return ()


AnyBenchmark = Benchmark[Any]


def _resolve_options(
    name: str, specs: Mapping[str, OptionSpec], given: Mapping[str, str]
) -> dict[str, str]:
    for option, value in given.items():
        if option not in specs:
            near = difflib.get_close_matches(option, specs, n=1)
            hint = (
                f"Did you mean --{near[0]}?" if near else f"It has: {', '.join(specs) or 'none'}."
            )
            raise ConfigError(f"The benchmark {name!r} has no option --{option}. {hint}")
        spec = specs[option]
        if spec.kind == "choice" and value not in spec.choices:
            raise ConfigError(
                f"--{option} must be one of {', '.join(spec.choices)}, got {value!r}."
            )
        if spec.kind == "file" and value not in spec.choices and not Path(value).is_file():
            kinds = ", ".join((*spec.choices, "a file"))
            raise ConfigError(
                f"--{option} must be {kinds}, got {value!r}, which is none. Check the path."
            )
        if spec.kind == "number" and not _is_number(value):
            raise ConfigError(f"--{option} must be a number, got {value!r}.")
    return {option: given.get(option, spec.default) for option, spec in specs.items()}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
