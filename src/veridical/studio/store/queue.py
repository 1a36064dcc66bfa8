"""Who gets what next.

A slot is leased by compare-and-swap and stays its holder's until another person takes it after the
lease ran out. Nobody sees an item twice in one round.

Known answers (gold) and repeats come in by a keyed draw per person and place, so that nobody can
tell from the order which items they are.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Connection, exists, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from veridical.studio.store.database import now_ms
from veridical.studio.store.items import chance, flipped_side
from veridical.studio.store.projects import Project
from veridical.studio.store.schema import item, slot

Fresh = Literal["any", "known", "none"]
"""What may be given to somebody."""
_MOST_HELD = 6
"""Slots that one person may hold at a time: the one on the page, prefetched ones, another tab."""


class NoneLeft(NamedTuple):
    """There is nothing for this person now."""

    waiting: int
    """Slots that other people hold or that only others may take."""
    done: bool
    """Whether the whole project is done."""


def claim(
    connection: Connection,
    project: Project,
    person_id: int,
    *,
    holding: Sequence[int] = (),
    prefer: int | None = None,
    new: Fresh = "any",
) -> int | NoneLeft:
    """Lease the next slot to a person and give its number.

    Args:
        connection: A writing one.
        project: The project.
        person_id: Who asks.
        holding: Slots that the page has already; they are not given again.
        prefer: A slot to begin with, where the person holds it.
        new: What may be given that the person does not hold yet: any item, only one with a known
            answer, or none.
    """
    mine = connection.execute(
        select(slot.c.id)
        .where(slot.c.person_id == person_id, slot.c.state == "leased")
        .order_by(slot.c.leased, slot.c.id)
    ).scalars()
    held: list[int] = sorted(mine, key=lambda number: number != prefer)
    again = [number for number in held if number not in set(holding)]
    if again:
        _prolong(connection, project, again[0])
        return again[0]
    if len(held) >= _MOST_HELD:  # they wait in the page to be sent
        return NoneLeft(len(held), done=False)
    if new != "any":
        known = _serve_gold(connection, project, person_id) if new == "known" else None
        return known or NoneLeft(0, done=False)
    place = connection.scalar(
        select(func.count()).select_from(slot).where(slot.c.person_id == person_id)
    )
    draw = chance(project.secret, "draw", person_id, place)
    gold_share = project.settings.gold_share
    made = None
    if draw < gold_share:
        made = _serve_gold(connection, project, person_id)
    elif draw < gold_share + project.settings.repeat_share:
        made = _serve_repeat(connection, project, person_id)
    if made is not None:
        return made
    return _take(connection, project, person_id) or _none_left(connection)


def lease_ms(project: Project) -> int:
    """How long a lease lasts."""
    return int(project.settings.lease_minutes * 60_000)


def _prolong(connection: Connection, project: Project, number: int) -> None:
    until = now_ms() + lease_ms(project)
    connection.execute(
        update(slot)
        .where(slot.c.id == number, slot.c.lease_until < until)
        .values(lease_until=until)
    )


def _take(connection: Connection, project: Project, person_id: int) -> int | None:
    other = slot.alias()
    unseen = ~exists().where(
        other.c.item_id == slot.c.item_id, other.c.person_id == person_id, other.c.round == 0
    )
    now = now_ms()
    ways: list[tuple[list[ColumnElement[bool]], list[ColumnElement[object]]]] = [
        ([slot.c.state == "open"], [slot.c.priority, slot.c.id]),
        ([slot.c.state == "leased", slot.c.lease_until < now], [slot.c.lease_until]),
    ]
    for conditions, order in ways:
        candidate = (
            select(slot.c.id)
            .where(*conditions, unseen)
            .order_by(*order)
            .limit(1)
            .with_for_update(skip_locked=True, of=slot)
        )
        number = connection.scalar(candidate)
        if number is None:
            continue
        lease = _lease(person_id, project)
        taken = connection.execute(
            update(slot).where(slot.c.id == number, *conditions).values(lease)
        )
        if taken.rowcount == 1:
            return int(number)
    return None


def _lease(person_id: int, project: Project) -> dict[str, object]:
    now = now_ms()
    return {
        "state": "leased",
        "person_id": person_id,
        "leased": now,
        "lease_until": now + lease_ms(project),
    }


def _serve_gold(connection: Connection, project: Project, person_id: int) -> int | None:
    seen = exists().where(slot.c.item_id == item.c.id, slot.c.person_id == person_id)
    row = connection.execute(
        select(item.c.id, item.c.key).where(item.c.is_gold, ~seen).order_by(item.c.id).limit(1)
    ).first()
    if row is None:
        return None
    return _own_slot(connection, project, person_id, row.id, row.key, purpose="gold", number=0)


def _serve_repeat(connection: Connection, project: Project, person_id: int) -> int | None:
    again = slot.alias()
    repeated = exists().where(
        again.c.item_id == slot.c.item_id, again.c.person_id == person_id, again.c.round == 1
    )
    mine = select(slot).where(
        slot.c.person_id == person_id,
        slot.c.state == "done",
        slot.c.round == 0,
        slot.c.purpose == "main",
    )
    newest = mine.order_by(slot.c.leased.desc()).offset(project.settings.repeat_after - 1).limit(1)
    border = connection.execute(newest).first()
    if border is None:
        return None
    row = connection.execute(
        mine.where(slot.c.leased <= border.leased, ~repeated).order_by(slot.c.leased).limit(1)
    ).first()
    if row is None:
        return None
    values = _lease(person_id, project) | {
        "item_id": row.item_id,
        "number": row.number,
        "round": 1,
        "purpose": "repeat",
        "flipped": not row.flipped,
        "priority": 0.0,
    }
    return _insert(connection, values)


def _own_slot(
    connection: Connection,
    project: Project,
    person_id: int,
    item_id: int,
    key: str,
    *,
    purpose: str,
    number: int,
) -> int:
    values = _lease(person_id, project) | {
        "item_id": item_id,
        "number": number,
        "round": 0,
        "purpose": purpose,
        "priority": 0.0,
        "flipped": flipped_side(project.secret, key, person_id),
    }
    return _insert(connection, values)


def _insert(connection: Connection, values: dict[str, object]) -> int:
    made = connection.execute(insert(slot).values(values)).inserted_primary_key
    return int(made[0]) if made else 0


def _none_left(connection: Connection) -> NoneLeft:
    query = (
        select(func.count())
        .select_from(slot)
        .where(slot.c.state.in_(("open", "leased")), slot.c.purpose == "main")
    )
    waiting = int(connection.scalar(query) or 0)
    return NoneLeft(waiting, done=waiting == 0)
