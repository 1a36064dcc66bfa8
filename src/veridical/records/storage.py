"""Records ↔ JSONL files: a header line with kind and schema version, then one record a line.

Every fault of a file is gathered before anything is raised; with `skip_bad` the bad rows go,
unchanged, into `NAME.bad.jsonl` next to the file (or into `quarantine`), and how many is logged.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from veridical.errors import DataError, Fault
from veridical.files import JsonObject, quarantine_rows, read_jsonl_rows, write_text_atomically
from veridical.records.base import Record
from veridical.validation import findings

R = TypeVar("R", bound=Record)

_HEADER_KEY = "veridical"


def write_records(path: Path | str, records: Iterable[Record], *, kind: str) -> Path:
    """Write records of one kind atomically.

    Args:
        path: The file to write.
        records: What to write; the order is kept.
        kind: Name of the record type, e.g. "Correction"; readers check it.

    Raises:
        ValueError: A record is of another kind.
        StorageError: The disk refused.
    """
    rows = list(records)
    strangers = {type(row).__name__ for row in rows} - {kind}
    if strangers:
        raise ValueError(
            f"A file of {kind!r} records cannot hold {', '.join(sorted(strangers))}. Write it"
            " apart."
        )
    head = header_line(type(rows[0])) if rows else _header(kind, version=1)
    lines = [head, *(row.model_dump_json() for row in rows)]
    return write_text_atomically(Path(path), "\n".join(lines) + "\n")


def header_line(record_type: type[Record]) -> str:
    """The first line of a file of these records."""
    return _header(record_type.__name__, version=record_type.schema_version)


def _header(kind: str, *, version: int) -> str:
    return json.dumps({_HEADER_KEY: kind, "schema_version": version})


class ScannedRow(NamedTuple, Generic[R]):
    """One line of a file of records: the record, or what is wrong with the line."""

    line: int
    """Line number, from 1."""
    raw: str
    """The line as it stands in the file."""
    record: R | None
    """The record; None where there is a fault."""
    fault: str | None
    """What is wrong with the line, or None."""


def scan_records(path: Path | str, record_type: type[R]) -> Iterator[ScannedRow[R]]:
    """Go through a file of records line by line, faults included, with or without header line.

    Types are strict: "3" is not a number. Ids are unique in their file; of two rows with one id the
        second is at fault.

    Raises:
        DataError: The file is missing, not UTF-8, or its header names another kind or version.
        StorageError: The disk refused.
    """
    path = Path(path)
    line_of_id: dict[str, int] = {}
    for row in read_jsonl_rows(path):
        if row.fault is not None:
            yield ScannedRow(row.line, row.raw, None, row.fault)
            continue
        if isinstance(row.value, dict) and _HEADER_KEY in row.value:
            header_fault = _check_header(row.value, record_type)
            if header_fault:
                raise DataError([Fault(path, row.line, header_fault)])
            continue
        try:
            record = record_type.model_validate_json(row.raw, strict=True)
        except ValidationError as error:
            yield ScannedRow(row.line, row.raw, None, f"{describe_validation(error)}. Fix the row.")
            continue
        fault = _note_id(row.value, row.line, line_of_id)
        yield ScannedRow(row.line, row.raw, record if fault is None else None, fault)


def find_line(path: Path | str, record_id: str) -> int | None:
    """The line of a file on which the record with an id stands; None where there is none."""
    for row in read_jsonl_rows(path):
        if isinstance(row.value, dict) and row.value.get("id") == record_id:
            return row.line
    return None


def read_records(
    path: Path | str,
    record_type: type[R],
    *,
    skip_bad: bool = False,
    quarantine: Path | None = None,
) -> list[R]:
    """Read a file of records, with or without header line.

    Args:
        path: The file to read.
        record_type: What each line must be.
        skip_bad: Put bad rows aside and continue instead of raising.
        quarantine: Where bad rows go with `skip_bad`.

    Raises:
        DataError: Lines that are not a valid record, all of them, each with its line number.
    """
    path = Path(path)
    rows = list(scan_records(path, record_type))
    bad = [(row.line, row.raw, row.fault) for row in rows if row.fault is not None]
    if bad and not skip_bad:
        faults = [Fault(path, line, message) for line, _, message in bad]
        raise DataError(faults, advice="Fix these lines, or leave them out with --skip-bad.")
    if bad:
        quarantine_rows(path, bad, to=quarantine)
    return [row.record for row in rows if row.record is not None]


def _note_id(row: JsonObject, line: int, line_of_id: dict[str, int]) -> str | None:
    if "id" not in row:
        return None
    first = line_of_id.setdefault(row["id"], line)
    return (
        None
        if first == line
        else f"id {row['id']!r} stands in line {first} already. Make ids unique."
    )


def describe_validation(error: ValidationError) -> str:
    """Say in one line what a record's validation found: every field at fault and what it got."""
    return "; ".join(
        f"`{finding.where or 'record'}`: {finding.text}" for finding in findings(error)
    )


def _check_header(header: JsonObject, record_type: type[Record]) -> str | None:
    kind, version = header[_HEADER_KEY], header.get("schema_version")
    if kind != record_type.__name__:
        return (
            f"the file holds records of kind {kind!r}, {record_type.__name__!r} expected. Give the"
            " right file."
        )
    if version != record_type.schema_version:
        return (
            f"the file has schema version {version!r}, this Veridical reads"
            f" {record_type.schema_version}. Export it again with the version of Veridical that"
            " wrote it, or upgrade."
        )
    return None
