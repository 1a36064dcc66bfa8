"""Files of records about images, read with every check: valid records, sound contents, images present and whole."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from veridical.errors import DataError, Fault
from veridical.files import quarantine_rows
from veridical.progress import track
from veridical.records import ImageRef, Record, scan_records
from veridical.records.images import judged_image_fault

R = TypeVar("R", bound=Record)


class CheckedRow(NamedTuple, Generic[R]):
    """One line of a file with everything that is wrong with it."""

    line: int
    """Line number, from 1."""
    raw: str
    """The line as it stands in the file."""
    record: R | None
    """The record; None where the line is none."""
    messages: list[str]
    """What is wrong; empty where all is well."""


def checked_rows(
    path: Path,
    record_type: type[R],
    *,
    content_faults: Callable[[R], list[str]],
    image_of: Callable[[R], ImageRef | None],
    images: bool,
    outside: bool,
) -> Iterator[CheckedRow[R]]:
    """Go through a file line by line.

    Args:
        path: The file of records.
        record_type: What each line must be.
        content_faults: Says what is wrong with a record's contents.
        image_of: Gives the image that a record is about.
        images: Read and decode every image, too, and compare its hash.
        outside: Accept images outside of the file's folder.
    """
    known: dict[tuple[str, str | None], str | None] = {}
    for row in track(scan_records(path, record_type), label=f"Checking {path.name}"):
        if row.record is None:
            yield CheckedRow(row.line, row.raw, None, [row.fault or "no record"])
            continue
        messages = content_faults(row.record)
        image = image_of(row.record)
        if images and image is not None:
            key = (image.path, image.sha256)
            if key not in known:
                known[key] = judged_image_fault(image, root=path.parent, outside=outside)
            message = known[key]
            messages += [message] if message is not None else []
        yield CheckedRow(row.line, row.raw, row.record, messages)


def faults_of(path: Path, rows: Iterable[CheckedRow[R]]) -> list[Fault]:
    """Say everything that is wrong with a file, by its checked rows; empty where all is well."""
    try:
        found = list(rows)
    except DataError as error:  # the whole file cannot be read
        return list(error.faults)
    faults = [Fault(path, row.line, message) for row in found for message in row.messages]
    return faults or ([] if found else [Fault(path, None, "there is no row. Give another file.")])


def good_records(
    path: Path,
    rows: Iterable[CheckedRow[R]],
    *,
    skip_bad: bool = False,
    quarantine: Path | None = None,
) -> list[R]:
    """Give the records of a file's checked rows.

    Args:
        path: The file.
        rows: Its rows.
        skip_bad: Put bad rows aside and go on instead of raising.
        quarantine: Where bad rows go with `skip_bad`; by default `NAME.bad.jsonl` beside the file.

    Raises:
        DataError: All faults, each with file and line; or no good row at all.
    """
    rows = list(rows)
    bad = [row for row in rows if row.messages]
    faults = [Fault(path, row.line, message) for row in bad for message in row.messages]
    if bad and not skip_bad:
        raise DataError(faults, advice="Mend these rows, or leave them out with --skip-bad.")
    good = [row.record for row in rows if row.record is not None and not row.messages]
    if not good:
        raise DataError([*faults, Fault(path, None, "no usable row. Give another file.")])
    if bad:
        quarantine_rows(
            path, [(row.line, row.raw, " ".join(row.messages)) for row in bad], to=quarantine
        )
    return good
