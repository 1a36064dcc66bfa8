"""What comes beside the items, by id: suspected segments, scores for the queue, known answers.

Each is a JSONL file. A row names its item by "id" (the item's, its response's or its prompt's id):
    suspects: {"id": …, "segments": [{"start": 3, "end": 9, "kind": "object"}]}
    scores:   {"id": …, "score": 0.7}            highest first
    gold:     {"id": …, "answer": {…}, "note": "There are two cups."}
Offsets are code points of the response as imported.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from veridical.errors import DataError, Fault
from veridical.feedback.texts.line_ends import shown_text
from veridical.files import JsonObject, read_jsonl_rows
from veridical.records import KINDS
from veridical.studio.store.items import NewItem


class Extras(NamedTuple):
    """Files beside the items."""

    suspects: Path | None = None
    """Segments that a model or a detector suspects."""
    scores: Path | None = None
    """Where each item stands in the queue."""
    gold: Path | None = None
    """Known answers."""


def with_extras(items: Iterator[NewItem], extras: Extras | None) -> Iterator[NewItem]:
    """Add to each item what the files say of it.

    Raises:
        DataError: A row is not as described, or names no item.
    """
    if extras is None or not any(extras):
        yield from items
        return
    suspects = _rows(extras.suspects, "segments", list)
    scores = _rows(extras.scores, "score", (int, float))
    gold = _rows(extras.gold, "answer", dict)
    used: set[tuple[str, str]] = set()
    for new in items:
        names = [new.key, *(str(row["id"]) for row in new.responses), str(new.prompt["id"])]
        marked, scored, known = (
            _find(table, names, used, kind)
            for kind, table in (("suspects", suspects), ("scores", scores), ("gold", gold))
        )
        yield new._replace(
            suspects=_segments(marked, str(new.responses[0]["text"])) if marked else new.suspects,
            score=float(scored.value["score"]) if scored else new.score,
            gold=known.value["answer"] if known else new.gold,
            gold_note=str(known.value.get("note", "")) if known else new.gold_note,
        )
    for kind, table in (("suspects", suspects), ("scores", scores), ("gold", gold)):
        strangers = [row for name, row in table.items() if (kind, name) not in used]
        if strangers and kind == "gold":
            raise DataError([row.fault("names no item of the source.") for row in strangers])


class _Row(NamedTuple):
    file: Path
    line: int
    value: JsonObject

    def fault(self, message: str) -> Fault:
        return Fault(self.file, self.line, f"{self.value.get('id')!r} {message}")


def _rows(file: Path | None, name: str, kind: Any) -> dict[str, _Row]:
    if file is None:
        return {}
    found: dict[str, _Row] = {}
    faults = []
    for row in read_jsonl_rows(file):
        value = row.value
        if row.fault is not None:
            faults.append(Fault(file, row.line, row.fault))
        elif (
            not isinstance(value, dict)
            or "id" not in value
            or not isinstance(value.get(name), kind)
        ):
            faults.append(Fault(file, row.line, f'needs "id" and "{name}", got {row.raw[:60]!r}.'))
        else:
            found[str(value["id"])] = _Row(file, row.line, value)
    if faults:
        raise DataError(faults)
    return found


def _find(
    table: dict[str, _Row], names: list[str], used: set[tuple[str, str]], kind: str
) -> _Row | None:
    for name in names:
        if name in table:
            used.add((kind, name))
            return table[name]
    return None


def _segments(row: _Row, raw: str) -> list[JsonObject]:
    """Suspected segments as spans of the shown text."""
    segments = []
    for segment in row.value["segments"]:
        start, end = segment.get("start"), segment.get("end")
        inside = isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(raw)
        if not inside or segment.get("kind", "other") not in KINDS:
            message = f"has a segment that does not fit its text, got {segment!r:.80}."
            raise DataError([row.fault(message)])
        shown = len(shown_text(raw[:start])), len(shown_text(raw[:end]))
        segments.append({"start": shown[0], "end": shown[1], "kind": segment.get("kind")})
    return sorted(segments, key=lambda one: (one["start"], one["end"]))
