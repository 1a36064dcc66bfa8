"""The lead's requests: invitations, people, settling, settings, guidelines."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, update

from veridical.studio.lead.differences import settle
from veridical.studio.settings import StudioSettings
from veridical.studio.store.people import (
    DAY,
    end_sessions,
    issue_token,
    revoke,
)
from veridical.studio.store.projects import (
    change_settings,
    load_project,
    note_event,
    set_guidelines,
)
from veridical.studio.store.returns import return_judgement
from veridical.studio.store.schema import person
from veridical.studio.tasks.payloads import MAX_TEXT, Note, Text
from veridical.studio.web.errors import Problem
from veridical.studio.web.signing import LeadAuthor, StudioOf

router = APIRouter(prefix="/api/lead", tags=["lead"])
Id = Annotated[int, Field(ge=0, lt=2**31)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class InvitationRequest(_Request):
    """Make an invitation link."""

    role: Literal["annotator", "lead"] = "annotator"
    uses: int = Field(default=1, ge=1, le=200)
    days: int = Field(default=14, ge=1, le=90)


class PersonRequest(_Request):
    """Make a new personal link for somebody."""

    person: Id


class ActiveRequest(_Request):
    """Let somebody in or keep them out."""

    person: Id
    active: bool


class RevokeRequest(_Request):
    """Make a link useless."""

    token: Id


class SettleRequest(_Request):
    """Decide between judgements."""

    item: Id
    judgement: str | None = Field(default=None, max_length=36)
    note: Note = ""


class ReturnRequest(_Request):
    """Send a judgement back to its annotator."""

    judgement: str = Field(max_length=36)
    note: Annotated[Note, Field(min_length=1)]


class TrainedRequest(_Request):
    """Let somebody begin, whatever their training says, or train them anew."""

    person: Id
    trained: bool


class SettingsRequest(_Request):
    """Change how work is shared out."""

    settings: StudioSettings
    paused: bool


class GuidelinesRequest(_Request):
    """A new version of the guidelines."""

    text: Annotated[Text, Field(min_length=1, max_length=MAX_TEXT)]


class Link(BaseModel):
    """A link; its secret stands after "#" and is shown this once."""

    link: str


class Done(BaseModel):
    """It is done."""

    ok: bool = True


@router.post("/invitations")
def invite(sent: InvitationRequest, who: LeadAuthor, studio: StudioOf) -> Link:
    """Make an invitation link."""
    with studio.database.writing() as connection:
        secret = issue_token(
            connection, "invitation", life=sent.days * DAY, role=sent.role, uses=sent.uses
        )
        note_event(connection, "invite", who.id, role=sent.role, uses=sent.uses)
    return Link(link=f"/join#{secret}")


@router.post("/links")
def personal_link(sent: PersonRequest, who: LeadAuthor, studio: StudioOf) -> Link:
    """Make a link by which somebody comes back, good once within a day."""
    with studio.database.writing() as connection:
        row = connection.execute(
            select(person).where(person.c.id == sent.person, person.c.active)
        ).first()
        if row is None:
            raise Problem(404, "There is nobody of that number who may come in.")
        secret = issue_token(connection, "login", life=DAY, person_id=row.id)
        note_event(connection, "link", who.id, person=row.id)
    return Link(link=f"/join#{secret}")


@router.post("/people")
def set_active(sent: ActiveRequest, who: LeadAuthor, studio: StudioOf) -> Done:
    """Let somebody in or keep them out; their judgements stay."""
    if sent.person == who.id:
        raise Problem(422, "You cannot keep yourself out.")
    with studio.database.writing() as connection:
        done = connection.execute(
            update(person).where(person.c.id == sent.person).values(active=sent.active)
        )
        if done.rowcount != 1:
            raise Problem(404, "There is nobody of that number.")
        if not sent.active:
            end_sessions(connection, sent.person)
        note_event(connection, "active", who.id, person=sent.person, active=sent.active)
    return Done()


@router.post("/revoke")
def revoke_link(sent: RevokeRequest, who: LeadAuthor, studio: StudioOf) -> Done:
    """Make an invitation useless."""
    with studio.database.writing() as connection:
        revoke(connection, sent.token)
        note_event(connection, "revoke", who.id, token=sent.token)
    return Done()


@router.post("/settle")
def settle_item(sent: SettleRequest, who: LeadAuthor, studio: StudioOf) -> Done:
    """Decide for one judgement, or for none."""
    with studio.database.writing() as connection:
        settle(connection, sent.item, sent.judgement, who=who.id, note=sent.note)
    return Done()


@router.post("/return")
def send_back(sent: ReturnRequest, who: LeadAuthor, studio: StudioOf) -> Done:
    """Give an item back to its annotator, with a note."""
    with studio.database.writing() as connection:
        return_judgement(connection, sent.judgement, who=who.id, note=sent.note)
        note_event(connection, "return", who.id, judgement=sent.judgement)
    return Done()


@router.post("/trained")
def set_trained(sent: TrainedRequest, who: LeadAuthor, studio: StudioOf) -> Done:
    """Let somebody begin without having passed."""
    with studio.database.writing() as connection:
        done = connection.execute(
            update(person).where(person.c.id == sent.person).values(trained=sent.trained)
        )
        if done.rowcount != 1:
            raise Problem(404, "There is nobody of that number.")
        note_event(connection, "trained", who.id, person=sent.person, trained=sent.trained)
    return Done()


@router.post("/settings")
def set_settings(sent: SettingsRequest, who: LeadAuthor, studio: StudioOf) -> Done:
    """Keep new settings."""
    with studio.database.writing() as connection:
        change_settings(connection, sent.settings, paused=sent.paused)
        note_event(connection, "settings", who.id, paused=sent.paused)
    return Done()


@router.post("/guidelines")
def new_guidelines(sent: GuidelinesRequest, who: LeadAuthor, studio: StudioOf) -> Done:
    """Add a version of the guidelines."""
    with studio.database.writing() as connection:
        load_project(connection)
        set_guidelines(connection, sent.text, author=who.name)
    return Done()
