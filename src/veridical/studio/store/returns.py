"""Judgements that a lead sends back to their annotator, with a note. Nothing is overwritten."""

from uuid import uuid4

from sqlalchemy import Connection, func, insert, select

from veridical.studio.store.database import now_ms
from veridical.studio.store.judgements import Refused, leased_slot, open_again
from veridical.studio.store.people import DAY
from veridical.studio.store.schema import judgement, returned, slot

KEPT_FOR = 7 * DAY
"""How long a returned item waits for its annotator, in ms; then anybody may get it."""


def return_judgement(connection: Connection, judgement_id: str, *, who: int, note: str) -> None:
    """Send a judgement back; its annotator gets the item again, with it and the note.

    Raises:
        Refused: It is not a current judgement.
    """
    slot_id = connection.scalar(select(slot.c.id).where(slot.c.judgement_id == judgement_id))
    row = leased_slot(connection, slot_id, lock=True) if slot_id is not None else None
    if row is None or row.judgement_id != judgement_id:
        raise Refused("That judgement is not a current one. Reload the page.", status=404)
    revision = open_again(connection, row, key=str(uuid4()), until=now_ms() + KEPT_FOR)
    values = {
        "slot_id": row.id,
        "judgement_id": judgement_id,
        "revision": revision,
        "person_id": who,
        "note": note,
        "created": now_ms(),
    }
    connection.execute(insert(returned).values(values))


def return_note(connection: Connection, slot_id: int) -> str | None:
    """What the lead wrote, as long as the item has not been judged anew; None where nothing was."""
    row = connection.execute(
        select(returned.c.note, returned.c.revision)
        .where(returned.c.slot_id == slot_id)
        .order_by(returned.c.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    newest = connection.scalar(
        select(func.max(judgement.c.revision)).where(judgement.c.slot_id == slot_id)
    )
    return str(row.note) if newest == row.revision else None
