"""Marks in a cell: the response with brackets around what is wrong, as in `A [[red]] car`."""

from collections.abc import Sequence
from itertools import groupby

from veridical.errors import RowError
from veridical.feedback.texts.line_ends import raw_span, shown_text
from veridical.records import Mark

_BRACKETS = (("[[", "]]"), ("{{", "}}"), ("<<", ">>"), ("⟦", "⟧"), ("«", "»"))
"""What marks are put into, the usual ones first."""


def brackets_of(response: str) -> tuple[str, str]:
    """The brackets for a response: the first ones whose signs do not occur in it.

    >>> brackets_of("A red car."), brackets_of("array[0]")
    (('[[', ']]'), ('{{', '}}'))

    Raises:
        RowError: It has all of them.
    """
    for left, right in _BRACKETS:
        if left[0] not in response and right[0] not in response:
            return left, right
    raise RowError("the response holds every kind of bracket. Mark it in the studio.")


def show_marks(response: str, marks: Sequence[Mark]) -> str:
    """The response as its cell shows it, with the marks.

    Raises:
        RowError: No brackets are left for it.
    """
    if not marks:
        return shown_text(response)
    left, right = brackets_of(response)
    places = [(mark.span[1], right) for mark in marks] + [(mark.span[0], left) for mark in marks]
    parts, last = [], 0
    for place, signs in groupby(sorted(places, key=lambda one: one[0]), key=lambda one: one[0]):
        parts += [response[last:place], *(sign for _, sign in signs)]
        last = place
    return shown_text("".join([*parts, response[last:]]))


def read_marks(cell: str, response: str) -> list[tuple[int, int]]:
    """The marked spans of the response, in their order.

    Args:
        cell: The response with brackets in it.
        response: The response as it was generated, with its own line ends.

    Raises:
        RowError: The cell is not the response with whole brackets, or a mark is empty.
    """
    if cell == shown_text(response):
        return []
    left, right = brackets_of(response)
    text: list[str] = []
    opened: list[int] = []
    found: list[tuple[int, int]] = []
    place = 0
    while place < len(cell):
        if cell.startswith(left, place):
            opened.append(len(text))
            place += len(left)
        elif cell.startswith(right, place):
            if not opened or opened[-1] == len(text):
                raise RowError(f"`marked` has {right} without words before it.{_how(left, right)}")
            found.append((opened.pop(), len(text)))
            place += len(right)
        else:
            text.append(cell[place])
            place += 1
    if opened:
        raise RowError(f"`marked` has {left} without {right}.{_how(left, right)}")
    if "".join(text) != shown_text(response):
        raise RowError(
            "`marked` is not the response with marks in it: its words were changed."
            f"{_how(left, right)}"
        )
    return [raw_span(response, *span) for span in sorted(found)]


def _how(left: str, right: str) -> str:
    return f" Put {left} and {right} around what is wrong, and change nothing else."
