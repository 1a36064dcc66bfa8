"""All current judgements as plain rows, sides turned to the items' own order."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Select, func, select

from veridical.files import JsonObject
from veridical.studio.store.schema import item, judgement, person, slot
from veridical.studio.tasks.payloads import canonical


class Judged(NamedTuple):
    """One judgement."""

    id: str
    """Its number."""
    item_id: int
    """Number of its item."""
    item_key: str
    """Name of its item."""
    person: str
    """Who."""
    source: str
    """"human" or "simulated"."""
    purpose: str
    """"main", "gold", "repeat" or "surplus"."""
    round: int
    """0, or 1 for a repeat."""
    flipped: bool
    """Whether the second response stood on the left."""
    outcome: str
    """"judged", "cannot_tell" or "skipped"."""
    body: JsonObject
    """What was said, in the item's own order of responses."""
    seconds: float
    """How long it took."""
    submitted: int
    """When, in ms since 1970."""
    premarked: bool
    """Whether suspected segments were shown."""


def read_judged(
    connection: Connection, *, item_id: int | None = None, shared: bool = False
) -> list[Judged]:
    """The current judgement of every slot that has one, in a fixed order.

    Args:
        connection: A reading one.
        item_id: Only those of one item.
        shared: Only those that can agree with something: of items that several people judged or one
            person twice, and of known items.
    """
    query = (
        select(
            judgement.c.id,
            judgement.c.item_id,
            item.c.key,
            person.c.name,
            person.c.source,
            slot.c.purpose,
            slot.c.round,
            slot.c.flipped,
            judgement.c.outcome,
            judgement.c.payload,
            judgement.c.seconds,
            judgement.c.submitted,
            item.c.premarked,
        )
        .join(slot, slot.c.judgement_id == judgement.c.id)
        .join(person, person.c.id == judgement.c.person_id)
        .join(item, item.c.id == judgement.c.item_id)
        .order_by(judgement.c.item_id, slot.c.round, slot.c.number, judgement.c.id)
    )
    if shared:
        query = query.where(judgement.c.item_id.in_(judged_twice()) | item.c.is_gold)
    if item_id is not None:
        query = query.where(judgement.c.item_id == item_id)
    return [
        Judged(
            id=row.id,
            item_id=row.item_id,
            item_key=row.key,
            person=row.name,
            source=row.source,
            purpose=row.purpose,
            round=row.round,
            flipped=row.flipped,
            outcome=row.outcome,
            body=canonical(row.payload, flipped=row.flipped),
            seconds=row.seconds,
            submitted=row.submitted,
            premarked=row.premarked,
        )
        for row in connection.execute(query)
    ]


def judged_twice() -> Select[tuple[int]]:
    """A query for the numbers of items that have more than one judgement."""
    return (
        select(slot.c.item_id)
        .where(slot.c.state == "done")
        .group_by(slot.c.item_id)
        .having(func.count() > 1)
    )


def by_item(rows: Iterable[Judged]) -> dict[int, list[Judged]]:
    """Independent first judgements with content, by item: no known answers, no repeats."""
    found: dict[int, list[Judged]] = {}
    for row in rows:
        if row.outcome == "judged" and row.round == 0 and row.purpose != "gold":
            found.setdefault(row.item_id, []).append(row)
    return found
