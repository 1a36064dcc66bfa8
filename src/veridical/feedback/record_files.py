"""Files of records, read with every check: valid records, sound contents, images whole."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from veridical.errors import DataError, Fault
from veridical.feedback.pairs import asked_faults, pair_faults
from veridical.files import quarantine_rows
from veridical.progress import track
from veridical.records import Asked, Conversation, Correction, Prompt, Record, scan_records
from veridical.records.image_store import ImageChecks
from veridical.records.texts import IMAGE_MARKER, placeholder_fault

R = TypeVar("R", bound=Record)


class CheckedRow(NamedTuple, Generic[R]):
    """One line of a file with everything that is wrong with it."""

    line: int
    """Line number, from 1."""
    raw: str
    """The line as it stands in the file."""
    record: R | None
    """The record; None where the line is not one."""
    messages: list[str]
    """What is wrong; empty where nothing is."""


def checked_rows(
    path: Path,
    record_type: type[R],
    *,
    content_faults: Callable[[R], list[str]] = lambda _: [],
    images: bool = True,
    outside: bool = False,
) -> Iterator[CheckedRow[R]]:
    """Go through a file line by line.

    Args:
        path: The file of records.
        record_type: What each line must be.
        content_faults: Says what is wrong with a record's contents.
        images: Decode every image, too, and compare its hash.
        outside: Accept images outside of the file's folder.
    """
    checks = ImageChecks(path.parent, outside=outside)
    for row in track(scan_records(path, record_type), label=f"Checking {path.name}"):
        if row.record is None:
            yield CheckedRow(row.line, row.raw, None, [row.fault or "not a record"])
            continue
        messages = content_faults(row.record)
        if images and isinstance(row.record, Asked | Conversation):
            messages += filter(None, map(checks.fault, row.record.images))
        yield CheckedRow(row.line, row.raw, row.record, messages)


def faults_of(path: Path, rows: Iterable[CheckedRow[R]]) -> list[Fault]:
    """Everything that is wrong with a file, by its checked rows; empty where nothing is."""
    faults: list[Fault] = []
    number = 0
    try:
        for number, row in enumerate(rows, start=1):  # noqa: B007 (the last one is their number)
            faults += [Fault(path, row.line, message) for message in row.messages]
    except DataError as error:  # the whole file cannot be read
        return list(error.faults)
    return faults or ([] if number else [Fault(path, None, "the file holds no record.")])


def good_records(
    path: Path,
    rows: Iterable[CheckedRow[R]],
    *,
    skip_bad: bool = False,
    quarantine: Path | None = None,
) -> list[R]:
    """The records of a file's checked rows.

    Args:
        path: The file.
        rows: Its rows.
        skip_bad: Put bad rows aside and continue instead of raising.
        quarantine: Where bad rows go with `skip_bad`; by default `NAME.bad.jsonl` next to the file.

    Raises:
        DataError: All faults, each with file and line; or no good row at all.
    """
    bad: list[CheckedRow[R]] = []
    good: list[R] = []
    for row in rows:
        if row.record is not None and not row.messages:
            good.append(row.record)
        else:
            bad.append(row)
    faults = [Fault(path, row.line, message) for row in bad for message in row.messages]
    if bad and not skip_bad:
        raise DataError(faults, advice="Fix these rows, or leave them out with --skip-bad.")
    if not good:
        raise DataError([*faults, Fault(path, None, "no usable row. Give another file.")])
    if bad:
        quarantine_rows(
            path, [(row.line, row.raw, " ".join(row.messages)) for row in bad], to=quarantine
        )
    return good


def check_records(
    path: Path | str, record_type: type[Record], *, images: bool = True, outside: bool = False
) -> list[Fault]:
    """Find everything that is wrong with a file of records.

    Args:
        path: The file of records.
        record_type: What it holds.
        images: Decode every image, too, and compare its hash.
        outside: Accept images outside of the file's folder.

    Returns:
        Faults with file and line; empty where nothing is wrong.
    """
    rows = checked_rows(
        Path(path),
        record_type,
        content_faults=_CHECKS.get(record_type, _no_faults),
        images=images,
        outside=outside,
    )
    return faults_of(Path(path), rows)


def read_corrections(
    path: Path | str,
    *,
    images: bool = True,
    outside: bool = False,
    skip_bad: bool = False,
    quarantine: Path | None = None,
) -> list[Correction]:
    """Read a file of corrections that training can rely on; see `check_records`.

    Args:
        path: The file of records.
        images: Decode every image, too.
        outside: Accept images outside of the file's folder.
        skip_bad: Put bad rows aside and continue instead of raising.
        quarantine: Where bad rows go with `skip_bad`; by default `NAME.bad.jsonl` next to the file.

    Raises:
        DataError: All faults, each with file and line; or no good row at all.
    """
    path = Path(path)
    rows = checked_rows(
        path, Correction, content_faults=pair_faults, images=images, outside=outside
    )
    return good_records(path, rows, skip_bad=skip_bad, quarantine=quarantine)


def read_conversations(
    path: Path | str,
    *,
    outside: bool = False,
    skip_bad: bool = False,
    quarantine: Path | None = None,
) -> list[Conversation]:
    """Read a file of conversations that training can rely on; see `check_records`.

    Args:
        path: The file of records.
        outside: Accept images outside of the file's folder.
        skip_bad: Put bad rows aside and continue instead of raising.
        quarantine: Where bad rows go with `skip_bad`; by default `NAME.bad.jsonl` next to the file.

    Returns:
        The conversations, paths of their images made absolute.

    Raises:
        DataError: All faults, each with file and line; or no good row at all.
    """
    path = Path(path)
    rows = checked_rows(path, Conversation, content_faults=turn_faults, outside=outside)
    good = good_records(path, rows, skip_bad=skip_bad, quarantine=quarantine)
    return [conversation.with_absolute_images(path.parent) for conversation in good]


def turn_faults(conversation: Conversation) -> list[str]:
    """What is wrong with the turns of a conversation: empty text, image placeholders."""
    faults = []
    for number, turn in enumerate(conversation.turns, start=1):
        name = f"turn {number} ({turn.role})"
        if not turn.text.strip():
            faults.append(f"{name} is empty. Give a text or leave the row out.")
        elif (fault := placeholder_fault(turn.text.replace(IMAGE_MARKER, ""), name)) is not None:
            faults.append(fault)
    return faults


def _no_faults(_: Record) -> list[str]:
    return []


_CHECKS: dict[type[Record], Callable[..., list[str]]] = {
    Correction: pair_faults,
    Conversation: turn_faults,
    Prompt: asked_faults,
}
