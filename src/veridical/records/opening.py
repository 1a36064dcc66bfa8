"""Open the image that a record refers to: whole, the one that is meant, upright, in RGB."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from veridical.records import ImageRef
from veridical.records.images import read_judged_image

if TYPE_CHECKING:
    from PIL.Image import Image


def open_image(ref: ImageRef, *, root: Path, outside: bool = False) -> "Image":
    """Read an image wholly.

    Args:
        ref: The image.
        root: Folder of the file that holds the record; relative paths start there.
        outside: Accept an image outside of `root`.

    Raises:
        RowFault: It is missing, broken, too large, outside of `root`, or not the one that the
            record means.
    """
    from PIL import Image, ImageOps

    data = read_judged_image(ref, root=root, outside=outside)
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")
