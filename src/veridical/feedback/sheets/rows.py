"""What a sheet asks for: the columns of each task, and how people say things in them."""

import re
from typing import Literal, NamedTuple, get_args

from veridical.errors import RowError
from veridical.records import KINDS, SegmentKind

SheetTask = Literal["correct", "compare", "rate", "mark"]
"""What people do in a sheet."""

_BEFORE = ("id", "image", "question")
_AFTER = ("skip", "annotator", "seconds", "judgement")
COLUMNS: dict[SheetTask, tuple[str, ...]] = {
    "correct": (*_BEFORE, "response", "corrected", "kinds", "nothing_wrong", *_AFTER),
    "compare": (*_BEFORE, "response_1", "response_2", "preferred", "hallucination", *_AFTER),
    "rate": (*_BEFORE, "response", "score", "reason", *_AFTER),
    "mark": (*_BEFORE, "response", "marked", "kinds", "nothing_wrong", *_AFTER),
}
"""Columns of a sheet: `id` names the item and `judgement`, where it stands, an earlier judgement;
both must stay as they are. People fill what follows the responses."""
NEEDED: dict[SheetTask, tuple[str, ...]] = {
    "correct": ("id", "response", "corrected", "kinds"),
    "compare": ("id", "preferred"),
    "rate": ("id", "score"),
    "mark": ("id", "response", "marked", "kinds"),
}
"""Columns without which a sheet cannot be read."""

_YES, _NO = frozenset({"x", "yes", "y", "true", "1"}), frozenset({"", "no", "n", "false", "0"})
_PREFERRED: dict[str, Literal["first", "second", "tie"]] = {
    "1": "first",
    "2": "second",
    "tie": "tie",
}


class Who(NamedTuple):
    """Who filled a row, in which time."""

    annotator: str
    """A pseudonym, or ""."""
    seconds: float | None
    """Time spent, where it was noted."""


def sheet_tasks() -> tuple[SheetTask, ...]:
    """All tasks that a sheet can hold."""
    return get_args(SheetTask)


def read_yes(cell: str, *, name: str) -> bool:
    """Whether a cell says yes.

    Raises:
        RowError: It says neither yes nor no.
    """
    word = cell.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise RowError(f"`{name}` is x (or yes), or left empty, got {cell!r:.40}.")


def read_kinds(cell: str) -> list[SegmentKind]:
    """The kinds of the changes in order, as words or as numbers from 1 to 6.

    Raises:
        RowError: A kind is unknown.
    """
    found: list[SegmentKind] = []
    for word in re.split(r"[,;/|\s]+", cell.strip()):
        if not word:
            continue
        known = {kind: kind for kind in KINDS} | {str(n): k for n, k in enumerate(KINDS, start=1)}
        kind = known.get(word.lower())
        if kind is None:
            numbered = ", ".join(f"{n} {name}" for n, name in enumerate(KINDS, start=1))
            raise RowError(f"`kinds` has {word!r}. Kinds are {numbered}.")
        found.append(kind)
    return found


def read_preferred(cell: str) -> Literal["first", "second", "tie"]:
    """Which response a row prefers.

    Raises:
        RowError: It is neither 1, 2 nor tie.
    """
    found = _PREFERRED.get(cell.strip().lower().removesuffix(".0"))
    if found is None:
        raise RowError(f"`preferred` is 1, 2 or tie, got {cell!r:.40}.")
    return found


def show_preferred(preferred: str) -> str:
    """How a sheet says which response is preferred."""
    return next(word for word, name in _PREFERRED.items() if name == preferred)


def read_score(cell: str) -> int:
    """A score from 0 to 6.

    Raises:
        RowError: It is not one.
    """
    word = cell.strip().removesuffix(".0")
    if word not in {"0", "1", "2", "3", "4", "5", "6"}:
        raise RowError(f"`score` is a whole number from 0 to 6, got {cell!r:.40}.")
    return int(word)


def read_who(cells: dict[str, str], *, annotator: str) -> Who:
    """Who filled a row.

    Raises:
        RowError: The seconds are not a number of 0 or more.
    """
    text = cells.get("seconds", "").strip()
    seconds = None
    if text:
        try:
            seconds = float(text.replace(",", "."))
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            raise RowError(f"`seconds` is a number of 0 or more, got {text!r:.40}.")
    return Who(cells.get("annotator", "").strip() or annotator, seconds)
