"""Files of conversations, read with every check: valid records, turns that say something, images present and whole."""

from collections.abc import Iterator
from pathlib import Path

from veridical.errors import Fault
from veridical.feedback.checked_files import CheckedRow, checked_rows, faults_of, good_records
from veridical.records import Conversation


def check_conversations(
    path: Path | str, *, images: bool = True, outside: bool = False
) -> list[Fault]:
    """Say everything that is wrong with a file of conversations.

    Args:
        path: The file of records.
        images: Read and decode every image, too, and compare its hash.
        outside: Accept images outside of the file's folder.

    Returns:
        Faults with file and line; empty where all is well.
    """
    return faults_of(Path(path), _rows(Path(path), images=images, outside=outside))


def read_conversations(
    path: Path | str,
    *,
    outside: bool = False,
    skip_bad: bool = False,
    quarantine: Path | None = None,
) -> list[Conversation]:
    """Read a file of conversations that training can rely on; see `check_conversations`.

    Args:
        path: The file of records.
        outside: Accept images outside of the file's folder.
        skip_bad: Put bad rows aside and go on instead of raising.
        quarantine: Where bad rows go with `skip_bad`; by default `NAME.bad.jsonl` beside the file.

    Returns:
        The conversations, paths of their images made absolute.

    Raises:
        DataError: All faults, each with file and line; or no good row at all.
    """
    path = Path(path)
    rows = _rows(path, images=True, outside=outside)
    good = good_records(path, rows, skip_bad=skip_bad, quarantine=quarantine)
    return [_with_absolute_image(conversation, path.absolute().parent) for conversation in good]


def _rows(path: Path, *, images: bool, outside: bool) -> Iterator[CheckedRow[Conversation]]:
    return checked_rows(
        path,
        Conversation,
        content_faults=_turn_faults,
        image_of=lambda row: row.image,
        images=images,
        outside=outside,
    )


def _turn_faults(conversation: Conversation) -> list[str]:
    return [
        f"turn {number} ({turn.role}) is empty. Give a text or leave the row out."
        for number, turn in enumerate(conversation.turns, start=1)
        if not turn.text.strip()
    ]


def _with_absolute_image(conversation: Conversation, folder: Path) -> Conversation:
    if conversation.image is None:
        return conversation
    image = conversation.image.model_copy(update={"path": str(folder / conversation.image.path)})
    return conversation.model_copy(update={"image": image})
