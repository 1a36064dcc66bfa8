"""The pages of an annotator, and the doors."""

import json

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection, func, select

from veridical.files import JsonObject
from veridical.records import KINDS
from veridical.studio.store.projects import current_guidelines, load_project
from veridical.studio.store.schema import item, judgement, person, slot
from veridical.studio.web.rendering import blocks, render
from veridical.studio.web.signing import StudioOf, Visitor, read_project

router = APIRouter()
_KIND_HINTS = {
    "object": "a thing that is not there",
    "position": "it is somewhere else",
    "number": "a wrong count",
    "attribute": "a wrong colour, size, material",
    "action": "it does something else",
    "other": "any other false statement",
}
_TITLES = {
    "compare": "Compare",
    "correct": "Correct",
    "rate": "Rate",
    "mark": "Mark",
}


@router.get("/")
def start(visitor: Visitor) -> RedirectResponse:
    """Send people where they belong."""
    if visitor is None:
        return RedirectResponse("/login", 303)
    return RedirectResponse("/lead" if visitor.role == "lead" else "/work", 303)


@router.get("/login")
def login_page(studio: StudioOf) -> HTMLResponse:
    """The door for those who have a password."""
    return render("login.html.j2", read_project(studio.database), None)


@router.get("/join")
def join_page(studio: StudioOf) -> HTMLResponse:
    """The door for those who have a link; its secret stands after "#" and stays in the browser."""
    return render("join.html.j2", read_project(studio.database), None)


@router.get("/work", response_model=None)
def work_page(visitor: Visitor, studio: StudioOf) -> HTMLResponse | RedirectResponse:
    """The task itself; the item comes by the API."""
    if visitor is None:
        return RedirectResponse("/login", 303)
    with studio.database.reading() as connection:
        project = load_project(connection)
        version, text = current_guidelines(connection)
        done = _judged(connection, visitor.id)
        keys = connection.scalar(select(person.c.shortcuts).where(person.c.id == visitor.id))
    return render(
        f"work/{project.task}.html.j2",
        project,
        visitor,
        title=_TITLES[project.task],
        guideline_version=version,
        guidelines=blocks(text),
        kinds=KINDS,
        kind_hints=_KIND_HINTS,
        done=done,
        keys=json.dumps(keys or {}),
    )


@router.get("/history", response_model=None)
def history_page(visitor: Visitor, studio: StudioOf) -> HTMLResponse | RedirectResponse:
    """What somebody did, newest first, to look at again or to change."""
    if visitor is None:
        return RedirectResponse("/login", 303)
    with studio.database.reading() as connection:
        project = load_project(connection)
        rows = judged_rows(connection, visitor.id)
    return render("history.html.j2", project, visitor, rows=rows)


def _judged(connection: Connection, person_id: int) -> int:
    return int(
        connection.scalar(
            select(func.count())
            .select_from(slot)
            .where(slot.c.person_id == person_id, slot.c.state == "done")
        )
        or 0
    )


def judged_rows(connection: Connection, person_id: int) -> list[JsonObject]:
    """The last hundred judgements of somebody, newest first, each in a few words."""
    rows = connection.execute(
        select(
            slot.c.id,
            slot.c.state,
            slot.c.purpose,
            slot.c.item_id,
            judgement.c.outcome,
            judgement.c.payload,
            judgement.c.submitted,
            judgement.c.seconds,
            item.c.question,
        )
        .join(judgement, judgement.c.id == slot.c.judgement_id)
        .join(item, item.c.id == slot.c.item_id)
        .where(slot.c.person_id == person_id)
        .order_by(judgement.c.submitted.desc())
        .limit(100)
    )
    return [dict(row._mapping) | {"said": _said(row.outcome, row.payload)} for row in rows]


_WORDS = {"left": "left", "right": "right", "both_equally": "both equally", "neither": "neither"}


def _said(outcome: str, payload: JsonObject) -> str:
    """A judgement in a few words."""
    if outcome == "cannot_tell":
        return "can't tell"
    if outcome == "skipped":
        return f"skipped: {payload.get('reason', '')}"
    if "score" in payload:
        return f"{payload['score']} of 6"
    if "hallucinates_more" in payload:
        return f"hallucinates more: {_WORDS[payload['hallucinates_more']]}"
    if payload.get("nothing_wrong"):
        return "nothing wrong"
    found = payload.get("changes") or payload.get("marks") or ()
    verb = "corrected" if "changes" in payload else "marked"
    return f"{len(found)} {verb}"
