"""Files of corrections, read with every check: valid records, valid segments, images present and whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from veridical.errors import DataError, Fault
from veridical.feedback.pairs import pair_faults
from veridical.files import quarantine_rows
from veridical.formats.images import judged_image_fault
from veridical.progress import track
from veridical.records import Correction, scan_records


class _CheckedRow(NamedTuple):
    line: int
    raw: str
    correction: Correction | None
    messages: list[str]


def check_corrections(path: Path | str, *, images: bool = True, outside: bool = False) -> list[Fault]:
    """Say everything that is wrong with a file of corrections.

    Args:
        path: The file of records.
        images: Read and decode every image, too, and compare its hash.
        outside: Accept images outside of the file's folder.

    Returns:
        Faults with file and line; empty where all is well.
    """
    path = Path(path)
    try:
        rows = list(_checked_rows(path, images=images, outside=outside))
    except DataError as error:  # the whole file cannot be read
        return list(error.faults)
    faults = [Fault(path, row.line, message) for row in rows for message in row.messages]
    return faults or ([] if rows else [Fault(path, None, "there is no row. Give another file.")])


def read_corrections(
    path: Path | str,
    *,
    images: bool = True,
    outside: bool = False,
    skip_bad: bool = False,
    quarantine: Path | None = None,
) -> list[Correction]:
    """Read a file of corrections that training can rely on; see `check_corrections`.

    Args:
        path: The file of records.
        images: Read and decode every image, too.
        outside: Accept images outside of the file's folder.
        skip_bad: Put bad rows aside and go on instead of raising.
        quarantine: Where bad rows go with `skip_bad`; by default `NAME.bad.jsonl` beside the file.

    Raises:
        DataError: All faults, each with file and line; or no good row at all.
    """
    path = Path(path)
    rows = list(_checked_rows(path, images=images, outside=outside))
    bad = [row for row in rows if row.messages]
    faults = [Fault(path, row.line, message) for row in bad for message in row.messages]
    if bad and not skip_bad:
        raise DataError(faults, advice="Mend these rows, or leave them out with --skip-bad.")
    good = [row.correction for row in rows if row.correction is not None and not row.messages]
    if not good:
        raise DataError([*faults, Fault(path, None, "no usable row. Give another file.")])
    if bad:
        quarantine_rows(path, [(row.line, row.raw, " ".join(row.messages)) for row in bad], to=quarantine)
    return good


def _checked_rows(path: Path, *, images: bool, outside: bool) -> Iterator[_CheckedRow]:
    known: dict[tuple[str, str | None], str | None] = {}
    for row in track(scan_records(path, Correction), label=f"Checking {path.name}"):
        if row.record is None:
            yield _CheckedRow(row.line, row.raw, None, [row.fault or "no record"])
            continue
        messages = pair_faults(row.record)
        if images:
            image = row.record.image
            key = (image.path, image.sha256)
            if key not in known:
                known[key] = judged_image_fault(image, root=path.parent, outside=outside)
            message = known[key]
            messages += [message] if message is not None else []
        yield _CheckedRow(row.line, row.raw, row.record, messages)
