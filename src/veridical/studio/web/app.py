"""The app: guard, API, pages, static files; pictures by the hash of their bytes.

No name of a file ever reaches the disk from a request.
"""

import re
from collections.abc import Collection
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from sqlalchemy import select

from veridical.studio.lead.counts import Reports
from veridical.studio.opening import Studio
from veridical.studio.store.pictures import SUFFIXES
from veridical.studio.store.schema import image
from veridical.studio.web import lead_pages, pages
from veridical.studio.web.api import access, lead, work
from veridical.studio.web.errors import Problem, add_error_answers
from veridical.studio.web.security import Guard
from veridical.studio.web.signing import SignedIn, StudioOf

_pictures = APIRouter()
_SHA256 = re.compile(r"[0-9a-f]{64}")


def make_app(studio: Studio, *, hosts: Collection[str]) -> FastAPI:
    """Make the app of an opened project.

    Args:
        studio: The project.
        hosts: Names under which the server may be called, "name" or "name:port".
    """
    app = FastAPI(title="Veridical studio", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.studio = studio
    app.state.reports = Reports(studio.database)
    app.state.secret = None  # the project's, read with the first change; it never changes
    add_error_answers(app)
    for router in (access.router, work.router, lead.router):
        app.include_router(router)
    for router in (pages.router, lead_pages.router, _pictures):
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


@_pictures.get("/images/{sha256}")
def picture(sha256: str, _who: SignedIn, studio: StudioOf) -> FileResponse:
    """A picture of the project, for those who are signed in."""
    row = None
    if _SHA256.fullmatch(sha256):
        with studio.database.reading() as connection:
            row = connection.execute(select(image).where(image.c.sha256 == sha256)).first()
    path = studio.folder / "images" / f"{row.sha256}.{row.suffix}" if row is not None else None
    if row is None or path is None or not path.is_file():
        raise Problem(404, "There is no such picture.")
    headers = {
        "cache-control": "private, max-age=31536000, immutable",
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": "inline",
    }
    return FileResponse(path, media_type=SUFFIXES[row.suffix], headers=headers)
