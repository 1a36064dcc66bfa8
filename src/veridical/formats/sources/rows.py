"""One row of a foreign file with its place, or what is wrong with it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

Row = Mapping[str, Any]
"""The fields of a row, as JSON values; images may be bytes."""

_HEAD_BYTES = 4096
_SHOWN_CHARACTERS = 10_000


class SourceRow(NamedTuple):
    """One row of a foreign file, or what is wrong with it."""

    file: Path
    """The file."""
    line: int | None
    """Line, or number of the row, from 1; None when the whole file is at fault."""
    values: Row | None
    """The row; None where there is a fault."""
    fault: str | None = None
    """What is wrong, or None."""
    raw: str = ""
    """The row as it stands in the file, where it is text and at fault."""


def show_row(row: SourceRow) -> str:
    """A row as one line of JSON for people to look at; bytes are shown by their number."""
    if row.values is None:
        return row.raw
    text = json.dumps(
        dict(row.values),
        ensure_ascii=False,
        default=lambda value: f"<{type(value).__name__}, {len(value)}>",
    )
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def read_head(path: Path) -> bytes:
    """The first bytes of a file; none of a folder, or of what cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""
