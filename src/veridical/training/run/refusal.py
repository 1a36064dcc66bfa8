"""Training rows that the model cannot take: reported by file, line and id, or quarantined."""

from collections.abc import Callable, Mapping, Sequence
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
Refuse = Callable[[Mapping[str, str]], None]
"""Raises for rows with problems (by id), or quarantines them and returns."""


def refuse_first(problems: Mapping[str, str]) -> None:
    """Refuse rows that come from no file.

    Raises:
        ModelError: There is one.
    """
    for problem in problems.values():
        raise ModelError(problem)


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
    problems: dict[str, str] = {}
    for row in rows:
        try:
            encode_responses(vlm, texts_of(row))
        except ModelError as error:
            problems[row.id] = str(error)
    return leave_out(
        rows,
        problems,
        path=path,
        record_type=record_type,
        skip_bad=skip_bad,
        quarantine=quarantine,
    )


def leave_out(
    rows: Sequence[R],
    problems: Mapping[str, str],
    *,
    path: Path,
    record_type: type[Record],
    skip_bad: bool,
    quarantine: Path,
) -> list[R]:
    """Give the rows without problems; refuse the others, or quarantine them.

    Args:
        rows: What was read.
        problems: What is wrong, by the row's id.
        path: The file of records that the rows were read from.
        record_type: What its lines are.
        skip_bad: Leave such rows out, unless none is left.
        quarantine: File that they go to with `skip_bad`.

    Raises:
        DataError: Such rows, all of them, each with file, line and id.
    """
    if not problems:
        return list(rows)
    lines = {getattr(row.record, "id", None): row for row in scan_records(path, record_type)}
    good = [row for row in rows if row.id not in problems]
    bad: list[tuple[int, str, str]] = []
    for name, problem in problems.items():
        at = lines.get(name)  # None: made of several rows, as comparisons of ratings are
        bad.append((at.line if at else 0, at.raw if at else name, f"{name!r}: {problem}"))
    if not skip_bad or not good:
        faults = [Fault(path, line or None, message) for line, _, message in bad]
        raise DataError(faults, advice="Fix these rows, or leave them out with --skip-bad.")
    quarantine_rows(path, bad, to=quarantine)
    return good
