"""Rows of Parquet and Arrow files, a batch at a time; a small file cannot expand without bound.

And rows of tab-separated files without a head, as RLHF-V released its data in 2023.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from veridical.formats.sources.rows import SourceRow

_BATCH_ROWS = 16
"""Most rows that are decoded together."""
_BATCH_GOAL = 2**24
"""Bytes that the rows decoded together should have: images are large."""
_BATCH_BYTES = 2**28
_LARGEST_RATIO = 100
"""How much larger than its file a large Parquet column may be; images hardly compress."""
_MANY_BYTES = 2**26
_MANY_ROWS = 100_000
"""Rows that any file may hold; one with more needs a byte per row at least."""


def parquet_rows(file: Path, columns: tuple[str, ...] = ()) -> Iterator[SourceRow]:
    """Rows of a Parquet file.

    Args:
        file: The file.
        columns: Columns that it must have.
    """
    return _numbered(file, "Parquet", _parquet_batches(file, columns))


def arrow_rows(file: Path, columns: tuple[str, ...] = ()) -> Iterator[SourceRow]:
    """Rows of an Arrow file, as `datasets` saves them: a stream, or a file with an index."""
    return _numbered(file, "Arrow", _arrow_batches(file, columns))


class _WholeFileError(Exception):
    """What is wrong with all of a file."""


def _numbered(file: Path, kind: str, batches: Iterator[Any]) -> Iterator[SourceRow]:
    import pyarrow

    number = 0
    try:
        for batch in _bounded(file, batches):
            for values in batch.to_pylist():
                number += 1
                yield SourceRow(file, number, values)
    except _WholeFileError as error:
        yield SourceRow(file, None, None, str(error))
    except FileNotFoundError:
        yield SourceRow(file, None, None, "there is no such file. Check the path.")
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120].rstrip(".")
        read = f" after row {number}" if number else ""
        yield SourceRow(
            file, None, None, f"not a readable {kind} file{read}: {reason}. Download it again."
        )


def _bounded(file: Path, batches: Iterator[Any]) -> Iterator[Any]:
    """Batches, as long as they are in proportion to the file: equal values take no space in it."""
    size = file.stat().st_size
    rows = expanded = 0
    for batch in batches:
        rows += batch.num_rows
        expanded += sum(map(_bytes, batch.columns))
        if rows > max(_MANY_ROWS, size) or expanded > max(_MANY_BYTES, _LARGEST_RATIO * size):
            raise _WholeFileError(
                f"{size:,} bytes expand to more than {rows:,} rows of {expanded:,} bytes. Write the"
                " file again without rows that repeat."
            )
        yield batch


def _bytes(column: Any) -> int:
    import pyarrow

    plain = column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column
    return int(plain.nbytes)


def _parquet_batches(file: Path, columns: tuple[str, ...]) -> Iterator[Any]:
    from pyarrow import parquet

    with parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False) as reader:
        _require(reader.schema_arrow.names, columns)
        largest, ratio = _expansion(reader.metadata)
        if largest > _BATCH_BYTES and ratio > _LARGEST_RATIO:
            raise _WholeFileError(
                f"a column expands to {largest:,} bytes, {ratio:,.0f} times its size in the"
                " file. Write the file again without such rows."
            )
        yield from reader.iter_batches(batch_size=_rows_per_batch(reader.metadata))


def _rows_per_batch(metadata: Any) -> int:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
    return max(1, min(_BATCH_ROWS, int(_BATCH_GOAL / max(size, 1))))


def _arrow_batches(file: Path, columns: tuple[str, ...]) -> Iterator[Any]:
    import pyarrow

    with pyarrow.memory_map(str(file)) as source:
        indexed = source.read(6) == b"ARROW1"
        source.seek(0)
        if indexed:
            with pyarrow.ipc.open_file(source) as reader:
                _require(reader.schema.names, columns)
                batches = (reader.get_batch(n) for n in range(reader.num_record_batches))
                yield from _slices(batches)
        else:
            with pyarrow.ipc.open_stream(source) as stream:
                _require(stream.schema.names, columns)
                yield from _slices(stream)


def _slices(batches: Iterable[Any]) -> Iterator[Any]:
    """Batches cut so that few rows become Python objects at once."""
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            yield batch.slice(start, _BATCH_ROWS)


def _require(present: list[str], columns: tuple[str, ...]) -> None:
    fault = _columns_fault(present, columns)
    if fault is not None:
        raise _WholeFileError(fault)


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
