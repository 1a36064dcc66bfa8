"""Tables as rows: CSV, TSV, and the first sheet of an Excel workbook. Every cell is text."""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.errors import DataError, Fault, StorageError
from veridical.files import read_bytes, read_text
from veridical.formats.sources.rows import SourceRow, read_head
from veridical.formats.sources.workbooks import EXCEL, Cells, workbook_cells

__all__ = ["EXCEL", "SheetRow", "delimiter_of", "read_table", "read_workbook", "sheet_rows"]

_PACKED = (".gz", ".bz2", ".xz", ".zip")
_UNNAMED = "Unnamed: 0"
"""What pandas calls a first column without a name."""


class SheetRow(NamedTuple):
    """One row of a table below its head."""

    line: int
    """Line of the file, or row of the sheet, from 1."""
    values: dict[str, str]
    """Cells by the names in the head; an empty cell is an empty text."""


def sheet_rows(file: Path) -> Iterator[SourceRow]:
    """Rows of a CSV or TSV file with a head, or of the first sheet of a workbook.

    Every cell is text; a cell that holds a JSON list or object is read as one, and empty cells are
    left out.
    """
    try:
        if read_head(file).startswith(EXCEL):
            rows = read_workbook(file, read_bytes(file))
        else:
            text = read_text(file)
            rows = read_table(file, text, delimiter=delimiter_of(file, text) or ",")
        for line, values in rows:
            found = {name: _cell_value(text) for name, text in values.items() if text.strip()}
            yield SourceRow(file, line, found)
    except DataError as error:
        for fault in error.faults:
            yield SourceRow(fault.file, fault.line, None, fault.message)
    except StorageError as error:
        yield SourceRow(file, None, None, str(error))


def _cell_value(text: str) -> object:
    if text[:1] in "[{" and text[-1:] in "]}":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def delimiter_of(path: Path, text: str) -> str | None:
    """What separates the cells of a text table; None for other files.

    A file named .csv or .tsv is one, and a .txt or .tab whose first line holds tabs and is not
    JSON. The head decides: spreadsheets in much of Europe write semicolons into a .csv.
    """
    name = path.name.lower()
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    head = text.lstrip("\r\n").split("\n", 1)[0]
    usual = "\t" if name.endswith(".tsv") else "," if name.endswith(".csv") else None
    if usual is None:
        is_table = name.endswith((".txt", ".tab")) and "\t" in head and head[:1] not in "[{"
        return "\t" if is_table else None
    others = [sign for sign in ("\t", ";", ",") if sign in head]
    return usual if usual in head or not others else others[0]


def read_table(path: Path, text: str, *, delimiter: str) -> list[SheetRow]:
    """Rows of a CSV or TSV file.

    Raises:
        DataError: The head is not a head, or a row has more cells than it.
    """
    csv.field_size_limit(sys.maxsize)  # images stand in some cells, in base64
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        numbered, line = [], 1
        for cells in reader:  # a quoted cell may have several lines: a row is where it begins
            numbered.append((line, dict(enumerate(cells))))
            line = reader.line_num + 1
    except csv.Error as error:
        message = f"not a table: {error}. Save it again."
        raise DataError([Fault(path, reader.line_num, message)]) from error
    return _named(path, numbered)


def read_workbook(path: Path, data: bytes) -> list[SheetRow]:
    """Rows of the first sheet of an Excel file.

    Raises:
        DataError: It is not a workbook, is too large, or its head is not a head.
    """
    return _named(path, workbook_cells(path, data))


def _named(path: Path, numbered: Sequence[tuple[int, Cells]]) -> list[SheetRow]:
    """Rows with the names of the first one that is not blank."""
    filled = [(line, cells) for line, cells in numbered if any(map(str.strip, cells.values()))]
    if not filled:
        raise DataError([Fault(path, None, "the table is empty. Give the file that you mean.")])
    first, head = filled[0]
    names = {place: name.strip() for place, name in head.items() if name.strip()}
    if not head.get(0, "").strip() and len(names) > 1:  # the numbers that pandas puts in front
        names = {0: _UNNAMED, **names}
    doubles = [name for name, count in Counter(names.values()).items() if count > 1]
    if doubles:
        message = f"the column {doubles[0][:60]!r} stands twice. Rename one of the two."
        raise DataError([Fault(path, first, message)])
    message = f"a cell without a column: the head has {len(names)}. Quote cells that hold it."
    faults = [
        Fault(path, line, message)
        for line, cells in filled[1:]
        if any(text.strip() for place, text in cells.items() if place not in names)
    ]
    if faults:
        raise DataError(faults)
    return [
        SheetRow(line, {name: cells.get(place, "") for place, name in names.items()})
        for line, cells in filled[1:]
    ]
