"""A benchmark's card: what a reader must know; its docs page and its options come from it."""

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from veridical.errors import ConfigError

Role = Literal["responses", "questions", "reference", "reviews"]
ROLES: tuple[Role, ...] = ("responses", "questions", "reference", "reviews")
"""What a file of a score is for, and the name of its option on the command line."""

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
    """A setting of a benchmark besides its variant; on the command line `--NAME VALUE`."""

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
    """Its metrics; "score/*" stands for one metric per group."""
    faults: tuple[KnownFault, ...] = ()
    """Known faults of the official code or data."""
    references: tuple[ReferenceResult, ...] = ()
    """Published results."""
    options: Mapping[str, OptionSpec] = MappingProxyType({})
    """What can be set besides the variant."""
    presets: Mapping[str, Preset] = MappingProxyType({})
    """Ways to ask a model, for `veridical evaluate`; the first is the default."""


def resolve_options(
    name: str, specs: Mapping[str, OptionSpec], given: Mapping[str, str]
) -> dict[str, str]:
    """Values of all options of a benchmark.

    Args:
        name: The benchmark.
        specs: Its options.
        given: Values by option; those left out have their defaults.

    Raises:
        ConfigError: There is no such option, or it does not take that value.
    """
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
