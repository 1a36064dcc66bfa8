"""Rows of JSON lines, one at a time, or of a JSON array or object, read whole.

An array holds texts and paths and no images, so that it fits in memory; JSON lines may be of any
length.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veridical.errors import DataError, Fault, StorageError
from veridical.files import (
    JsonObject,
    describe_json_error,
    parse_jsonl,
    read_text,
    stream_lines,
)
from veridical.formats.sources.rows import SourceRow


def json_rows(file: Path) -> Iterator[SourceRow]:
    """Rows of a file of JSON: lines, an array, or one object."""
    try:
        lines = stream_lines(file)
        if lines is None:
            text = read_text(file)
            if not text.strip():
                yield SourceRow(file, None, None, "the file is empty. Give another file.")
                return
            rows = _whole_json(file, text)
            if rows is not None:
                del text
                yield from _array_rows(file, rows)
                return
            lines = text.split("\n")
        for row in parse_jsonl(lines):
            if row.fault is not None:
                yield SourceRow(file, row.line, None, row.fault, row.raw)
            else:
                yield _object_row(file, row.line, row.value, row.raw)
    except DataError as error:
        for fault in error.faults:
            yield SourceRow(fault.file, fault.line, None, fault.message)
    except StorageError as error:
        yield SourceRow(file, None, None, str(error))


def _array_rows(file: Path, rows: list[Any]) -> Iterator[SourceRow]:
    """The rows of an array, each released once it is read."""
    rows.reverse()
    number = 0
    while rows:
        number += 1
        value = rows.pop()
        yield _object_row(file, number, value, json.dumps(value, ensure_ascii=False)[:200])


def _object_row(file: Path, line: int, value: Any, raw: str) -> SourceRow:
    if not isinstance(value, dict):
        message = f"a row must be a JSON object, got {raw[:60]}. Fix the row."
        return SourceRow(file, line, None, message, raw)
    fault = _strictness_fault(value)
    if fault is not None:
        return SourceRow(file, line, None, f"{fault}. Fix the row.", raw)
    return SourceRow(file, line, value)


class _RepeatedKey(JsonObject):
    """A JSON object in which a key stands twice."""

    key = ""


def _whole_json(file: Path, text: str) -> list[Any] | None:
    """The rows of a file that is one JSON array or one pretty-printed object; None: one per line.

    Raises:
        DataError: It begins as one and is broken: one fault, not one for each line.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        if _is_lines(file, text):
            return None
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        message = f"{describe_json_error(error)}. Fix the file."
        raise DataError([Fault(file, line, message)]) from error
    return value if isinstance(value, list) else [value]


def _is_lines(file: Path, text: str) -> bool:
    """Whether a file that is not one JSON value means one value per line."""
    if file.suffix == ".jsonl" and not text.lstrip().startswith("["):
        return True
    lines = [line for line in text.split("\n", 50)[:50] if line.strip()]
    return 2 * sum(_is_json(line) for line in lines) > len(lines)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = _RepeatedKey(found)
    names = [name for name, _ in pairs]
    repeated.key = Counter(names).most_common(1)[0][0]
    return repeated


def _strictness_fault(value: Any) -> str | None:
    """What JSON forbids and Python's reader allows: a repeated key, NaN, infinity."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, _RepeatedKey):
            return f"the key {one.key!r} stands twice in one object; readers would drop one"
        if isinstance(one, float) and not math.isfinite(one):
            return f"{json.dumps(one)} is not a JSON number"
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return None
