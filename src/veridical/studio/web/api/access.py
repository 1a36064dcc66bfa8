"""Signing in: by a link, by a password; signing out."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from veridical.studio.store.people import (
    add_person,
    check_password,
    end_session,
    look_up,
    note_failure,
    too_many_tries,
    use_up,
)
from veridical.studio.store.projects import note_event
from veridical.studio.web.errors import Problem
from veridical.studio.web.signing import SignedIn, StudioOf, cookie_name, start_session

router = APIRouter(prefix="/api", tags=["access"])
_OVER = "This link is used up or too old. Ask the lead of the project for a new one."
Name = Annotated[str, Field(max_length=80)]
Password = Annotated[str, Field(max_length=200)]
MIN_PASSWORD = 10
"""Shortest password in characters."""


class JoinRequest(BaseModel):
    """Come in by a link: an invitation takes a name, a personal link does not."""

    model_config = ConfigDict(extra="forbid")
    secret: str = Field(max_length=200)
    name: Name = ""
    password: Password = ""


class LoginRequest(BaseModel):
    """Come in by a password."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    password: Password


class Opened(BaseModel):
    """Where to go on."""

    next: str
    needs_name: bool = False


@router.post("/join")
def join(sent: JoinRequest, request: Request, response: Response, studio: StudioOf) -> Opened:
    """Use up a link and sign in; for an invitation without a name only say that one is needed."""
    keys = [_address(request)]
    with studio.database.reading() as connection:
        if too_many_tries(connection, keys):
            raise Problem(429, "Too many tries. Wait a minute.")
        row = look_up(connection, sent.secret, ("login", "invitation"))
    if row is None:
        with studio.database.writing() as connection:
            note_failure(connection, keys)
        raise Problem(403, _OVER)
    if row.kind == "invitation" and not sent.name.strip():
        return Opened(next="", needs_name=True)
    if sent.password and len(sent.password) < MIN_PASSWORD:
        raise Problem(422, f"A password has {MIN_PASSWORD} characters or more.", field="password")
    with studio.database.writing() as connection:
        if not use_up(connection, row):
            raise Problem(403, _OVER)
        person_id = row.person_id or add_person(
            connection, sent.name, role=row.role or "annotator", password=sent.password or None
        )
        note_event(connection, "join", person_id, by=row.kind)
    start_session(response, studio, person_id)
    return Opened(next="/")


@router.post("/login")
def login(sent: LoginRequest, request: Request, response: Response, studio: StudioOf) -> Opened:
    """Sign in by name and password."""
    keys = [_address(request), f"name:{sent.name.lower()}"]
    with studio.database.reading() as connection:
        if too_many_tries(connection, keys):
            raise Problem(429, "Too many tries. Wait a minute.")
        person_id = check_password(connection, sent.name, sent.password)
    if person_id is None:
        with studio.database.writing() as connection:
            note_failure(connection, keys)
        raise Problem(403, "Name or password is wrong.")
    start_session(response, studio, person_id)
    return Opened(next="/")


@router.post("/logout")
def logout(who: SignedIn, response: Response, studio: StudioOf) -> Opened:
    """End this session."""
    with studio.database.writing() as connection:
        end_session(connection, who)
    response.delete_cookie(cookie_name(studio), path="/", secure=studio.secure, httponly=True)
    return Opened(next="/login")


def _address(request: Request) -> str:
    return f"from:{request.client.host}" if request.client else "from:unknown"
