"""Records ↔ JSONL files: a header line with kind and schema version, then one record a line.

Every fault of a file is gathered before anything is raised; with `skip_bad` the bad rows go, unchanged, into
`NAME.bad.jsonl` beside the file (or into `quarantine`) and are counted aloud.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from veridical.errors import DataError, Fault
from veridical.files import quarantine_rows, read_jsonl_rows, write_text_atomically
from veridical.records.base import Record

R = TypeVar("R", bound=Record)

_HEADER_KEY = "veridical"


def write_records(path: Path | str, records: Iterable[Record], *, kind: str) -> Path:
    """Write records of one kind atomically.

    Args:
        path: The file to write.
        records: What to write; the order is kept.
        kind: Name of the record type, e.g. "Correction"; readers check it.
    """
    rows = list(records)
    version = max((row.schema_version for row in rows), default=1)
    head = json.dumps({_HEADER_KEY: kind, "schema_version": version})
    lines = [head, *(row.model_dump_json() for row in rows)]
    return write_text_atomically(Path(path), "\n".join(lines) + "\n")


def read_records(
    path: Path | str, record_type: type[R], *, skip_bad: bool = False, quarantine: Path | None = None
) -> list[R]:
    """Read a file of records, with or without header line.

    Args:
        path: The file to read.
        record_type: What each line must be.
        skip_bad: Put bad rows aside and go on instead of raising.
        quarantine: Where bad rows go with `skip_bad`.

    Raises:
        DataError: Lines that are no valid record, all of them, each with its line number.
    """
    path = Path(path)
    adapter = TypeAdapter(record_type)
    records: list[R] = []
    faults: list[Fault] = []
    bad: list[tuple[int, str, str]] = []
    for row in read_jsonl_rows(path):
        if row.fault is None and isinstance(row.value, dict) and _HEADER_KEY in row.value:
            header_fault = _check_header(row.value, record_type)
            if header_fault:
                faults.append(Fault(path, row.line, header_fault))
                raise DataError(faults)
            continue
        message = row.fault
        if message is None:
            try:
                records.append(adapter.validate_python(row.value))
                continue
            except ValidationError as error:
                message = describe_validation(error)
        faults.append(Fault(path, row.line, message))
        bad.append((row.line, row.raw, message))
    if faults and not skip_bad:
        raise DataError(faults, advice="Mend these lines, or leave them out with --skip-bad.")
    if bad:
        quarantine_rows(path, bad, to=quarantine)
    return records


def describe_validation(error: ValidationError) -> str:
    """Say in one line what a record's validation found: every field at fault and what it got."""
    parts: list[str] = []
    for item in error.errors(include_url=False):
        where = ".".join(str(step) for step in item["loc"]) or "record"
        got: Any = item.get("input")
        shown = repr(got)
        if len(shown) > 60:
            shown = shown[:57] + "…"
        parts.append(f"`{where}`: {item['msg'].lower()}, got {shown}")
    return "; ".join(parts)


def _check_header(header: dict[str, Any], record_type: type[Record]) -> str | None:
    kind, version = header[_HEADER_KEY], header.get("schema_version")
    if kind != record_type.__name__:
        return f"the file holds records of kind {kind!r}, {record_type.__name__!r} expected. Give the right file."
    if version != record_type.schema_version:
        return (
            f"the file has schema version {version!r}, this Veridical reads {record_type.schema_version}. "
            "Export it again with the version of Veridical that wrote it, or upgrade."
        )
    return None


def check_unique(path: Path, ids: Sequence[str]) -> list[Fault]:
    """Faults for ids that occur more than once (row numbers from 1)."""
    first: dict[str, int] = {}
    faults = []
    for number, row_id in enumerate(ids, start=1):
        if row_id in first:
            faults.append(Fault(path, number, f"id {row_id!r} stands in row {first[row_id]} already. Make ids unique."))
        else:
            first[row_id] = number
    return faults
