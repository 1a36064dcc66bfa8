"""Pictures: found in the data's folder only, bounded in size, whole; nothing else reads them."""

import io
from pathlib import Path
from typing import NamedTuple

from veridical.errors import DataError, Fault, RowError
from veridical.records.images import decode_image, read_image

SUFFIXES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
}
"""What browsers show, with its media type."""


class Examined(NamedTuple):
    """What a picture is."""

    suffix: str
    """By its content, not by its name."""
    width: int
    """In pixels, as stored."""
    height: int
    """In pixels, as stored."""


def examine_picture(data: bytes, *, where: Fault | None = None) -> Examined:
    """Decode a picture wholly and say what it is.

    Raises:
        DataError: It is not one that a browser shows, is truncated or too large.
    """
    from PIL import Image

    try:
        suffix = decode_image(data).suffix
        if suffix not in SUFFIXES:
            raise RowError(f"browsers do not show .{suffix} pictures. Convert it to PNG or JPEG.")
    except RowError as fault:
        place = where or Fault(Path("picture"), None, "")
        raise DataError([place._replace(message=str(fault))]) from fault
    with Image.open(io.BytesIO(data)) as opened:
        return Examined(suffix, *opened.size)


def find_picture(root: Path, path: str, *, outside: bool) -> bytes:
    """Read a picture that a row names; a path or link that leads out of `root` is refused.

    Raises:
        RowError: No path, no such file, outside of `root`, too large.
    """
    if "://" in path:
        raise RowError(f"the image is an address, got {path[:60]!r}; nothing is downloaded.")
    return read_image(root, path, outside=outside)


__all__ = ["SUFFIXES", "Examined", "RowError", "examine_picture", "find_picture"]
