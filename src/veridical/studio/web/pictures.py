"""Pictures by the hash of their bytes; no name of a file ever reaches the disk from a request."""

import re

from fastapi import APIRouter
from fastapi.responses import FileResponse
from sqlalchemy import select

from veridical.studio.store.pictures import SUFFIXES
from veridical.studio.store.schema import image
from veridical.studio.web.errors import Problem
from veridical.studio.web.signing import SignedIn, StudioOf

router = APIRouter()
_SHA256 = re.compile(r"[0-9a-f]{64}")


@router.get("/images/{sha256}")
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
