"""Judgements going in: kept once per key, never lost, never overwritten.

A judgement is acknowledged after its transaction is on disk. Sent again under the same key it is
answered the same way. Late work is accepted: where somebody else took the slot over meanwhile, it
is kept as surplus and counted so.
"""

import hashlib
import hmac
import json
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from veridical.errors import VeridicalError
from veridical.files import JsonObject
from veridical.studio.store.database import now_ms
from veridical.studio.store.items import open_slot
from veridical.studio.store.projects import Project
from veridical.studio.store.queue import lease_ms
from veridical.studio.store.schema import draft, item, judgement, slot


class Refused(VeridicalError, ValueError):  # noqa: N818 (it becomes an answer)
    """A judgement cannot be kept."""

    def __init__(self, message: str, *, status: int) -> None:
        self.status = status
        super().__init__(message)


class Submission(NamedTuple):
    """What a page sends."""

    key: str
    """Its own number of the submission (UUID); the same one when it is sent again."""
    slot_id: int
    """The slot that was shown."""
    outcome: str
    """"judged", "cannot_tell" or "skipped"."""
    payload: JsonObject
    """The body, checked already."""
    shown: int
    """When the page showed it, in ms."""
    seconds: float
    """Time spent on it, long pauses left out."""
    guideline: int
    """Version of the guidelines."""


class Kept(NamedTuple):
    """What became of a submission."""

    slot_id: int
    """The slot that holds it."""
    replayed: bool
    """Whether it was known already."""
    surplus: bool
    """Whether it is beyond the wanted number."""


def lease_key(project: Project, person_id: int, slot_id: int) -> str:
    """Proof that a slot was leased to a person; a page must show it with everything it sends."""
    text = f"lease\0{person_id}\0{slot_id}".encode()
    return hmac.new(project.secret.encode(), text, hashlib.sha256).hexdigest()[:32]


