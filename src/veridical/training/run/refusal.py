"""Training rows whose texts hold a special token of the model: reported by file and line."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from veridical.errors import DataError, Fault, ModelError
from veridical.files import quarantine_rows
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.responses import encode_responses
from veridical.records import Record, scan_records


class HasId(Protocol):
    """A row with the id of the record that it was made of."""

    @property
    def id(self) -> str:
        """The record's id."""


R = TypeVar("R", bound=HasId)


def reject_special_tokens(
    vlm: VisionLanguageModel,
    rows: Sequence[R],
    *,
    texts_of: Callable[[R], Sequence[str]],
    path: Path,
    record_type: type[Record],
    skip_bad: bool,
    quarantine: Path,
) -> list[R]:
    """Leave out, or refuse, rows whose texts hold the model's placeholders or end tokens.

    Args:
        vlm: The model.
        rows: What was read.
        texts_of: Gives a row's texts.
        path: The file of records that the rows were read from.
        record_type: What its lines are.
        skip_bad: Leave such rows out, unless none is left.
        quarantine: File that they go to with `skip_bad`.

    Raises:
        DataError: Such rows, all of them, each with file and line.
    """
    try:
        encode_responses(vlm, [text for row in rows for text in texts_of(row)])
    except ModelError:
        pass
    else:
        return list(rows)
    lines = {getattr(row.record, "id", None): row for row in scan_records(path, record_type)}
    good: list[R] = []
    bad: list[tuple[int, str, str]] = []
    for row in rows:
        try:
            encode_responses(vlm, texts_of(row))
            good.append(row)
        except ModelError as error:
            at = lines.get(row.id)  # None: made of several rows, as comparisons of ratings are
            bad.append((at.line, at.raw, str(error)) if at else (0, row.id, str(error)))
    if not skip_bad or not good:
        faults = [Fault(path, line or None, message) for line, _, message in bad]
        raise DataError(faults, advice="Fix these rows, or leave them out with --skip-bad.")
    quarantine_rows(path, bad, to=quarantine)
    return good
