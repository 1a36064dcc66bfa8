"""The first sheet of an Excel workbook as cells of text.

A workbook is a zip of XML, read with the standard library; formulas count with their last value.
"""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from veridical.encodings import most_unpacked
from veridical.errors import DataError, Fault

EXCEL = b"PK\x03\x04"
"""How every Excel workbook begins."""
_LARGEST_PART = 128 * 1024 * 1024
"""Bytes of one part of a workbook, unpacked."""
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_PLACE = re.compile(r"([A-Z]{1,3})[0-9]+")
Cells = dict[int, str]
"""Texts of a row's cells by place, from 0."""
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
"""How a workbook writes a character that XML cannot hold."""
_WHOLE = re.compile(r"-?[0-9]{1,15}\.0+")


class Booleans(NamedTuple):
    """What cells that hold a truth value are called."""

    no: str = "False"
    """The false ones."""
    yes: str = "True"
    """The true ones."""


_AS_PYTHON = Booleans()


def workbook_cells(
    path: Path, data: bytes, *, booleans: Booleans = _AS_PYTHON
) -> list[tuple[int, Cells]]:
    """Rows of the first sheet with their numbers, from 1.

    Args:
        path: The file, for messages.
        data: Its bytes.
        booleans: Texts of cells that hold a truth value.

    Raises:
        DataError: It is not a workbook, or is too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            shared = _shared_texts(path, archive)
            sheet = _part(path, archive, _first_sheet(path, archive))
            return list(_sheet_rows(sheet, shared, booleans))
    except (
        zipfile.BadZipFile,
        ElementTree.ParseError,
        NotImplementedError,
        ValueError,
        KeyError,
    ) as error:
        if isinstance(error, DataError):
            raise
        message = f"not an Excel workbook that can be read: {error}. Save it as CSV."
        raise DataError([Fault(path, None, message)]) from error


def _first_sheet(path: Path, archive: zipfile.ZipFile) -> str:
    """The part of the sheet that stands first in the workbook, whatever its file is called."""
    names = sorted(
        (name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")),
        key=lambda name: (len(name), name),
    )
    listed = _parse(path, archive, "xl/workbook.xml")
    relations = _parse(path, archive, "xl/_rels/workbook.xml.rels")
    if listed is not None and relations is not None:
        targets = {item.get("Id"): item.get("Target", "") for item in relations}
        for sheet in listed.iter(f"{_SHEET}sheet"):
            target = targets.get(sheet.get(_RELATION), "")
            name = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            if name in names:
                return name
    if not names:
        raise DataError([Fault(path, None, "holds no sheet. Save it as .xlsx again.")])
    return names[0]


def _parse(path: Path, archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    if name not in archive.namelist():
        return None
    return ElementTree.fromstring(_part(path, archive, name))  # noqa: S314 (no entities, see _part)


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
    root = _parse(path, archive, "xl/sharedStrings.xml")
    if root is None:
        return []
    return [_text(item) for item in root.iter(f"{_SHEET}si")]


def _text(item: ElementTree.Element) -> str:
    """The text of a cell in all its formatted parts, without what is shown above it."""
    parts = [item] if item.find(f"{_SHEET}t") is not None else item.findall(f"{_SHEET}r")
    text = "".join(part.findtext(f"{_SHEET}t") or "" for part in parts)
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _sheet_rows(
    data: bytes, shared: Sequence[str], booleans: Booleans
) -> Iterator[tuple[int, Cells]]:
    root = ElementTree.fromstring(data)  # noqa: S314 (as above)
    for number, row in enumerate(root.iter(f"{_SHEET}row"), start=1):
        cells: Cells = {}
        for place, cell in enumerate(row.findall(f"{_SHEET}c")):
            match = _PLACE.fullmatch(cell.get("r", ""))
            cells[_column(match[1]) if match else place] = _cell(cell, shared, booleans)
        yield int(row.get("r") or number), cells


def _column(letters: str) -> int:
    place = 0
    for letter in letters:
        place = 26 * place + ord(letter) - 64
    return place - 1


def _cell(cell: ElementTree.Element, shared: Sequence[str], booleans: Booleans) -> str:
    value = cell.findtext(f"{_SHEET}v") or ""
    kind = cell.get("t", "n")
    if kind == "s":
        return shared[int(value)] if value.isdecimal() and int(value) < len(shared) else ""
    if kind == "inlineStr":
        inner = cell.find(f"{_SHEET}is")
        return "" if inner is None else _text(inner)
    if kind == "b":
        return {"1": booleans.yes, "0": booleans.no}.get(value, value)
    return value.partition(".")[0] if kind == "n" and _WHOLE.fullmatch(value) else value
