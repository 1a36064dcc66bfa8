"""Rows of score files, whatever layout they come in, with every fault of every file gathered first.

JSON lines and arrays, an object with the rows, CSV, TSV and Excel, gzipped or not; what a file
holds besides its rows is noted. Which field of a row is the answer is decided in `answers`.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from veridical.encodings import decode_text
from veridical.errors import DataError, Fault, shortened
from veridical.formats.sources.sheets import EXCEL, delimiter_of, read_table, read_workbook
from veridical.scoring.reading.columns import COLUMNS, read_columns
from veridical.scoring.reading.json_rows import json_fault, load_json, read_json_rows
from veridical.scoring.reading.packed import read_plain_bytes, reject_foreign

T = TypeVar("T")
U = TypeVar("U")
Values = Mapping[str, Any]
"""A row's fields: any JSON."""
_ABSENT = object()
_HEADER = "veridical"
"""Key of the first line of our own record files, which is not a row."""
_INTEGRAL = re.compile(r"(-?[0-9]+)\.0+")


class Row(NamedTuple):
    """One row with its place."""

    file: Path
    """The file."""
    line: int
    """Line in JSON lines and tables, number of the element in a JSON array; from 1."""
    values: Values
    """The row."""


class Faults:
    """What is wrong with the files of a score, gathered until all are read; and notes on them."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.notes: list[str] = []
        """What was passed over in the files, for the score's warnings."""
        self._rows: Counter[Path] = Counter()

    def add(self, row: Row, message: str) -> None:
        """Note a fault of a row: what is wrong · what we got · what to do."""
        self.add_file(row.file, message, line=row.line)

    def add_file(self, file: Path, message: str, *, line: int | None = None) -> None:
        """Note a fault of a whole file, or of one of its lines.

        Raises:
            DataError: There are so many that reading on tells nothing new.
        """
        self.found.append(Fault(file, line, shortened(message)))
        if len(self.found) >= _MOST:
            self.stop(f"Reading stopped at {_MOST:,} faults.")

    def gather(self, read: Callable[[], T], *, otherwise: U) -> T | U:
        """Call something that raises `DataError`; note its faults and continue with `otherwise`."""
        try:
            return read()
        except DataError as error:
            if len(self.found) >= _MOST:
                raise
            self.found.extend(error.faults)
            return otherwise

    def count_rows(self, file: Path, rows: int) -> None:
        """Remember how many rows a file has, to tell a bad file from bad rows."""
        self._rows[file] = rows

    def stop(self, *notes: str) -> None:
        """Raise what was gathered, if anything."""
        if self.found:
            raise DataError(self.found, advice=" ".join((*notes, *self._causes(), _ADVICE)))

    def _causes(self) -> list[str]:
        """Files in which nearly every row is at fault: then the file is at fault, not its rows."""
        lines = {(fault.file, fault.line) for fault in self.found if fault.line is not None}
        bad = Counter(file for file, _ in lines)
        return [
            f"Likely cause: {count} of {self._rows[file]} rows of {file.name} are at fault, so the"
            " file is probably of another form, or belongs to another benchmark."
            for file, count in bad.items()
            if count > 5 and count >= 0.9 * self._rows[file]
        ]


_MOST = 100_000
"""Faults after which reading stops: a megabyte of empty rows may have millions."""
_ADVICE = "Nothing was scored. Fix these rows and score again."


def read_rows(path: Path, faults: Faults) -> list[Row]:
    """Rows of a file; the header line of our own records is passed over.

    Args:
        path: JSON lines, a JSON array, an object with rows (`{"sentences": […]}`), CSV, TSV or
            XLSX; may be gzipped, with or without byte order mark, with any line ends.
        faults: Where to note what is wrong; the rows at fault are left out.
    """
    rows: list[Row] = []
    faults.count_rows(path, len(numbered := _numbered(path, faults)))
    for number, value in numbered:
        if not isinstance(value, dict):
            message = f"a row must be a JSON object, got {shown(value)}. Fix the row."
            faults.add_file(path, message, line=number)
        elif not value:
            faults.add_file(path, "the row is empty. Leave it out.", line=number)
        elif _HEADER not in value or len(value) > 2:
            rows.append(Row(path, number, value))
    return rows


def read_values(path: Path, faults: Faults) -> list[tuple[int, Any]]:
    """Rows of any JSON type, with their numbers."""
    return _numbered(path, faults)


def read_document(path: Path, faults: Faults) -> Any:
    """A file that is one JSON value; None where it is at fault."""
    text = faults.gather(lambda: _text(path), otherwise=None)
    if text is None:
        return None
    try:
        return load_json(text)
    except (ValueError, RecursionError) as error:
        fault = json_fault(error)
        faults.add_file(path, fault.message, line=fault.line)
        return None


