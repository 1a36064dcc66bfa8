"""Whether somebody still has to show on known items that the guidelines are clear to them."""

from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from veridical.studio.lead.gold import agrees
from veridical.studio.store.people import Person
from veridical.studio.store.projects import Project
from veridical.studio.store.schema import item, judgement, person, slot
from veridical.studio.tasks.payloads import canonical


class Training(NamedTuple):
    """How far somebody's training is."""

    judged: int
    """Known items that they judged."""
    right: int
    """How many of the last `needed` they got right."""
    needed: int
    """How many they must judge."""
    wanted: int
    """How many of these must be right."""
    serving: bool
    """Whether to give them another one now; not while an earlier one is not judged yet."""
    over: bool
    """Whether no known item is left and they did not pass: the lead decides."""


def find_training(connection: Connection, project: Project, who: Person) -> Training | None:
    """How far somebody's training is; None for those who need none, or passed (which is kept).

    Args:
        connection: A writing one.
        project: The project.
        who: Somebody signed in.
    """
    settings = project.settings
    if not settings.training_items or who.role == "lead":
        return None
    row = connection.execute(select(person.c.trained).where(person.c.id == who.id)).one()
    if row.trained:
        return None
    known = int(
        connection.scalar(select(func.count()).select_from(item).where(item.c.is_gold)) or 0
    )
    needed = min(settings.training_items, known)
    if not needed:
        return None
    verdicts, seen, open_ = _known_items(connection, who.id)
    last = verdicts[-needed:]
    wanted = max(1, round(settings.training_pass * needed))
    if len(verdicts) >= needed and sum(last) >= wanted:
        connection.execute(update(person).where(person.c.id == who.id).values(trained=True))
        return None
    serving = seen < known and (seen < needed or not open_)
    over = seen >= known and not open_
    return Training(len(verdicts), sum(last), needed, wanted, serving, over)


def _known_items(connection: Connection, person_id: int) -> tuple[list[bool], int, int]:
    """Whether each judged one was right, in order; how many were seen; how many are open."""
    rows = connection.execute(
        select(slot.c.state, judgement.c.outcome, judgement.c.payload, slot.c.flipped, item.c.gold)
        .join(item, item.c.id == slot.c.item_id)
        .outerjoin(judgement, judgement.c.id == slot.c.judgement_id)
        .where(slot.c.person_id == person_id, slot.c.purpose == "gold")
        .order_by(judgement.c.submitted, slot.c.id)
    ).all()
    verdicts = [
        agrees(row.gold, canonical(row.payload, flipped=row.flipped))
        for row in rows
        if row.outcome == "judged"
    ]
    return verdicts, len(rows), sum(row.state == "leased" for row in rows)
