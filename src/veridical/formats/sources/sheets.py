"""Tables as rows: CSV, TSV, and the first sheet of an Excel workbook. Every cell is text.

An Excel file is a zip of XML, read with the standard library; formulas count with their last value.
"""

import csv
import io
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from veridical.encodings import most_unpacked
from veridical.errors import DataError, Fault, StorageError
from veridical.files import read_bytes, read_text
from veridical.formats.sources.rows import SourceRow, read_head

EXCEL = b"PK\x03\x04"
"""How every Excel workbook begins."""
_PACKED = (".gz", ".bz2", ".xz", ".zip")
_LARGEST_PART = 128 * 1024 * 1024
"""Bytes of one part of a workbook, unpacked."""
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_PLACE = re.compile(r"([A-Z]{1,3})[0-9]+")
Cells = dict[int, str]
"""Texts of a row's cells by place, from 0."""
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
"""How a workbook writes a character that XML cannot hold."""
_UNNAMED = "Unnamed: 0"
"""What pandas calls a first column without a name."""
_WHOLE = re.compile(r"-?[0-9]{1,15}\.0+")


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
        numbered = [(reader.line_num, dict(enumerate(cells))) for cells in reader]
    except csv.Error as error:
        message = f"not a table: {error}. Save it again."
        raise DataError([Fault(path, reader.line_num, message)]) from error
    return _named(path, numbered)


def read_workbook(path: Path, data: bytes) -> list[SheetRow]:
    """Rows of the first sheet of an Excel file.

    Raises:
        DataError: It is not a workbook, is too large, or its head is not a head.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            shared = _shared_texts(path, archive)
            names = sorted(
                (name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")),
                key=lambda name: (len(name), name),
            )
            if not names:
                raise DataError([Fault(path, None, "holds no sheet. Save it as .xlsx again.")])
            return _named(path, list(_sheet_rows(_part(path, archive, names[0]), shared)))
    except (zipfile.BadZipFile, ElementTree.ParseError, NotImplementedError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        message = f"not an Excel workbook that can be read: {error}. Save it as CSV."
        raise DataError([Fault(path, None, message)]) from error


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


def _part(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    most = most_unpacked(info.compress_size, most=_LARGEST_PART)
    if info.file_size > most:
        message = f"{name} unpacks to more than {most >> 20} MiB. Save it as CSV."
        raise DataError([Fault(path, None, message)])
    with archive.open(name) as file:
        data = file.read(most + 1)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise DataError([Fault(path, None, f"{name} declares entities. Save it as CSV.")])
    return data


def _shared_texts(path: Path, archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    root = ElementTree.fromstring(_part(path, archive, "xl/sharedStrings.xml"))  # noqa: S314 (no entities, see _part)
    return [_text(item) for item in root.iter(f"{_SHEET}si")]


def _text(item: ElementTree.Element) -> str:
    """The text of a cell in all its formatted parts, without what is shown above it."""
    parts = [item] if item.find(f"{_SHEET}t") is not None else item.findall(f"{_SHEET}r")
    text = "".join(part.findtext(f"{_SHEET}t") or "" for part in parts)
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _sheet_rows(data: bytes, shared: Sequence[str]) -> Iterator[tuple[int, Cells]]:
    root = ElementTree.fromstring(data)  # noqa: S314 (as above)
    for number, row in enumerate(root.iter(f"{_SHEET}row"), start=1):
        cells: Cells = {}
        for place, cell in enumerate(row.findall(f"{_SHEET}c")):
            match = _PLACE.fullmatch(cell.get("r", ""))
            cells[_column(match[1]) if match else place] = _cell(cell, shared)
        yield int(row.get("r") or number), cells


def _column(letters: str) -> int:
    place = 0
    for letter in letters:
        place = 26 * place + ord(letter) - 64
    return place - 1


def _cell(cell: ElementTree.Element, shared: Sequence[str]) -> str:
    value = cell.findtext(f"{_SHEET}v") or ""
    kind = cell.get("t", "n")
    if kind == "s":
        return shared[int(value)] if value.isdecimal() and int(value) < len(shared) else ""
    if kind == "inlineStr":
        inner = cell.find(f"{_SHEET}is")
        return "" if inner is None else _text(inner)
    if kind == "b":
        return {"1": "True", "0": "False"}.get(value, value)
    return value.partition(".")[0] if kind == "n" and _WHOLE.fullmatch(value) else value