def field(
    row: Row, names: str | tuple[str, ...], kind: type[T], faults: Faults, *, otherwise: T
) -> T:
    """A field of a row under the one of its names that is there.

    Args:
        row: The row.
        names: Its name, or names that different sources use.
        kind: What it must be; `int` takes no boolean, `float` takes integers, and both take numbers
            written as text.
        faults: Where to note that it is missing, of another type, or there under two names that
            differ.
        otherwise: What to continue with then.
    """
    options = (names,) if isinstance(names, str) else names
    found = {name: row.values[name] for name in options if name in row.values}
    named = " or ".join(f"`{name}`" for name in options)
    if not found:
        faults.add(row, f"{named} is missing, got {names_of(row)}. Add it.")
        return otherwise
    (first, value), *others = found.items()
    for name, other in others:
        if other != value:
            message = f"`{first}` and `{name}` differ: {shown(value)} and {shown(other)}. Keep one."
            faults.add(row, message)
            return otherwise
    read = _as(kind, value)
    if read is _ABSENT:
        noun = _NOUNS.get(kind, kind.__name__)
        faults.add(row, f"{named} must be {noun}, got {shown(value)}. Fix the row.")
        return otherwise
    return read  # type: ignore[no-any-return]


def row_id(row: Row, names: tuple[str, ...], faults: Faults) -> str | None:
    """Id of a row as text: 7, "7" and 7.0 are one id; None, with a fault, where it has none."""
    name = next((name for name in names if name in row.values), None)
    if name is None:
        named = " or ".join(f"`{name}`" for name in names)
        faults.add(row, f"{named} is missing, got {names_of(row)}. Give the row its id.")
        return None
    value = id_text(row.values[name])
    if value is None:
        got = shown(row.values[name])
        message = f"`{name}` must be a number or a text, got {got}. Give the row its id."
        faults.add(row, message)
    return value


def number_id(row: Row, names: tuple[str, ...], faults: Faults) -> int | None:
    """Id of a row as a whole number; None, with a fault, where it is not one."""
    value = row_id(row, names, faults)
    if value is None or re.fullmatch(r"-?[0-9]{1,15}", value):
        return None if value is None else int(value)
    name = next(name for name in names if name in row.values)
    faults.add(row, f"`{name}` must be a whole number, got {shown(value)}. Fix the row.")
    return None


def id_text(value: object) -> str | None:
    """A value as an id; None where it cannot be one.

    >>> id_text(7), id_text(" 7 "), id_text(7.0), id_text("7.0"), id_text(True), id_text("")
    ('7', '7', '7', '7', None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    text = str(value).strip()
    whole = _INTEGRAL.fullmatch(text)
    return whole[1] if whole else text or None


def index_rows(rows: Iterable[Row], key: Callable[[Row], T | None], faults: Faults) -> dict[T, Row]:
    """Rows by key; a key that stands twice is a fault; rows without a key are left out."""
    found: dict[T, Row] = {}
    for row in rows:
        one = key(row)
        if one is None:
            continue
        first = found.setdefault(one, row)
        if first is not row:
            faults.add(row, f"id {one!r} stands in line {first.line} already. Keep one of the two.")
    return found


def shown(value: object) -> str:
    """A value as JSON, cut to 60 characters, for a message."""
    return json.dumps(value, ensure_ascii=False, default=str)[:60]


def names_of(row: Row) -> str:
    """The names of a row's fields, for a message."""
    return ", ".join(f"`{key}`" for key in list(row.values)[:8]) or "nothing"


_NOUNS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
}


def _as(kind: type[T], value: Any) -> Any:
    """A value as a type, `_ABSENT` where it is not of it."""
    if kind in (int, float) and isinstance(value, str):  # tables hold nothing but texts
        try:
            value = int(value) if kind is int else float(value)
        except ValueError:
            return _ABSENT
    if isinstance(value, float) and not math.isfinite(value):
        return _ABSENT
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    is_it = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
    return value if is_it else _ABSENT


def _numbered(path: Path, faults: Faults) -> list[tuple[int, Any]]:
    data = faults.gather(lambda: read_plain_bytes(path), otherwise=None)
    if data is None:
        return []
    if data.startswith(EXCEL):
        return faults.gather(lambda: [*read_workbook(path, data)], otherwise=[])
    if data.startswith(COLUMNS):
        return faults.gather(lambda: read_columns(path, data), otherwise=[])
    text = faults.gather(lambda: _text(path, data), otherwise=None)
    if text is None:
        return []
    delimiter = delimiter_of(path, text)
    if delimiter is not None:
        return faults.gather(lambda: [*read_table(path, text, delimiter=delimiter)], otherwise=[])
    read = read_json_rows(text)
    for fault in read.faults:
        faults.add_file(path, fault.message, line=fault.line)
    if read.note:
        faults.notes.append(f"{path.name}: {read.note}")
    return read.values


def _text(path: Path, data: bytes | None = None) -> str:
    data = read_plain_bytes(path) if data is None else data
    reject_foreign(path, data)
    text = decode_text(path, data)
    if not text.strip():
        message = "the file is empty. Give the file that you mean."
        raise DataError([Fault(path, None, message)])
    return text