def leased_slot(connection: Connection, slot_id: int, *, lock: bool = False) -> Row[Any]:
    """The slot, locked against other servers where asked for.

    Raises:
        Refused: There is none.
    """
    query = select(slot).where(slot.c.id == slot_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise Refused("There is no such item.", status=404)
    return row


def submit(connection: Connection, person_id: int, sent: Submission) -> Kept:
    """Keep a judgement, a skip or a "can't tell".

    Raises:
        Refused: The key was used for something else, or the item was judged already.
    """
    body = _digest(sent)
    row = leased_slot(connection, sent.slot_id, lock=True)
    known = connection.execute(select(judgement).where(judgement.c.id == sent.key)).first()
    if known is not None:
        if known.person_id != person_id or known.body != body:
            raise Refused("This submission's key was used for another one.", status=422)
        purpose = leased_slot(connection, known.slot_id).purpose
        return Kept(known.slot_id, replayed=True, surplus=purpose == "surplus")
    if row.person_id != person_id:
        row = _surplus(connection, person_id, row)
    if row.state in ("done", "skipped"):
        raise Refused(
            "You have judged this item already. Open it again from your history to change it.",
            status=409,
        )
    _add(connection, row, person_id, sent.key, sent.outcome, sent.payload, body, sent)
    state = "skipped" if sent.outcome == "skipped" else "done"
    connection.execute(
        update(slot).where(slot.c.id == row.id).values(state=state, judgement_id=sent.key)
    )
    connection.execute(delete(draft).where(draft.c.slot_id == row.id))
    if sent.outcome == "skipped" and row.purpose == "main":
        last = connection.scalar(
            select(func.max(slot.c.number)).where(slot.c.item_id == row.item_id)
        )
        values = open_slot(row.item_id, int(last or 0) + 1, not row.flipped, row.priority)
        connection.execute(insert(slot).values(values))
    return Kept(row.id, replayed=False, surplus=row.purpose == "surplus")


def reopen(
    connection: Connection, project: Project, person_id: int, *, key: str, slot_id: int | None
) -> int | None:
    """Take back a judgement and lease its slot to the same person again.

    Args:
        connection: A writing one.
        project: The project.
        person_id: Whose.
        key: The page's number of this request; sent again it does nothing more.
        slot_id: Which; None takes the newest.

    Returns:
        The slot, or None where there is nothing to take back.

    Raises:
        Refused: The slot is somebody else's or not judged.
    """
    known = connection.execute(select(judgement).where(judgement.c.id == key)).first()
    if known is not None:
        if known.person_id != person_id or known.outcome != "undone":
            raise Refused("This request's key was used for another one.", status=422)
        return int(known.slot_id)
    if slot_id is None:
        slot_id = connection.scalar(
            select(judgement.c.slot_id)
            .join(slot, slot.c.judgement_id == judgement.c.id)
            .where(slot.c.person_id == person_id, slot.c.state.in_(("done", "skipped")))
            .order_by(judgement.c.submitted.desc(), judgement.c.revision.desc())
            .limit(1)
        )
        if slot_id is None:
            return None
    row = leased_slot(connection, slot_id, lock=True)
    if row.person_id != person_id or row.state not in ("done", "skipped"):
        raise Refused("This item is not one that you have judged.", status=404)
    open_again(connection, row, key=key, until=now_ms() + lease_ms(project))
    return int(row.id)


def open_again(connection: Connection, row: Row[Any], *, key: str, until: int) -> int:
    """Take back what a slot holds and lease it to its person again, with what was filled in.

    Args:
        connection: A writing one.
        row: The slot, done or skipped.
        key: Number of this act.
        until: How long it is kept for that person, in ms since 1970.

    Returns:
        The number of the revision that says so.
    """
    current = connection.execute(select(judgement).where(judgement.c.id == row.judgement_id)).one()
    if row.state == "skipped":
        _withdraw_substitute(connection, row)
    sent = Submission(key, row.id, "undone", {}, now_ms(), 0.0, current.guideline)
    revision = _add(connection, row, row.person_id, key, "undone", {}, "", sent)
    lease = {"state": "leased", "judgement_id": None, "leased": now_ms(), "lease_until": until}
    connection.execute(update(slot).where(slot.c.id == row.id).values(lease))
    if current.outcome == "judged":
        save_draft(connection, row.person_id, row.id, current.payload)
    return revision


def save_draft(connection: Connection, person_id: int, slot_id: int, payload: JsonObject) -> None:
    """Keep what somebody has not submitted yet."""
    connection.execute(
        delete(draft).where(draft.c.slot_id == slot_id, draft.c.person_id == person_id)
    )
    values = {"slot_id": slot_id, "person_id": person_id, "payload": payload, "updated": now_ms()}
    connection.execute(insert(draft).values(values))


def find_draft(connection: Connection, person_id: int, slot_id: int) -> JsonObject | None:
    """What somebody has not submitted yet."""
    row = connection.execute(
        select(draft.c.payload).where(draft.c.slot_id == slot_id, draft.c.person_id == person_id)
    ).first()
    return dict(row.payload) if row is not None else None


def _surplus(connection: Connection, person_id: int, lost: Row[Any]) -> Row[Any]:
    """The slot for work whose lease went to somebody else."""
    own = select(slot).where(
        slot.c.item_id == lost.item_id, slot.c.person_id == person_id, slot.c.round == lost.round
    )
    row = connection.execute(own).first()
    if row is not None:
        return row
    values = {
        "item_id": lost.item_id,
        "number": lost.number,
        "round": lost.round,
        "purpose": "surplus",
        "flipped": lost.flipped,
        "state": "leased",
        "priority": lost.priority,
        "person_id": person_id,
        "leased": lost.leased,
        "lease_until": now_ms(),
    }
    connection.execute(insert(slot).values(values))
    return connection.execute(own).one()


def _withdraw_substitute(connection: Connection, row: Row[Any]) -> None:
    """Take back the slot that a skip had opened for somebody else, where nobody took it yet."""
    extra = connection.scalar(
        select(slot.c.id)
        .where(slot.c.item_id == row.item_id, slot.c.state == "open")
        .order_by(slot.c.number.desc())
        .limit(1)
    )
    wanted = connection.scalar(select(item.c.wanted).where(item.c.id == row.item_id))
    if extra is not None and wanted is not None:
        connection.execute(update(slot).where(slot.c.id == extra).values(state="void"))


def _add(
    connection: Connection,
    row: Row[Any],
    person_id: int,
    key: str,
    outcome: str,
    payload: JsonObject,
    body: str,
    sent: Submission,
) -> int:
    last = connection.scalar(
        select(func.max(judgement.c.revision)).where(judgement.c.slot_id == row.id)
    )
    values = {
        "id": key,
        "slot_id": row.id,
        "item_id": row.item_id,
        "person_id": person_id,
        "revision": int(last or 0) + 1,
        "outcome": outcome,
        "payload": payload,
        "body": body,
        "guideline": sent.guideline,
        "shown": sent.shown,
        "submitted": now_ms(),
        "seconds": sent.seconds,
    }
    connection.execute(insert(judgement).values(values))
    return int(last or 0) + 1


def _digest(sent: Submission) -> str:
    text = json.dumps([sent.slot_id, sent.outcome, sent.payload], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
