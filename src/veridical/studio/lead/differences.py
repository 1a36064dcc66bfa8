"""Where people differ, and how the lead settles it. A settlement is added, never changed."""

from itertools import combinations
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from veridical.errors import ConfigError
from veridical.studio.lead.agreement import same_verdict
from veridical.studio.lead.judged import Judged, by_item, judged_twice, read_judged
from veridical.studio.store.database import now_ms
from veridical.studio.store.schema import item, response, settlement


class Difference(NamedTuple):
    """An item on which people differ."""

    item_id: int
    """Its number."""
    question: str
    """What was asked."""
    agreement: float
    """Least agreement of two judgements, 0 to 1."""
    judgements: int
    """How many people judged it."""
    settled: bool
    """Whether the lead decided."""


class DifferentItem(NamedTuple):
    """One of them with all that was said."""

    row: Any
    """The item."""
    texts: list[str]
    """Its responses in its own order."""
    judged: list[Judged]
    """What people said."""
    settled: Any
    """The newest settlement, or None."""


def differences(connection: Connection, task: str) -> list[Difference]:
    """Items on which two people do not say the same; those that are open first, worst first."""
    groups = {
        number: rows
        for number, rows in by_item(read_judged(connection, shared=True)).items()
        if len(rows) > 1
    }
    texts = {
        row.item_id: row.text
        for row in connection.execute(
            select(response.c.item_id, response.c.text).where(
                response.c.number == 0, response.c.item_id.in_(judged_twice())
            )
        )
        if row.item_id in groups
    }
    questions = {
        row.id: row.question
        for row in connection.execute(
            select(item.c.id, item.c.question).where(item.c.id.in_(judged_twice()))
        )
        if row.id in groups
    }
    settled = settlements(connection)
    found = []
    for number, rows in groups.items():
        least = min(_alike(task, texts[number], *pair) for pair in combinations(rows, 2))
        if least < 1:
            found.append(Difference(number, questions[number], least, len(rows), number in settled))
    return sorted(found, key=lambda one: (one.settled, one.agreement, one.item_id))


def different_item(connection: Connection, item_id: int) -> DifferentItem | None:
    """One item with all that was said of it."""
    row = connection.execute(select(item).where(item.c.id == item_id)).first()
    if row is None:
        return None
    texts = connection.execute(
        select(response.c.text).where(response.c.item_id == item_id).order_by(response.c.number)
    ).scalars()
    judged = by_item(read_judged(connection, item_id=item_id)).get(item_id, [])
    return DifferentItem(row, list(texts), judged, settlements(connection).get(item_id))


def settlements(connection: Connection) -> dict[int, Any]:
    """The newest settlement of each item."""
    rows = connection.execute(select(settlement).order_by(settlement.c.id))
    return {row.item_id: row for row in rows}


def settle(
    connection: Connection, item_id: int, judgement_id: str | None, *, who: int, note: str
) -> None:
    """Decide for one judgement of an item, or (None) that none of them is used.

    Raises:
        ConfigError: The judgement is not a current one of the item.
    """
    found = different_item(connection, item_id)
    if found is None or judgement_id not in {None, *(row.id for row in found.judged)}:
        raise ConfigError("That judgement is not a current one of this item. Reload the page.")
    values = {
        "item_id": item_id,
        "person_id": who,
        "judgement_id": judgement_id,
        "note": note,
        "created": now_ms(),
    }
    connection.execute(insert(settlement).values(values))


def _alike(task: str, text: str, one: Judged, other: Judged) -> float:
    if task == "correct" and one.body.get("text") != other.body.get("text"):
        return min(0.99, same_verdict(task, text)(one, other))
    if task == "rate":
        return 1 - abs(int(one.body["score"]) - int(other.body["score"])) / 6
    return same_verdict(task, text)(one, other)
