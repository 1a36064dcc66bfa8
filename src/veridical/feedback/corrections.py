"""Files of corrections, read with every check: valid records, valid segments, images present and whole."""

from collections.abc import Iterator
from pathlib import Path

from veridical.errors import Fault
from veridical.feedback.checked_files import CheckedRow, checked_rows, faults_of, good_records
from veridical.feedback.pairs import pair_faults
from veridical.records import Correction


def check_corrections(
    path: Path | str, *, images: bool = True, outside: bool = False
) -> list[Fault]:
    """Say everything that is wrong with a file of corrections.

    Args:
        path: The file of records.
        images: Read and decode every image, too, and compare its hash.
        outside: Accept images outside of the file's folder.

    Returns:
        Faults with file and line; empty where all is well.
    """
    return faults_of(Path(path), _rows(Path(path), images=images, outside=outside))


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
    rows = _rows(path, images=images, outside=outside)
    return good_records(path, rows, skip_bad=skip_bad, quarantine=quarantine)


def _rows(path: Path, *, images: bool, outside: bool) -> Iterator[CheckedRow[Correction]]:
    return checked_rows(
        path,
        Correction,
        content_faults=pair_faults,
        image_of=lambda row: row.image,
        images=images,
        outside=outside,
    )
