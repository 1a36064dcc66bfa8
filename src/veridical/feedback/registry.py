"""Kinds of judgements, one row each: ours, and those that other packages register as entry points.

A row says which record, in which file, how it is checked and counted, and what training makes of
it: pairs for preference training, compared responses for reward models.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veridical.errors import ConfigError, DataError, Fault
from veridical.feedback.comparisons import (
    BadRow,
    ComparedPair,
    ReadSettings,
    accept,
    good_rows,
    read_compared_pairs,
)
from veridical.feedback.facts import FactsIndex
from veridical.feedback.markings import check_markings, no_pairs, statistics_of_markings
from veridical.feedback.pairs import (
    pairs_from_corrections,
    pairs_from_preferences,
    preferences_from_corrections,
)
from veridical.feedback.ratings import read_rated_pairs
from veridical.feedback.record_files import check_records, read_corrections
from veridical.feedback.statistics import (
    DataStatistics,
    statistics_of_comparisons,
    statistics_of_corrections,
    statistics_of_ratings,
)
from veridical.plugins import load_plugin, plugin_names
from veridical.records import (
    Comparison,
    Correction,
    Facts,
    Marking,
    Pair,
    Rating,
    Record,
)
from veridical.records.folders import (
    COMPARISONS_FILE,
    CORRECTIONS_FILE,
    FACTS_FILE,
    MARKINGS_FILE,
    RATINGS_FILE,
    Contents,
    record_type_of,
)

GROUP = "veridical.judgements"
"""Entry point group of kinds of judgements: each names a `JudgementKind`."""


@dataclass(frozen=True, kw_only=True)
class JudgementKind:
    """A kind of judgement."""

    name: str
    """One word, for instance "correction"."""
    record: type[Record]
    """What one judgement is."""
    file: str
    """Name of its file in a folder of records."""
    stands_alone: bool = False
    """Whether it holds question and image itself, and refers to no prompts or responses."""
    check: Callable[[Path, ReadSettings], list[Fault]]
    """Finds everything that is wrong with a file."""
    statistics: Callable[[Iterable[Any], Contents], DataStatistics]
    """Counts judgements; the contents hold the prompts and responses next to them."""
    pairs: Callable[[Path, ReadSettings], list[Pair]]
    """Reads a file as pairs; image paths are absolute."""
    preferences: Callable[[Path, ReadSettings], list[ComparedPair]]
    """Reads a file as compared responses; image paths are absolute."""


def _check_corrections(path: Path, settings: ReadSettings) -> list[Fault]:
    return check_records(path, Correction, images=settings.images, outside=settings.outside)


def _check_comparisons(path: Path, settings: ReadSettings) -> list[Fault]:
    faults: list[Fault] = []
    read_compared_pairs(
        path,
        faults=faults,
        need_facts=settings.need_facts,
        images=settings.images,
        outside=settings.outside,
    )
    return faults


def _check_ratings(path: Path, settings: ReadSettings) -> list[Fault]:
    faults: list[Fault] = []
    read_rated_pairs(path, settings, faults=faults)
    return faults


def _corrected_pairs(path: Path, settings: ReadSettings) -> list[Pair]:
    return pairs_from_corrections(_read_corrections(path, settings), file=path)


def _corrected_preferences(path: Path, settings: ReadSettings) -> list[ComparedPair]:
    """Corrections as comparisons, with the facts next to them."""
    made = preferences_from_corrections(_read_corrections(path, settings), file=path)
    bad: list[BadRow] = []
    facts_file = path.parent / FACTS_FILE
    if settings.need_facts or facts_file.is_file():
        facts = FactsIndex(record for _, _, record in good_rows(facts_file, Facts, bad))
        made = [pair._replace(facts=facts.of(pair.prompt)) for pair in made]
    if settings.need_facts:
        bad += [
            BadRow(path, None, "", f"no facts for prompt {pair.prompt.id!r} in {FACTS_FILE}.")
            for pair in made
            if not pair.facts
        ]
    return accept(path, made, bad, settings)


def _read_corrections(path: Path, settings: ReadSettings) -> list[Correction]:
    return read_corrections(
        path,
        images=settings.images,
        outside=settings.outside,
        skip_bad=settings.skip_bad,
        quarantine=settings.quarantine_of(path, path),
    )


def _compared_pairs(path: Path, settings: ReadSettings) -> list[ComparedPair]:
    return read_compared_pairs(
        path,
        need_facts=settings.need_facts,
        images=settings.images,
        outside=settings.outside,
        skip_bad=settings.skip_bad,
        quarantine=settings.quarantine,
    )


COMPARISON = JudgementKind(
    name="comparison",
    record=Comparison,
    file=COMPARISONS_FILE,
    check=_check_comparisons,
    statistics=statistics_of_comparisons,
    pairs=lambda path, settings: pairs_from_preferences(_compared_pairs(path, settings)),
    preferences=_compared_pairs,
)
"""Which of two responses is better (LLaVA-RLHF)."""
CORRECTION = JudgementKind(
    name="correction",
    record=Correction,
    file=CORRECTIONS_FILE,
    stands_alone=True,
    check=_check_corrections,
    statistics=statistics_of_corrections,
    pairs=_corrected_pairs,
    preferences=_corrected_preferences,
)
"""A response and its correction (RLHF-V)."""
RATING = JudgementKind(
    name="rating",
    record=Rating,
    file=RATINGS_FILE,
    check=_check_ratings,
    statistics=statistics_of_ratings,
    pairs=lambda path, settings: pairs_from_preferences(read_rated_pairs(path, settings)),
    preferences=read_rated_pairs,
)
"""A score of one response (MMHal-Bench)."""

MARKING = JudgementKind(
    name="marking",
    record=Marking,
    file=MARKINGS_FILE,
    check=check_markings,
    statistics=statistics_of_markings,
    pairs=no_pairs,
    preferences=no_pairs,
)
"""Hallucinated spans of responses (MHumanEval)."""

_OWN = (COMPARISON, CORRECTION, RATING, MARKING)


def judgement_kinds() -> list[JudgementKind]:
    """All kinds of judgements, our own first.

    Raises:
        ConfigError: Another package's kind cannot be loaded.
    """
    kinds = [*_OWN]
    for name in sorted(plugin_names(GROUP)):
        plugin = load_plugin(GROUP, name)
        if plugin is None:
            continue
        if not isinstance(plugin.value, JudgementKind):
            raise ConfigError(
                f"{plugin.where} is not a JudgementKind, got {plugin.value!r}. Fix that package."
            )
        kinds.append(plugin.value)
    return kinds


def find_judgements(path: Path | str) -> tuple[JudgementKind, Path]:
    """The kind of judgement that a path holds, and its file.

    Args:
        path: A file of judgements, or a folder with one: of several the first in the order
            comparisons, corrections, ratings, markings counts.

    Raises:
        DataError: There is no such file, or it holds no judgements.
    """
    path = Path(path)
    kinds = judgement_kinds()
    if path.is_dir():
        for kind in kinds:
            if (path / kind.file).is_file():
                return kind, path / kind.file
        names = ", ".join(kind.file for kind in kinds)
        raise DataError([Fault(path, None, f"the folder has none of {names}. Give another.")])
    named = next((kind for kind in kinds if kind.file == path.name), None)
    record = named.record if named is not None else record_type_of(path)
    for kind in kinds:
        if kind.record is record:
            return kind, path
    message = f"the file holds {record.__name__} records, which are not judgements."
    raise DataError([Fault(path, None, message)])


def read_pairs(path: Path | str, settings: ReadSettings | None = None) -> list[Pair]:
    """Read judgements of any kind as preference pairs.

    Args:
        path: A file of judgements, or a folder with one.
        settings: How it is read.

    Raises:
        DataError: All faults, each with file and line; or no pair at all.
    """
    kind, file = find_judgements(path)
    return kind.pairs(file, settings or ReadSettings())


def read_preferences(path: Path | str, settings: ReadSettings | None = None) -> list[ComparedPair]:
    """Read judgements of any kind as compared responses, for reward models; see `read_pairs`."""
    kind, file = find_judgements(path)
    return kind.preferences(file, settings or ReadSettings())
