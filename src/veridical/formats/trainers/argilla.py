"""Records of Argilla, as `records.to_json` and `to_list` give them → corrections and comparisons.

`fields` holds `image`, a question (`question`, `prompt`, `instruction`) and one response or two;
`responses` holds the answers to Argilla's questions by annotator: a text corrects the one response,
a label or ranking chooses between two. Answers that are neither (ratings on a scale of their own,
spans) are listed. Discarded and draft answers do not count.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from veridical.errors import RowError
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.trainers.judged_rows import Judged, Shown, read_judged, shown_of
from veridical.records.folders import Contents
from veridical.records.texts import shown as shown_value

_TIES = ("tie", "same", "equal", "both")


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one record.

    Raises:
        RowError: All that is wrong with it.
    """
    fields = row.get("fields")
    if not isinstance(fields, Mapping):
        raise RowError(
            f"`fields` must be an object, got {shown_value(fields)}. Export with to_json."
        )
    answers = row.get("responses")
    if not isinstance(answers, Mapping):
        raise RowError(f"`responses` must be an object, got {shown_value(answers)}.")
    row.skip("status", "_server_id", "vectors", "suggestions")  # of the tool; by models
    shown = shown_of(fields, reader.id(row.get("id")))
    return read_judged(shown, list(_judged(answers, shown, reader)), reader)


def _judged(answers: Mapping[str, Any], shown: Shown, reader: RowReader) -> Iterator[Judged]:
    for question, given in answers.items():
        for answer in given if isinstance(given, list) else []:
            if not isinstance(answer, Mapping):
                raise RowError(f"an answer to {question!r} must be an object. Export with to_json.")
            if answer.get("status", "submitted") != "submitted":
                reader.leave_out("answers that were not submitted")
                continue
            said = _said(answer.get("value"), shown)
            if said is None:
                reader.leave_out(f"answers to {question!r}, which records have no place for")
            else:
                yield Judged(str(answer.get("user_id") or ""), None, said)


def _said(value: object, shown: Shown) -> object:
    """A corrected text, or which response was chosen; None for anything else."""
    if len(shown.responses) == 1:
        return value if isinstance(value, str) else None
    if isinstance(value, str):
        return _side(value, shown)
    if not isinstance(value, list) or len(value) != 2:
        return None
    ranks = {item.get("value"): item.get("rank") for item in value if isinstance(item, Mapping)}
    first, second = (ranks.get(name) for name in shown.names)
    if not isinstance(first, int) or not isinstance(second, int):
        return None
    return "tie" if first == second else "first" if first < second else "second"


def _side(label: str, shown: Shown) -> str | None:
    if label in shown.names:
        return ("first", "second")[shown.names.index(label)]
    return "tie" if label.lower() in _TIES else None


def _detects(sample: Sample) -> bool:
    return {"fields", "responses"} <= sample.keys


FORMAT = Format(
    describes="records of Argilla with what annotators said, JSON",
    read=read,
    detects=_detects,
    judged_by="human",
)
"""The format."""
