"""Rows of foreign files, one at a time and with their place: Parquet, JSON, JSON lines, tab-separated.

Never more than one page of a Parquet row group, or one line, is held at once; JSON is read whole,
since it holds texts and paths and no images.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from veridical.errors import DataError, Fault
from veridical.files import quarantine_rows, read_bytes, read_jsonl_rows

_BATCH_ROWS = 16
"""Rows decoded together: images are large."""


class SourceRow(NamedTuple):
    """One row of a foreign file, or what is wrong with it."""

    file: Path
    """The file."""
    line: int | None
    """Line, or number of the row, from 1; None when the whole file is at fault."""
    values: Mapping[str, Any] | None
    """The row; None where there is a fault."""
    fault: str | None = None
    """What is wrong, or None."""
    raw: str = ""
    """The row as it stands in the file, where it is text and at fault."""


def show_row(row: SourceRow) -> str:
    """A row as one line of JSON for people to look at; bytes are told by their number."""
    if row.values is None:
        return row.raw
    return json.dumps(
        row.values,
        ensure_ascii=False,
        default=lambda value: f"<{type(value).__name__}, {len(value)}>",
    )


def put_rows_aside(rows: Iterable[tuple[SourceRow, Sequence[str]]], folder: Path) -> None:
    """Write bad rows with what is wrong with them into `NAME.bad.jsonl` of a folder, and say so.

    Args:
        rows: Rows and their faults; the faults of one row may come apart.
        folder: The folder.
    """
    by_file: dict[Path, dict[int, tuple[SourceRow, list[str]]]] = {}
    for row, messages in rows:
        by_file.setdefault(row.file, {}).setdefault(row.line or 0, (row, []))[1].extend(messages)
    for file, found in by_file.items():
        lines = [
            (line, show_row(row), " ".join(messages))
            for line, (row, messages) in sorted(found.items())
        ]
        quarantine_rows(file, lines, to=folder / f"{file.stem}.bad.jsonl")


def table_rows(source: Path, *, columns: tuple[str, ...] = ()) -> Iterator[SourceRow]:
    """Rows of a Parquet file, a folder of Parquet files, a JSON array or JSON lines.

    Args:
        source: The file or folder.
        columns: Columns that a Parquet file must have.
    """
    if source.is_dir():
        files = sorted(source.rglob("*.parquet"))
        if not files:
            yield SourceRow(
                source, None, None, "the folder holds no Parquet file. Name the file or its folder."
            )
        for file in files:
            yield from _parquet_rows(file, columns)
    elif source.suffix == ".parquet":
        yield from _parquet_rows(source, columns)
    else:
        yield from _json_rows(source)


def _parquet_rows(file: Path, columns: tuple[str, ...]) -> Iterator[SourceRow]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False) as reader:
            present = reader.schema_arrow.names
            missing = [name for name in columns if name not in present]
            if missing:
                yield SourceRow(
                    file,
                    None,
                    None,
                    f"the column{'s' if len(missing) > 1 else ''} {_quoted(missing)} missing, "
                    f"got {_quoted(present)}. Give the right format.",
                )
                return
            for batch in reader.iter_batches(batch_size=_BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield SourceRow(file, number, values)
    except FileNotFoundError:
        yield SourceRow(file, None, None, "there is no such file. Check the path.")
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        read = f" after row {number}" if number else ""
        yield SourceRow(
            file, None, None, f"no readable Parquet file{read}: {reason}. Download it again."
        )


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _json_rows(file: Path) -> Iterator[SourceRow]:
    try:
        if file.suffix == ".json" and (rows := _json_array(file)) is not None:
            for number, value in enumerate(rows, start=1):
                yield _object_row(file, number, value, json.dumps(value, ensure_ascii=False))
            return
        for row in read_jsonl_rows(file):
            if row.fault is not None:
                yield SourceRow(file, row.line, None, row.fault, row.raw)
            else:
                yield _object_row(file, row.line, row.value, row.raw)
    except DataError as error:
        for fault in error.faults:
            yield SourceRow(fault.file, fault.line, None, fault.message)


def _object_row(file: Path, line: int, value: Any, raw: str) -> SourceRow:
    if isinstance(value, dict):
        return SourceRow(file, line, value)
    return SourceRow(
        file, line, None, f"a row must be a JSON object, got {raw[:60]}. Mend the row.", raw
    )


def _json_array(file: Path) -> list[Any] | None:
    """The array that a .json file holds; None for one object a line, which some call .json too."""
    if not file.is_file():
        return None  # the reader of lines tells it
    data = read_bytes(file)
    if data.lstrip()[:1] != b"[":
        return None
    try:
        value = json.loads(data)
    except UnicodeDecodeError as error:
        raise DataError(
            [Fault(file, None, f"not UTF-8: {error.reason}. Save the file as UTF-8.")]
        ) from error
    except RecursionError as error:
        raise DataError([Fault(file, None, "JSON nested too deeply. Mend the file.")]) from error
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg} at column {error.colno}. Mend the file."
        raise DataError([Fault(file, error.lineno, message)]) from error
    return list(value)


def tsv_rows(
    source: Path, *, columns: tuple[str, ...], check: Callable[[Path, int], str | None]
) -> Iterator[SourceRow]:
    """Rows of a tab-separated file without header.

    Args:
        source: The file.
        columns: Names of its columns, in order.
        check: Given file and number of rows at the end: what is wrong with the whole file, or None.
    """
    number = 0
    try:
        with source.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    cells = line.rstrip(b"\r\n").decode("utf-8").split("\t")
                except UnicodeDecodeError:
                    yield SourceRow(
                        source, number, None, "not UTF-8. Save the file as UTF-8.", repr(line[:200])
                    )
                    continue
                if len(cells) != len(columns):
                    fault = (
                        f"{len(columns)} tab-separated columns expected, got {len(cells)}. Download"
                        " the file again."
                    )
                    yield SourceRow(
                        source, number, None, fault, "\t".join(cell[:200] for cell in cells)
                    )
                else:
                    yield SourceRow(source, number, dict(zip(columns, cells, strict=True)))
    except OSError as error:
        yield SourceRow(
            source, None, None, f"cannot be read: {error.strerror or error}. Check the path."
        )
        return
    whole = check(source, number)
    if whole is not None:
        yield SourceRow(source, None, None, whole)
