"""What holds the rows of a JSON document, and what holds the text of an answer.

Rows stand in a list, an object around it, ids, or columns. What is an object's rows and what is a
field of a single row is decided by their names: an object that has an id, or an answer of its own,
is one row. An answer is a text; a list of one; a chat completion; vLLM's `outputs`; or messages,
where the last one of the assistant counts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from veridical.scoring.reading.names import ID_NAMES, IMAGE_NAMES, may_hold_answer

CHATS = ("messages", "conversations", "conversation")
"""Fields that hold a whole chat, the answer being its last turn."""
_INNER = ("body", "choices", "outputs", "message", "content", "text", "value", "generated_text")
_ASSISTANTS = frozenset({"assistant", "gpt", "model", "bot"})
_DEEPEST_ANSWER = 8


def said(value: object) -> str | None:
    """The text of an answer, None where it holds none, or several.

    >>> said(["Yes"]), said({"choices": [{"message": {"content": "No"}}]}), said(["Yes", "No"])
    ('Yes', 'No', None)
    """
    for _ in range(_DEEPEST_ANSWER):
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping):
            name = next((name for name in _INNER if value.get(name) is not None), None)
            value = None if name is None else value[name]
        elif isinstance(value, list) and _are_parts(value):
            return "".join(part["text"] for part in value)
        elif isinstance(value, list) and len(value) == 1:
            value = value[0]
        else:
            return None
    return None


def last_turn(turns: object) -> str | None:
    """What the assistant said last in a chat, None where the value is none."""
    if not isinstance(turns, list) or not turns or not isinstance(turns[-1], Mapping):
        return None
    last: Mapping[str, Any] = turns[-1]
    who = last.get("role", last.get("from"))
    return said(last.get("content", last.get("value"))) if who in _ASSISTANTS else None


def _are_parts(value: Sequence[object]) -> bool:
    """Whether a list is the content of a message: parts of text."""
    return bool(value) and all(
        isinstance(part, Mapping)
        and part.get("type", "text") == "text"
        and isinstance(part.get("text"), str)
        and part.keys() <= {"type", "text", "annotations"}
        for part in value
    )


Json = object
"""Any JSON value."""

WRAPPERS = (
    "sentences",
    "imgToEval",
    "annotations",
    "questions",
    "logs",
    "samples",
    "results",
    "predictions",
    "responses",
    "answers",
    "data",
    "rows",
)
"""Keys under which published code keeps the rows of a file, the likeliest first."""
_OFFICIAL = frozenset({"sentences", "annotations", "questions"})
"""Keys that hold nothing but rows: what is not an object under them is a fault of its row."""
_SILENT = frozenset(
    {"info", "license", "licenses", "data_type", "data_subtype", "task_type", "overall", "images"}
)
"""Keys of official files that say nothing about the answers."""
_ROW_KEYS = frozenset({*ID_NAMES, "image_id", "doc_id"})
"""Keys that make an object a row of its own, whatever lists it holds."""
_BY_IMAGE = frozenset({"imgToEval"})
"""Wrappers whose keys are images."""
_ID = re.compile(r"\d|\.(?:jpe?g|png|webp)$", re.IGNORECASE)
_ROW_PARTS = (*CHATS, "choices")
_ASKED = frozenset({"question", "prompt", "query", "instruction", "image"})
"""Lists that one row holds."""
_DEEPEST = 4


class Unwrapped(NamedTuple):
    """The rows of a document."""

    values: Sequence[Json]
    """The rows."""
    note: str = ""
    """Where they were and what was ignored, for whoever reads the score."""


def unwrap(document: Json) -> Unwrapped:
    """The rows of a document; one that wraps none is a row itself."""
    if isinstance(document, list):
        return Unwrapped(_flat(document))
    found = _unwrap(document, 0) if isinstance(document, dict) else None
    return found or Unwrapped([document])


def _unwrap(document: Mapping[str, Json], depth: int) -> Unwrapped | None:
    if depth == _DEEPEST:
        return None
    columns = _columns(document)
    if columns is not None:
        return columns
    if _is_row(document):
        return None
    for key in WRAPPERS:
        rows = _rows_under(key, document.get(key), depth)
        if rows is not None:
            return Unwrapped(rows, _note(key, document))
    by_id = _by_id(document, name="id")
    if by_id is not None:
        return Unwrapped(by_id)
    found = [(key, _rows_under(key, held, depth)) for key, held in document.items()]
    held_by = [(key, rows) for key, rows in found if rows is not None]
    if len(held_by) != 1:  # of several nothing is guessed
        return None
    ((key, rows),) = held_by
    return Unwrapped(rows, _note(key, document))


def _note(key: str, document: Mapping[str, Json]) -> str:
    ignored = [name for name in document if name != key and name not in _SILENT]
    if not ignored:
        return ""
    names = ", ".join(f"`{name[:60]}`" for name in ignored[:8])
    return f"the rows under `{key[:60]}` were read; ignored: {names}."


def _is_row(document: Mapping[str, Json]) -> bool:
    """Whether an object is one row: it has an id, or a text that may be an answer."""
    if _ROW_KEYS & document.keys() or any(name in document for name in _ROW_PARTS):
        return True
    return any(isinstance(value, str) and may_hold_answer(key) for key, value in document.items())


def _rows_under(key: str, held: Json, depth: int) -> Sequence[Json] | None:
    if isinstance(held, list):
        rows = _flat(held)
        return rows if _are_objects(rows) or key in _OFFICIAL else None
    if not isinstance(held, dict):
        return None
    by_id = _by_id(held, name="image_id" if key in _BY_IMAGE else "id")
    if by_id is not None and key in WRAPPERS:
        return by_id
    found = _unwrap(held, depth + 1)
    return None if found is None else found.values


def _by_id(document: Mapping[str, Json], *, name: str) -> list[Json] | None:
    """Rows of an object whose keys are ids and whose values are rows or answers."""
    if not document or not all(map(_ID.search, document)):
        return None
    values = list(document.values())
    if _are_objects(values):
        return [_with_id(row, name, key) for key, row in document.items()]
    if all(isinstance(value, str) for value in values):
        return [{name: key, "response": value} for key, value in document.items()]
    return None


def _with_id(row: Any, name: str, key: str) -> Json:
    known = {"image_id"} if name == "image_id" else _ROW_KEYS | {*IMAGE_NAMES}
    named = known & row.keys()
    return row if named or _is_numbered(row) else {name: key, **row}


def _is_numbered(row: Mapping[str, Json]) -> bool:
    """Whether the key of a row only counts: OpenCompass numbers the rows of its dataset."""
    return {"origin_prompt", "prediction"} <= row.keys()


def _flat(rows: list[Any]) -> list[Any]:
    """Rows without what wraps each of them: a list around all, or Hugging Face's `row`."""
    if rows and all(isinstance(row, list) and _are_objects(row) for row in rows):
        return [row for part in rows for row in part]
    if _are_objects(rows) and all({"row_idx", "row"} <= row.keys() for row in rows):
        return [row["row"] for row in rows]
    key = _key_of_parts(rows)
    return rows if key is None else [row for part in rows for row in part[key]]


