"""Tables as spreadsheets keep them: CSV in UTF-8, or a workbook (.xlsx).

In CSV a cell that begins with a sign which a spreadsheet would take for a formula gets an
apostrophe in front, which is taken away again; every text comes back as it was.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from veridical.errors import ConfigError, DataError, Fault, MissingPackageError
from veridical.files import atomic_path, read_bytes, read_text, write_text_atomically
from veridical.formats.sources.workbooks import Booleans, workbook_cells

SUFFIXES = (".csv", ".xlsx")
"""What can be written and read."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_MAX_CELL = 32_767  # of a workbook, in UTF-16 units
_WIDE = ("response", "response_1", "response_2", "corrected", "marked")
_WIDTHS = dict.fromkeys(_WIDE, 60) | {"question": 30}


class TableRow(NamedTuple):
    """One row of a table."""

    line: int
    """Its line in the file (row of a workbook), where it begins."""
    cells: dict[str, str]
    """Its cells by column, stripped of nothing."""


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table.

    Raises:
        ConfigError: The suffix is not one that can be written.
        DataError: A text that a workbook cannot hold.
        StorageError: The disk refused.
    """
    if _suffix(path) == ".xlsx":
        _write_workbook(path, columns, rows)
        return
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_guarded(cell) for cell in row] for row in rows)
    write_text_atomically(path, "\ufeff" + stream.getvalue())  # so that Excel reads it as UTF-8


def read_table(path: Path, needed: Sequence[str]) -> Iterator[TableRow]:
    """Go through the rows of a table; wholly empty ones are left out.

    Args:
        path: The file; a CSV may be separated by commas, semicolons or tabs.
        needed: Columns that must be there.

    Raises:
        ConfigError: The suffix is not one that can be read.
        DataError: The file is not such a table, or a column is missing.
    """
    lines = _workbook_rows(path) if _suffix(path) == ".xlsx" else _csv_rows(path)
    _, header = next(lines, (0, []))
    names = [name.strip() for name in header]
    missing = [name for name in needed if name not in names]
    if missing:
        message = f"the column {missing[0]!r} is missing, got {', '.join(names) or 'none'}."
        raise DataError([Fault(path, 1, f"{message} Keep the first row as it was written.")])
    for line, cells in lines:
        if not any(cells):
            continue
        if any(cells[len(names) :]):
            message = f"{len(cells)} cells, where there are {len(names)} columns. Quote the texts."
            raise DataError([Fault(path, line, message)])
        padded = [*cells, *([""] * (len(names) - len(cells)))]
        yield TableRow(line, dict(zip(names, padded, strict=False)))


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"A sheet is a .csv or .xlsx file, got `{path.name}`.")
    return suffix


def _guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    text = read_text(path)
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    csv.field_size_limit(2**20)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, [_plain(cell) for cell in cells]
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError([Fault(path, line, f"not CSV: {error}. Save the sheet anew.")]) from error


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise MissingPackageError(
            "openpyxl", extra="sheets", purpose="A workbook (.xlsx)"
        ) from error
    return openpyxl


def _write_workbook(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from openpyxl.styles import Alignment, Font

    book = _openpyxl().Workbook()
    sheet = book.active
    sheet.append(list(columns))
    faults = []
    for number, row in enumerate(rows, start=2):
        for column, text in enumerate(row, start=1):
            if _UNWRITABLE.search(text) or len(text.encode("utf-16-le")) > 2 * _MAX_CELL:
                what = f"`{columns[column - 1]}` cannot stand in a workbook, got {text[:40]!r}."
                faults.append(Fault(path, number, f"{what} Write a .csv file."))
                continue
            cell = sheet.cell(number, column)
            cell.value, cell.data_type = text or None, "s"  # a text, whatever it looks like
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    if faults:
        raise DataError(faults)
    for number, name in enumerate(columns, start=1):
        sheet.cell(1, number).font = Font(bold=True)
        sheet.column_dimensions[sheet.cell(1, number).column_letter].width = _WIDTHS.get(name, 16)
    sheet.freeze_panes = "A2"
    with atomic_path(path) as temporary:
        book.save(temporary)


def _workbook_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    if not path.is_file():
        raise DataError([Fault(path, None, "there is no such file. Check the path.")])
    for line, cells in workbook_cells(path, read_bytes(path), booleans=Booleans("no", "yes")):
        yield line, [cells.get(place, "") for place in range(max(cells, default=-1) + 1)]
