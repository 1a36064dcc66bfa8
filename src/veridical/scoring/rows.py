"""Rows of score files: JSON arrays and JSON lines, gzipped or not, with every fault of every file gathered first."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from veridical.errors import DataError, Fault
from veridical.files import parse_jsonl, read_bytes

T = TypeVar("T")
U = TypeVar("U")
_GZIP = b"\x1f\x8b"
_MISSING = object()


class Row(NamedTuple):
    """One row with its place."""

    file: Path
    """The file."""
    line: int
    """Line in JSON lines, number of the element in a JSON array; from 1."""
    values: Mapping[str, Any]
    """The row."""


class Faults:
    """What is wrong with the files of a score, gathered until all have been read."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, row: Row, message: str) -> None:
        """Note a fault of a row: what is wrong · what we got · what to do."""
        self.found.append(Fault(row.file, row.line, message))

    def add_file(self, file: Path, message: str) -> None:
        """Note a fault of a whole file."""
        self.found.append(Fault(file, None, message))

    def gather(self, read: Callable[[], T], *, otherwise: U) -> T | U:
        """Call something that raises `DataError`; note its faults and go on with `otherwise`."""
        try:
            return read()
        except DataError as error:
            self.found.extend(error.faults)
            return otherwise

    def stop(self) -> None:
        """Raise what was gathered, if anything."""
        if self.found:
            raise DataError(
                self.found, advice="Nothing was scored. Mend these rows and score again."
            )


def read_rows(path: Path, faults: Faults) -> list[Row]:
    """Rows of a JSON array or of JSON lines; what the suffix says does not matter.

    Args:
        path: The file; may be gzipped, with or without byte order mark, with any line ends.
        faults: Where to note what is wrong; the rows at fault are left out.
    """
    rows: list[Row] = []
    for number, value in _numbered(path, faults):
        if isinstance(value, dict):
            rows.append(Row(path, number, value))
        else:
            shown = json.dumps(value, ensure_ascii=False)[:60]
            faults.found.append(
                Fault(path, number, f"a row must be a JSON object, got {shown}. Mend the row.")
            )
    return rows


def read_values(path: Path, faults: Faults) -> list[tuple[int, Any]]:
    """Rows of any JSON type, with their numbers."""
    return list(_numbered(path, faults))


def read_document(path: Path, faults: Faults) -> Any:
    """A file that is one JSON value; None where it is at fault."""
    text = faults.gather(lambda: _text(path), otherwise=None)
    if text is None:
        return None
    if not text.strip():
        faults.add_file(path, "the file is empty. Give the file that you mean.")
        return None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        faults.found.append(Fault(path, line, f"not valid JSON: {_reason(error)}. Mend the file."))
        return None


def field(
    row: Row, names: str | tuple[str, ...], kind: type[T], faults: Faults, *, otherwise: T
) -> T:
    """A field of a row under the first of its names that is there.

    Args:
        row: The row.
        names: Its name, or names that different sources use.
        kind: What it must be; `int` takes no boolean, `float` takes integers.
        faults: Where to note that it is absent or of another type.
        otherwise: What to go on with then.
    """
    options = (names,) if isinstance(names, str) else names
    value = next((row.values[name] for name in options if name in row.values), _MISSING)
    shown = " or ".join(f"`{name}`" for name in options)
    if value is _MISSING:
        has = ", ".join(f"`{key}`" for key in list(row.values)[:8])
        faults.add(row, f"{shown} is missing, got {has or 'nothing'}. Add it.")
        return otherwise
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        got = json.dumps(value, ensure_ascii=False)[:60]
        faults.add(
            row, f"{shown} must be {_NOUNS.get(kind, kind.__name__)}, got {got}. Mend the row."
        )
        return otherwise
    return value  # type: ignore[return-value]


def index_rows(rows: Iterable[Row], key: Callable[[Row], T], faults: Faults) -> dict[T, Row]:
    """Rows by key; a second row with one key is a fault that names both lines."""
    found: dict[T, Row] = {}
    for row in rows:
        one = key(row)
        first = found.setdefault(one, row)
        if first is not row:
            faults.add(row, f"id {one!r} stands in line {first.line} already. Keep one of the two.")
    return found


_NOUNS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
}


def _numbered(path: Path, faults: Faults) -> list[tuple[int, Any]]:
    text = faults.gather(lambda: _text(path), otherwise=None)
    if text is None:
        return []
    if not text.strip():
        faults.add_file(path, "the file is empty. Give the file that you mean.")
        return []
    if text.lstrip()[:1] == "[":
        try:
            whole = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            whole = (
                None  # perhaps lines that are arrays; read line by line, which names the bad one
            )
        if isinstance(whole, list):
            return list(enumerate(whole, start=1))
    found = []
    for row in parse_jsonl(text):
        if row.fault is not None:
            faults.found.append(Fault(path, row.line, row.fault))
        else:
            found.append((row.line, row.value))
    return found


def _text(path: Path) -> str:
    if not path.is_file():
        what = (
            "is a folder; name a file" if path.is_dir() else "there is no such file. Check the path"
        )
        raise DataError([Fault(path, None, f"{what}.")])
    data = read_bytes(path)
    if data.startswith(_GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                [Fault(path, None, f"broken gzip: {error}. Download it again.")]
            ) from error
    elif path.suffix == ".gz":
        raise DataError(
            [Fault(path, None, "named .gz but not gzipped. Rename it, or compress it.")]
        )
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"not UTF-8 (byte {data[error.start]:#04x}). Save the file as UTF-8."
        raise DataError([Fault(path, line, message)]) from error


def _reason(error: Exception) -> str:
    return (
        f"{error.msg} at column {error.colno}"
        if isinstance(error, json.JSONDecodeError)
        else str(error)
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
