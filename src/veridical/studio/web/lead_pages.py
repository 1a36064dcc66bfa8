"""The lead's pages."""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection, select

from veridical.files import JsonObject
from veridical.studio.lead.agreement import agreement_report
from veridical.studio.lead.counts import Reports
from veridical.studio.lead.differences import Difference, differences, different_item, settlements
from veridical.studio.lead.progress import overview
from veridical.studio.opening import Studio
from veridical.studio.store.database import now_ms
from veridical.studio.store.people import Person, list_people
from veridical.studio.store.projects import Project, current_guidelines, load_project
from veridical.studio.store.schema import token
from veridical.studio.web.errors import Problem
from veridical.studio.web.judgement_views import columns, parts_of
from veridical.studio.web.pages import judged_rows
from veridical.studio.web.rendering import render
from veridical.studio.web.signing import ReportsOf, StudioOf, Visitor

router = APIRouter()
Page = HTMLResponse | RedirectResponse
Values = JsonObject
"""What a template is filled with."""

_GROUPS = (
    ("Who judges what", ("overlap", "overlap_share", "queue", "seed")),
    ("Training", ("training_items", "training_pass")),
    ("Checks", ("gold_share", "repeat_share", "repeat_after", "premarked_share")),
    ("Time and cost", ("lease_minutes", "idle_seconds", "wage", "currency")),
    ("Pictures", ("as_model_sees_it",)),
)
"""Settings as they stand on their page."""


def _page(
    template: str,
    visitor: Person | None,
    studio: Studio,
    values: Callable[[Connection, Project], Values | None],
    *,
    here: str = "",
) -> Page:
    """A page for leads; who is not signed in is sent to sign in.

    Args:
        template: Name of the page.
        visitor: Who asks for it.
        studio: The project.
        values: Reads what the template needs; None while that is still being counted.
        here: Which tab is the current one; by default the template's.
    """
    if visitor is None:
        return RedirectResponse("/login", 303)
    if visitor.role != "lead":
        raise Problem(403, "Only leads see this.")
    with studio.database.reading() as connection:
        project = load_project(connection)
        found = values(connection, project)
    here = here or template
    if found is None:
        return render("lead/counting.html.j2", project, visitor, here=here)
    return render(f"lead/{template}.html.j2", project, visitor, here=here, **found)


@router.get("/lead", response_model=None)
def overview_page(visitor: Visitor, studio: StudioOf, reports: ReportsOf) -> Page:
    """How far the work is."""

    def values(connection: Connection, project: Project) -> Values | None:
        settings = project.settings
        found = reports.get(
            "overview",
            connection,
            lambda own: overview(own, settings, reports.counts),
            settings,
        )
        if found is None:
            return None
        seconds = [(day.date, day.median_seconds) for day in found.days]
        charts = [
            columns("Judgements per day", [(day.date, day.judgements) for day in found.days]),
            columns("Median seconds per judgement", seconds),
        ]
        return {"found": found, "charts": charts}

    return _page("overview", visitor, studio, values)


@router.get("/lead/people", response_model=None)
def people_page(visitor: Visitor, studio: StudioOf) -> Page:
    """Who takes part, and who is invited."""
    return _page("people", visitor, studio, _people)


def _people(connection: Connection, project: Project) -> Values:
    invitations = connection.execute(
        select(token)
        .where(token.c.kind == "invitation", token.c.uses_left > 0, token.c.expires > now_ms())
        .order_by(token.c.id.desc())
    ).all()
    return {
        "people": list_people(connection),
        "invitations": invitations,
        "training": project.settings.training_items > 0,
    }


@router.get("/lead/people/{person_id}", response_model=None)
def person_page(person_id: int, visitor: Visitor, studio: StudioOf) -> Page:
    """What one person judged, newest first."""

    def values(connection: Connection, project: Project) -> Values:
        del project
        somebody = next((one for one in list_people(connection) if one.id == person_id), None)
        if somebody is None:
            raise Problem(404, "There is nobody of that number.")
        return {"somebody": somebody, "rows": judged_rows(connection, person_id)}

    return _page("person", visitor, studio, values, here="people")


@router.get("/lead/agreement", response_model=None)
def agreement_page(visitor: Visitor, studio: StudioOf, reports: ReportsOf) -> Page:
    """How well people agree."""

    def values(connection: Connection, project: Project) -> Values | None:
        task = project.task
        report = reports.get("agreement", connection, lambda own: agreement_report(own, task))
        return None if report is None else {"report": report}

    return _page("agreement", visitor, studio, values)


@router.get("/lead/differences", response_model=None)
def differences_page(visitor: Visitor, studio: StudioOf, reports: ReportsOf) -> Page:
    """Where people differ."""

    def values(connection: Connection, project: Project) -> Values | None:
        rows = _differences(connection, project, reports)
        return None if rows is None else {"rows": rows}

    return _page("differences", visitor, studio, values)


@router.get("/lead/differences/{item_id}", response_model=None)
def difference_page(item_id: int, visitor: Visitor, studio: StudioOf, reports: ReportsOf) -> Page:
    """One item, all that was said of it side by side."""

    def values(connection: Connection, project: Project) -> Values:
        found = different_item(connection, item_id) if item_id < 2**31 else None
        if found is None:
            raise Problem(404, "There is no such item.")
        rows = _differences(connection, project, reports) or []
        waiting = [row.item_id for row in rows if not row.settled and row.item_id != item_id]
        return {
            "found": found,
            "views": [parts_of(found.texts, row.body) for row in found.judged],
            "following": waiting[0] if waiting else None,
        }

    return _page("difference", visitor, studio, values, here="differences")


def _differences(
    connection: Connection, project: Project, reports: Reports
) -> list[Difference] | None:
    """Items on which people differ; whether they are settled is always fresh."""
    found = reports.get("differences", connection, lambda own: differences(own, project.task))
    if found is None:
        return None
    settled = settlements(connection)
    fresh = [row._replace(settled=row.item_id in settled) for row in found]
    return sorted(fresh, key=lambda one: (one.settled, one.agreement, one.item_id))


@router.get("/lead/settings", response_model=None)
def settings_page(visitor: Visitor, studio: StudioOf) -> Page:
    """How work is shared out, and the guidelines."""
    return _page("settings", visitor, studio, _settings)


def _settings(connection: Connection, project: Project) -> Values:
    version, text = current_guidelines(connection)
    fields = type(project.settings).model_fields
    return {
        "values": project.settings.model_dump(mode="json"),
        "groups": _GROUPS,
        "explained": {name: field.description for name, field in fields.items()},
        "guidelines": text,
        "version": version,
    }
