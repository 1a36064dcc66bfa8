"""The pictures of a row, in whatever form they come: bytes, base64, or paths below a folder."""

import base64
import binascii
import re
from pathlib import Path
from typing import TYPE_CHECKING

from veridical.errors import RowError
from veridical.formats.text import first_of
from veridical.records.images import read_image
from veridical.records.texts import MISSING, shown

if TYPE_CHECKING:
    from veridical.formats.format import RowFields


def row_images(row: "RowFields") -> list[object]:
    """The pictures of a row's own fields."""
    found = first_of(row, "images", "image")
    if found is MISSING or found in (None, "", []):
        return []
    return list(found) if isinstance(found, list) else [found]


_OTHER_MEDIA = ("videos", "video", "audios", "audio")
_TALKS = ("messages", "conversations", "prompt", "query", "response", "chosen", "rejected")
_OBJECT_SIGNS = ("<bbox>", "<ref-object>")


def check_media(row: "RowFields") -> None:
    """Refuse a row about something else than text and pictures.

    Raises:
        RowError: It shows a video or plays a sound, or its texts have places for boxes.
    """
    values = row.peek()
    other = next((name for name in _OTHER_MEDIA if values.get(name) not in (None, "", [])), None)
    if other is not None:
        raise RowError(
            f"`{other}` holds a video or a sound, got {shown(values[other])}, and only pictures are"
            " read: without it the answer would be given blind. Leave the row out."
        )
    texts = repr([values.get(name) for name in _TALKS])
    sign = next((sign for sign in _OBJECT_SIGNS if values.get("objects") and sign in texts), None)
    if sign is not None:
        raise RowError(
            f"the texts hold {sign}, a place for what stands in `objects`, which is not read. Write"
            " names and boxes into the texts, or leave the row out."
        )


_BASE64 = re.compile(r"data:[\w.+/-]*(?:;[\w=-]+)*;base64,(?P<data>.*)", re.DOTALL)
"""A picture inside a text, as endpoints and ms-swift take it."""


def from_base64(text: str, *, what: str, remedy: str) -> bytes:
    """The bytes of a text in base64.

    Raises:
        RowError: It is not base64; `what` begins the message and `remedy` ends it.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RowError(f"{what} is not valid base64: {error}. {remedy}") from error


def _picture_from_base64(text: str) -> bytes:
    return from_base64(text, what="the image", remedy="Write it again, or give a file.")


def read_row_image(value: object, *, root: Path) -> bytes:
    """Read the image of a row: bytes, a path, base64 ("data:…"), or {"bytes": …, "path": …}.

    Args:
        value: What the row holds.
        root: Folder that relative paths start from.

    Raises:
        RowError: Nothing, a URL, or a file that cannot be read.
    """
    if isinstance(value, dict):
        data = value.get("bytes")
        value = (
            _picture_from_base64(data)
            if isinstance(data, str) and data
            else data or value.get("path")
        )
    if isinstance(value, bytes) and value:
        return value
    if isinstance(value, str) and value:
        if (data := _BASE64.fullmatch(value)) is not None:
            return _picture_from_base64(data["data"])
        if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:(?://|.*base64)", value):
            raise RowError(
                f"the image is a URL, got {value[:60]!r}; nothing is downloaded. Give a file."
            )
        return read_image(root, value)
    got = "nothing" if value is None or value in ("", b"") else repr(value)[:60]
    raise RowError(
        f"the image is missing: bytes or a path expected, got {got}. Add it or leave the row out."
    )
