"""An annotator's requests: next item, draft, live diff, judgement, take back, history."""

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, update
from sqlalchemy.exc import IntegrityError

from veridical.feedback.texts.line_ends import changes
from veridical.files import JsonObject
from veridical.studio.lead.gold import gold_feedback
from veridical.studio.lead.training import find_training
from veridical.studio.opening import Studio
from veridical.studio.store.database import now_ms
from veridical.studio.store.judgements import (
    Submission,
    lease_key,
    leased_slot,
    reopen,
    save_draft,
    submit,
)
from veridical.studio.store.people import Person
from veridical.studio.store.projects import Project, guidelines_version, load_project
from veridical.studio.store.queue import Fresh, NoneLeft, claim
from veridical.studio.store.schema import person
from veridical.studio.tasks.payloads import MAX_TEXT, Note, Text, canonical, read_body, text_fault
from veridical.studio.web.errors import Problem
from veridical.studio.web.signing import Author, StudioOf
from veridical.studio.web.views import (
    NoneView,
    TaskView,
    TrainingView,
    shown,
    task_view,
    training_view,
)

router = APIRouter(prefix="/api", tags=["work"])
T = TypeVar("T")
Id = Annotated[int, Field(ge=0, lt=2**31)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NextRequest(_Request):
    """Ask for an item."""

    holding: list[Id] = Field(default=[], max_length=20)
    prefer: Id | None = None


class DraftRequest(_Request):
    """Keep what is not finished."""

    slot: Id
    lease: str = Field(max_length=64)
    payload: JsonObject


class DiffRequest(_Request):
    """Ask what changed."""

    slot: Id
    lease: str = Field(max_length=64)
    text: Text


class JudgementRequest(_Request):
    """A judgement, a skip or a "can't tell"."""

    key: UUID
    slot: Id
    lease: str = Field(max_length=64)
    outcome: Literal["judged", "cannot_tell", "skipped"]
    payload: JsonObject = {}
    reason: Literal["", "picture", "language", "unclear", "distressing", "other"] = ""
    note: Note = ""
    shown: int = Field(ge=0, lt=2**53)
    seconds: float = Field(ge=0, le=86_400, allow_inf_nan=False)
    guideline: int = Field(default=0, ge=0, lt=2**31)


Key = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^\S+$")]


class KeysRequest(_Request):
    """Somebody's own keys, by the keys that they replace."""

    keys: dict[Key, Key] = Field(max_length=60)


class UndoRequest(_Request):
    """Take back a judgement."""

    key: UUID
    slot: Id | None = None


class NextAnswer(BaseModel):
    """An item or nothing."""

    item: TaskView | None = None
    none: NoneView | None = None
    training: TrainingView | None = None


class ChangeView(BaseModel):
    """A changed segment."""

    rejected_span: tuple[int, int]
    chosen_span: tuple[int, int]
    rejected: str
    chosen: str


class DiffAnswer(BaseModel):
    """What changed."""

    changes: list[ChangeView]
    share: float
    """Share of the words that changed."""


class Feedback(BaseModel):
    """What is known of a gold item, after it was judged."""

    right: bool
    note: str


class Saved(BaseModel):
    """A judgement is on disk."""

    saved: int
    surplus: bool
    replayed: bool
    feedback: Feedback | None = None


@router.post("/next")
def next_item(sent: NextRequest, who: Author, studio: StudioOf) -> NextAnswer:
    """Lease the next item."""

    def work(connection: Connection) -> NextAnswer:
        project = load_project(connection)
        if project.paused:
            return NextAnswer(none=NoneView(waiting=0, done=False))
        training = find_training(connection, project, who)
        new: Fresh = "any" if training is None else "known" if training.serving else "none"
        found = claim(
            connection,
            project,
            who.id,
            holding=sent.holding,
            prefer=sent.prefer,
            new=new,
        )
        shown_training = training_view(training)
        if isinstance(found, NoneLeft):
            none = NoneView(waiting=found.waiting, done=found.done)
            return NextAnswer(none=none, training=shown_training)
        item = task_view(connection, project, who.id, found)
        return NextAnswer(item=item, training=shown_training)

    return _twice(studio, work)


@router.put("/drafts")
def keep_draft(sent: DraftRequest, who: Author, studio: StudioOf) -> dict[str, int]:
    """Keep what is not finished."""
    if text_fault(str(sent.payload)) or len(str(sent.payload)) > 4 * MAX_TEXT:
        raise Problem(422, "The draft cannot be kept.")

    def work(connection: Connection) -> dict[str, int]:
        _check_lease(connection, load_project(connection), sent, who)
        if leased_slot(connection, sent.slot).state == "leased":
            save_draft(connection, who.id, sent.slot, sent.payload)
        return {"saved": now_ms()}

    return _twice(studio, work)


@router.post("/diff")
def diff(sent: DiffRequest, who: Author, studio: StudioOf) -> DiffAnswer:
    """Say what changed between the shown text and the edited one."""
    with studio.database.reading() as connection:
        project = load_project(connection)
        _check_lease(connection, project, sent, who)
        source = shown(connection, project, sent.slot).texts[0]
    found = changes(source, sent.text)
    views = [
        ChangeView(
            rejected_span=one.rejected_span,
            chosen_span=one.chosen_span,
            rejected=source[slice(*one.rejected_span)],
            chosen=sent.text[slice(*one.chosen_span)],
        )
        for one in found
    ]
    changed = sum(len(view.rejected.split()) for view in views)
    return DiffAnswer(changes=views, share=changed / max(1, len(source.split())))


@router.post("/judgements")
def judge(sent: JudgementRequest, who: Author, studio: StudioOf) -> Saved:
    """Keep a judgement; answered after it is on disk."""

    def work(connection: Connection) -> Saved:
        project = load_project(connection)
        _check_lease(connection, project, sent, who)
        payload: JsonObject = {"reason": sent.reason, "note": sent.note}
        if sent.outcome == "judged":
            body = read_body(shown(connection, project, sent.slot), sent.payload)
            payload = body.model_dump(mode="json")
        elif sent.outcome == "skipped" and not sent.reason:
            raise Problem(422, "Say why you skip the item.", field="reason")
        version = min(sent.guideline, guidelines_version(connection))
        now = now_ms()
        started = min(sent.shown, now)
        submission = Submission(
            str(sent.key),
            sent.slot,
            sent.outcome,
            payload,
            started,
            round(min(sent.seconds, max(0.0, (now - started) / 1000 + 1)), 3),
            version,
        )
        kept = submit(connection, who.id, submission)
        feedback = None
        if sent.outcome == "judged":
            slot_row = leased_slot(connection, kept.slot_id)
            turned = canonical(payload, flipped=slot_row.flipped)
            told = gold_feedback(connection, slot_row.item_id, turned)
            feedback = Feedback(right=told.right, note=told.note) if told else None
        return Saved(saved=now, surplus=kept.surplus, replayed=kept.replayed, feedback=feedback)

    return _twice(studio, work)


@router.post("/undo")
def undo(sent: UndoRequest, who: Author, studio: StudioOf) -> NextAnswer:
    """Take back the newest judgement, or that of a slot, and give its item again."""

    def work(connection: Connection) -> NextAnswer:
        project = load_project(connection)
        slot_id = reopen(connection, project, who.id, key=str(sent.key), slot_id=sent.slot)
        if slot_id is None:
            return NextAnswer()
        return NextAnswer(item=task_view(connection, project, who.id, slot_id))

    return _twice(studio, work)


@router.put("/keys")
def set_keys(sent: KeysRequest, who: Author, studio: StudioOf) -> dict[str, int]:
    """Keep somebody's own keys."""
    if len(set(sent.keys.values())) != len(sent.keys) or any(
        text_fault(key) for pair in sent.keys.items() for key in pair
    ):
        raise Problem(422, "One key cannot do two things. Choose another key.", field="keys")
    with studio.database.writing() as connection:
        connection.execute(update(person).where(person.c.id == who.id).values(shortcuts=sent.keys))
    return {"saved": now_ms()}


def _check_lease(
    connection: Connection,
    project: Project,
    sent: DraftRequest | DiffRequest | JudgementRequest,
    who: Person,
) -> None:
    if sent.lease != lease_key(project, who.id, sent.slot):
        raise Problem(404, "There is no such item.")
    leased_slot(connection, sent.slot)


def _twice(studio: Studio, work: Callable[[Connection], T]) -> T:
    """Do the work in a transaction; once more where two requests got in each other's way."""
    try:
        with studio.database.writing() as connection:
            return work(connection)
    except IntegrityError:
        with studio.database.writing() as connection:
            return work(connection)
