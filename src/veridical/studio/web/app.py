"""The app: guard, API, pages, static files, pictures."""

from collections.abc import Collection
from importlib import resources
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles

from veridical.studio.opening import Studio
from veridical.studio.web import lead_pages, pages
from veridical.studio.web.api import access, lead, work
from veridical.studio.web.errors import add_error_answers
from veridical.studio.web.pictures import router as pictures
from veridical.studio.web.security import Guard


def make_app(studio: Studio, *, hosts: Collection[str]) -> FastAPI:
    """Make the app of an opened project.

    Args:
        studio: The project.
        hosts: Names under which the server may be called, "name" or "name:port".
    """
    app = FastAPI(title="Veridical studio", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.studio = studio
    app.state.secret = None  # the project's, read with the first change; it never changes
    add_error_answers(app)
    for router in (access.router, work.router, lead.router):
        app.include_router(router)
    for router in (pages.router, lead_pages.router, pictures):
        app.include_router(router, include_in_schema=False)
    folder = Path(str(resources.files("veridical.studio.web") / "static"))
    app.mount("/static", _Static(directory=folder))
    app.add_middleware(Guard, hosts=hosts)
    return app


class _Static(StaticFiles):
    """Static files that a browser asks for again after an upgrade."""

    def file_response(self, *arguments: object, **options: object) -> Response:
        """Answer with a file; browsers check whether it changed."""
        response: Response = super().file_response(*arguments, **options)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response
