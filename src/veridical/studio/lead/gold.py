"""Known answers: whether a judgement agrees with one.

An answer is written like the body of a judgement; what it leaves out is not asked:
    compare  {"hallucinates_more": "first", "more_helpful": "second"}
    correct  {"nothing_wrong": false, "spans": [[3, 9]]}     each span must be touched, nothing else
    rate     {"score": 2}                                    one apart is right, too
    mark     {"nothing_wrong": false, "spans": [[3, 9]]}
"""

from typing import NamedTuple

from sqlalchemy import Connection, select

from veridical.files import JsonObject
from veridical.studio.lead.spans import span_f1
from veridical.studio.store.schema import item

_SIDES = {"first": "left", "second": "right"}
_ENOUGH = 0.5
"""Share of words in common (F1) from which marked spans agree with the known ones."""


class GoldFeedback(NamedTuple):
    """What is shown after a known item was judged."""

    right: bool
    """Whether the judgement agrees."""
    note: str
    """Why the answer is what it is."""


def gold_feedback(connection: Connection, item_id: int, body: JsonObject) -> GoldFeedback | None:
    """Compare a judgement (in the item's own order) with the known answer; None where none is."""
    row = connection.execute(
        select(item.c.gold, item.c.gold_note).where(item.c.id == item_id, item.c.is_gold)
    ).first()
    return GoldFeedback(agrees(row.gold, body), row.gold_note) if row is not None else None


def agrees(answer: JsonObject, body: JsonObject) -> bool:
    """Whether a judgement agrees with a known answer."""
    for name in ("hallucinates_more", "more_helpful"):
        if name in answer and body.get(name) != _SIDES.get(answer[name], answer[name]):
            return False
    if "score" in answer and abs(int(body.get("score", -9)) - int(answer["score"])) > 1:
        return False
    if "nothing_wrong" in answer and bool(body.get("nothing_wrong")) != answer["nothing_wrong"]:
        return False
    if "spans" in answer:
        known = [(int(start), int(end)) for start, end in answer["spans"]]
        return span_f1(judged_spans(body), known) >= _ENOUGH
    return True


def judged_spans(body: JsonObject) -> list[tuple[int, int]]:
    """The spans of the shown text that a judgement marked or corrected."""
    if "changes" in body:
        return [tuple(change["rejected_span"]) for change in body["changes"]]
    return [(mark["start"], mark["end"]) for mark in body.get("marks", ())]
