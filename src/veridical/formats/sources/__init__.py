"""Rows of foreign files, one at a time with their place: Parquet, Arrow, JSON, JSON lines, sheets.

Of a table a few rows are held at once, of JSON lines one; JSON arrays are read whole.
"""

from collections.abc import Iterator
from pathlib import Path

from veridical.formats.sources.json_rows import json_rows
from veridical.formats.sources.rows import Row, SourceRow, read_head, show_row
from veridical.formats.sources.sheets import delimiter_of, sheet_rows
from veridical.formats.sources.tables import arrow_rows, parquet_rows, tsv_rows
from veridical.formats.sources.workbooks import EXCEL

__all__ = [
    "Row",
    "SourceRow",
    "read_head",
    "show_row",
    "table_files",
    "table_rows",
    "tsv_rows",
]

_TABLES = {".parquet": parquet_rows, ".arrow": arrow_rows}


def table_rows(source: Path, *, columns: tuple[str, ...] = ()) -> Iterator[SourceRow]:
    """Rows of a table: Parquet, Arrow, JSON array, JSON lines, CSV, TSV with a head, XLSX.

    Args:
        source: The file, or a folder of Parquet or Arrow files.
        columns: Columns that a Parquet or Arrow file must have.
    """
    if source.is_dir():
        files = table_files(source)
        if not files:
            message = (
                "the folder holds no Parquet file and no Arrow file. Name the file or its folder."
            )
            yield SourceRow(source, None, None, message)
        for file in files:
            yield from _TABLES[file.suffix](file, columns)
    elif source.suffix in _TABLES:
        yield from _TABLES[source.suffix](source, columns)
    elif _is_sheet(source):
        yield from sheet_rows(source)
    else:
        yield from json_rows(source)


def table_files(folder: Path) -> list[Path]:
    """The Parquet files below a folder, or else its Arrow files, in order."""
    for suffix in _TABLES:
        if files := sorted(folder.rglob(f"*{suffix}")):
            return files
    return []


def _is_sheet(source: Path) -> bool:
    head = read_head(source)
    return head.startswith(EXCEL) or delimiter_of(source, head.decode(errors="replace")) is not None
