"""Templates: always escaped, unknown names are errors."""

from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from veridical.studio.store.people import Person, change_token
from veridical.studio.store.projects import Project


@cache
def environment() -> Environment:
    """The environment of all templates."""
    return Environment(
        loader=PackageLoader("veridical.studio.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    template: str, project: Project, who: Person | None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page."""
    text = (
        environment()
        .get_template(template)
        .render(
            project=project,
            who=who,
            change_token=change_token(project.secret, who.session) if who else "",
            **values,
        )
    )
    return HTMLResponse(text, status_code=status)
