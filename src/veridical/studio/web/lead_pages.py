"""The lead's pages."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection, select

from veridical.studio.lead.agreement import agreement_report
from veridical.studio.lead.counts import Reports
from veridical.studio.lead.differences import (
    Difference,
    differences,
    different_item,
    settlements,
)
from veridical.studio.lead.progress import overview
from veridical.studio.store.database import now_ms
from veridical.studio.store.people import Person, list_people
from veridical.studio.store.projects import Project, current_guidelines, load_project
from veridical.studio.store.schema import token
from veridical.studio.web.errors import Problem
from veridical.studio.web.judgement_views import columns, parts_of
from veridical.studio.web.rendering import render
from veridical.studio.web.signing import ReportsOf, StudioOf, Visitor

router = APIRouter()
Page = HTMLResponse | RedirectResponse


@router.get("/lead", response_model=None)
def overview_page(visitor: Visitor, studio: StudioOf, reports: ReportsOf) -> Page:
    """How far the work is."""
    who = _lead(visitor)
    if who is None:
        return RedirectResponse("/login", 303)
    with studio.database.reading() as connection:
        project = load_project(connection)
        settings = project.settings
        found = reports.get(
            "overview",
            connection,
            lambda: overview(connection, settings, reports.counts),
            settings,
        )
    charts = [
        columns("Judgements per day", [(day.date, day.judgements) for day in found.days]),
        columns("Median seconds per judgement", [(d.date, d.median_seconds) for d in found.days]),
    ]
    return render(
        "lead/overview.html.j2", project, who, found=found, charts=charts, here="overview"
    )


@router.get("/lead/people", response_model=None)
def people_page(visitor: Visitor, studio: StudioOf) -> Page:
    """Who takes part, and who is invited."""
    who = _lead(visitor)
    if who is None:
        return RedirectResponse("/login", 303)
    with studio.database.reading() as connection:
        project = load_project(connection)
        people = list_people(connection)
        invitations = connection.execute(
            select(token)
            .where(token.c.kind == "invitation", token.c.uses_left > 0, token.c.expires > now_ms())
            .order_by(token.c.id.desc())
        ).all()
    return render(
        "lead/people.html.j2", project, who, people=people, invitations=invitations, here="people"
    )


@router.get("/lead/agreement", response_model=None)
def agreement_page(visitor: Visitor, studio: StudioOf, reports: ReportsOf) -> Page:
    """How well people agree."""
    who = _lead(visitor)
    if who is None:
        return RedirectResponse("/login", 303)
    with studio.database.reading() as connection:
        project = load_project(connection)
        report = reports.get(
            "agreement", connection, lambda: agreement_report(connection, project.task)
        )
    return render("lead/agreement.html.j2", project, who, report=report, here="agreement")


@router.get("/lead/differences", response_model=None)
def differences_page(visitor: Visitor, studio: StudioOf, reports: ReportsOf) -> Page:
    """Where people differ."""
    who = _lead(visitor)
    if who is None:
        return RedirectResponse("/login", 303)
    with studio.database.reading() as connection:
        project = load_project(connection)
        rows = _differences(connection, project, reports)
    return render("lead/differences.html.j2", project, who, rows=rows, here="differences")


@router.get("/lead/differences/{item_id}", response_model=None)
def difference_page(item_id: int, visitor: Visitor, studio: StudioOf, reports: ReportsOf) -> Page:
    """One item, all that was said of it side by side."""
    who = _lead(visitor)
    if who is None:
        return RedirectResponse("/login", 303)
    if item_id >= 2**31:
        raise Problem(404, "There is no such item.")
    with studio.database.reading() as connection:
        project = load_project(connection)
        found = different_item(connection, item_id)
        rows = _differences(connection, project, reports) if found is not None else []
    if found is None:
        raise Problem(404, "There is no such item.")
    waiting = [row.item_id for row in rows if not row.settled and row.item_id != item_id]
    return render(
        "lead/difference.html.j2",
        project,
        who,
        found=found,
        views=[parts_of(found.texts, row.body) for row in found.judged],
        following=waiting[0] if waiting else None,
        here="differences",
    )


@router.get("/lead/settings", response_model=None)
def settings_page(visitor: Visitor, studio: StudioOf) -> Page:
    """How work is shared out, and the guidelines."""
    who = _lead(visitor)
    if who is None:
        return RedirectResponse("/login", 303)
    with studio.database.reading() as connection:
        project = load_project(connection)
        version, text = current_guidelines(connection)
    fields = type(project.settings).model_fields
    return render(
        "lead/settings.html.j2",
        project,
        who,
        values=project.settings.model_dump(mode="json"),
        explained={name: field.description for name, field in fields.items()},
        guidelines=text,
        version=version,
        here="settings",
    )


def _differences(connection: Connection, project: Project, reports: Reports) -> list[Difference]:
    """Items on which people differ; whether they are settled is always fresh."""
    found = reports.get("differences", connection, lambda: differences(connection, project.task))
    settled = settlements(connection)
    fresh = [row._replace(settled=row.item_id in settled) for row in found]
    return sorted(fresh, key=lambda one: (one.settled, one.agreement, one.item_id))


def _lead(visitor: Person | None) -> Person | None:
    if visitor is not None and visitor.role != "lead":
        raise Problem(403, "Only leads see this.")
    return visitor