def _key_of_parts(rows: list[Any]) -> str | None:
    """The key under which each of several parts of a file holds its rows, where they are parts.

    A part says neither what was asked nor what was answered.
    """
    if not _are_objects(rows) or any(_is_row(row) or _ASKED & row.keys() for row in rows):
        return None
    held = (key for key in WRAPPERS if all(_are_objects(row.get(key)) for row in rows))
    return next(held, None)


def _columns(document: Mapping[str, Any]) -> Unwrapped | None:
    """Rows of a table that is kept by its columns, as pandas and datasets write it."""
    if {"columns", "data"} <= document.keys() and isinstance(document["columns"], list):
        names, rows = document["columns"], document["data"]
        if not isinstance(rows, list) or not all(
            isinstance(row, list) and len(row) == len(names) for row in rows
        ):
            return None
        return Unwrapped([dict(zip(map(str, names), row, strict=True)) for row in rows])
    if not any(name in _ROW_KEYS or may_hold_answer(name) for name in document):
        return None
    columns = [_cells(column) for column in document.values()]
    sizes = {len(column) for column in columns if column is not None}
    if None in columns or len(sizes) != 1 or len(columns) < 2:
        return None
    return Unwrapped(
        [dict(zip(document, row, strict=True)) for row in zip(*filter(None, columns), strict=True)]
    )


def _cells(column: Json) -> list[Json] | None:
    """The plain cells of a column: a list, or an object by numbers."""
    if isinstance(column, dict) and all(key.isdecimal() for key in column):
        column = list(column.values())
    if not isinstance(column, list) or any(isinstance(cell, dict | list) for cell in column):
        return None
    return column


def _are_objects(values: Any) -> bool:
    values = list(values) if isinstance(values, Iterable) else []
    return bool(values) and all(isinstance(one, dict) for one in values)
