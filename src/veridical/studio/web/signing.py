"""Who sends a request: dependencies that pages and API share."""

import hmac
from typing import Annotated

from fastapi import Depends, Request, Response

from veridical.studio.lead.counts import Reports
from veridical.studio.opening import Studio
from veridical.studio.store.database import Database
from veridical.studio.store.people import (
    SESSION_LIFE,
    Person,
    change_token,
    issue_token,
    signed_in,
)
from veridical.studio.store.projects import Project, load_project
from veridical.studio.web.errors import Problem

COOKIE = "veridical_studio"


def studio_of(request: Request) -> Studio:
    """The studio that the app serves."""
    studio: Studio = request.app.state.studio
    return studio


StudioOf = Annotated[Studio, Depends(studio_of)]


def reports_of(request: Request) -> Reports:
    """The lead's reports that this server keeps."""
    reports: Reports = request.app.state.reports
    return reports


ReportsOf = Annotated[Reports, Depends(reports_of)]


def cookie_name(studio: Studio) -> str:
    """Name of the session's cookie; browsers bind the `__Host-` form to this host and to TLS."""
    return f"__Host-{COOKIE}" if studio.secure else COOKIE


def person_or_none(request: Request, studio: StudioOf) -> Person | None:
    """Who is signed in, if anybody."""
    secret = request.cookies.get(cookie_name(studio), "")
    if not secret:
        return None
    with studio.database.reading() as connection:
        return signed_in(connection, secret)


Visitor = Annotated[Person | None, Depends(person_or_none)]


def person_of(visitor: Visitor) -> Person:
    """Who is signed in.

    Raises:
        Problem: Nobody is.
    """
    if visitor is None:
        raise Problem(401, "Sign in to go on. What you wrote is kept on this device.")
    return visitor


def author_of(
    request: Request, studio: StudioOf, who: Annotated[Person, Depends(person_of)]
) -> Person:
    """Who changes something: signed in, and the request comes from one of our pages."""
    secret = request.app.state.secret
    if secret is None:
        secret = request.app.state.secret = read_project(studio.database).secret
    if not hmac.compare_digest(
        request.headers.get("x-change-token", ""), change_token(secret, who.session)
    ):
        raise Problem(403, "The page is out of date. Reload it; what you wrote is kept.")
    return who


def lead_of(who: Annotated[Person, Depends(person_of)]) -> Person:
    """The lead.

    Raises:
        Problem: Somebody else.
    """
    if who.role != "lead":
        raise Problem(403, "Only leads see this.")
    return who


def lead_author_of(who: Annotated[Person, Depends(author_of)]) -> Person:
    """The lead, changing something."""
    return lead_of(who)


SignedIn = Annotated[Person, Depends(person_of)]
Author = Annotated[Person, Depends(author_of)]
LeadAuthor = Annotated[Person, Depends(lead_author_of)]


def start_session(response: Response, studio: Studio, person_id: int) -> None:
    """Sign somebody in on this browser."""
    with studio.database.writing() as connection:
        secret = issue_token(connection, "session", life=SESSION_LIFE, person_id=person_id)
    response.set_cookie(
        cookie_name(studio),
        secret,
        max_age=SESSION_LIFE // 1000,
        httponly=True,
        secure=studio.secure,
        samesite="lax",
        path="/",
    )


def read_project(database: Database) -> Project:
    """The project as it stands."""
    with database.reading() as connection:
        return load_project(connection)
