"""Rows of foreign files, one at a time with their place: Parquet, JSON, JSON lines, TSV.

Of a Parquet file a few rows are held at once, of JSON lines one; JSON is read whole, since it holds
texts and paths and no images. What a small file can expand to is bounded.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from veridical.errors import DataError, Fault, StorageError
from veridical.files import JsonObject, describe_json_error, parse_jsonl, read_text

Row = Mapping[str, Any]
"""The fields of a row, as JSON values; images may be bytes."""

_BATCH_ROWS = 16
"""Rows decoded together: images are large."""
_BATCH_BYTES = 2**28
_LARGEST_RATIO = 100
"""How much larger than its file a large Parquet column may be; images hardly compress."""
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
            fault = _columns_fault(reader.schema_arrow.names, columns)
            largest, ratio = _expansion(reader.metadata)
            if largest > _BATCH_BYTES and ratio > _LARGEST_RATIO:
                fault = (
                    f"a column expands to {largest:,} bytes, {ratio:,.0f} times its size in the"
                    " file. Write the file again without such rows."
                )
            if fault is not None:
                yield SourceRow(file, None, None, fault)
                return
            rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(largest, 1)))
            for batch in reader.iter_batches(batch_size=rows):
                for values in batch.to_pylist():
                    number += 1
                    yield SourceRow(file, number, values)
    except FileNotFoundError:
        yield SourceRow(file, None, None, "there is no such file. Check the path.")
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        read = f" after row {number}" if number else ""
        yield SourceRow(
            file, None, None, f"not a readable Parquet file{read}: {reason}. Download it again."
        )


def _columns_fault(present: list[str], needed: tuple[str, ...]) -> str | None:
    missing = [name for name in needed if name not in present]
    if not missing:
        return None
    return (
        f"the column{'s' if len(missing) > 1 else ''} {_quoted(missing)} missing, got"
        f" {_quoted(present)}. Give the right format."
    )


def _expansion(metadata: Any) -> tuple[int, float]:
    """Bytes of the largest chunk of a column, and the largest ratio to its size in the file."""
    chunks = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    large = max((chunk.total_uncompressed_size for chunk in chunks), default=0)
    ratios = (c.total_uncompressed_size / max(c.total_compressed_size, 1) for c in chunks)
    return large, max(ratios, default=1.0)


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _json_rows(file: Path) -> Iterator[SourceRow]:
    try:
        text = read_text(file)
        if not text.strip():
            yield SourceRow(file, None, None, "the file is empty. Give another file.")
            return
        rows = _whole_json(file, text)
        if rows is not None:
            for number, value in enumerate(rows, start=1):
                yield _object_row(file, number, value, json.dumps(value, ensure_ascii=False))
            return
        for row in parse_jsonl(text):
            if row.fault is not None:
                yield SourceRow(file, row.line, None, row.fault, row.raw)
            else:
                yield _object_row(file, row.line, row.value, row.raw)
    except DataError as error:
        for fault in error.faults:
            yield SourceRow(fault.file, fault.line, None, fault.message)
    except StorageError as error:
        yield SourceRow(file, None, None, str(error))


def _object_row(file: Path, line: int, value: Any, raw: str) -> SourceRow:
    if not isinstance(value, dict):
        message = f"a row must be a JSON object, got {raw[:60]}. Fix the row."
        return SourceRow(file, line, None, message, raw)
    fault = _strictness_fault(value)
    if fault is not None:
        return SourceRow(file, line, None, f"{fault}. Fix the row.", raw)
    return SourceRow(file, line, value)


class _RepeatedKey(dict[str, Any]):
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
    repeated.key = next(name for name in names if names.count(name) > 1)
    return repeated


def _strictness_fault(value: Any) -> str | None:
    """What JSON forbids and Python's reader allows: a repeated key, NaN, infinity."""
    if isinstance(value, _RepeatedKey):
        return f"the key {value.key!r} stands twice in one object; readers would drop one"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{json.dumps(value)} is not a JSON number"
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((fault for item in inner if (fault := _strictness_fault(item))), None)


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
                yield _tsv_row(source, number, line, columns)
    except OSError as error:
        yield SourceRow(
            source, None, None, f"cannot be read: {error.strerror or error}. Check the path."
        )
        return
    whole = "the file is empty. Give another file." if number == 0 else check(source, number)
    if whole is not None:
        yield SourceRow(source, None, None, whole)


def _tsv_row(source: Path, number: int, line: bytes, columns: tuple[str, ...]) -> SourceRow:
    try:
        cells = line.rstrip(b"\r\n").decode("utf-8").split("\t")
    except UnicodeDecodeError:
        return SourceRow(
            source, number, None, "not UTF-8. Save the file as UTF-8.", repr(line[:200])
        )
    if len(cells) == len(columns):
        return SourceRow(source, number, dict(zip(columns, cells, strict=True)))
    fault = (
        f"{len(columns)} tab-separated columns expected, got {len(cells)}. Download the file again."
    )
    return SourceRow(source, number, None, fault, "\t".join(cell[:200] for cell in cells))
