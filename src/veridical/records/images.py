"""Every picture passes through here: found in its folder, bounded, decoded whole, made RGB.

The one rule for training, generation, export and endpoints (`decode_image`):

- EXIF orientation is applied; transparency is laid on white; palettes, grey and CMYK become RGB.
- 16-bit grey is divided by 257, so that 65,535 is white. Floats in [0, 1] are multiplied by 255,
  those in [0, 255] are kept; any other range of floats or wide integers is stretched to [0, 255].
- Of an animation or a file of several pages the first frame counts, and a note says so.
"""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from veridical.errors import RowError
from veridical.files import hash_bytes
from veridical.records.prompts import ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_IMAGE_BYTES = 64 * 2**20
"""Largest image file that is read, in bytes."""
MAX_IMAGE_PIXELS = 2**26
"""Largest image that is decoded, in pixels (8192 × 8192)."""
MAX_ASPECT_RATIO = 200
"""Longest side over shortest; Qwen-VL's processors refuse more, others see a line."""

_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
_EVERYWHERE = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}
_ORIENTATION = 0x0112


class DecodedImage(NamedTuple):
    """A picture as models see it."""

    image: "Image"
    """RGB, upright."""
    suffix: str
    """File suffix of the format it was stored in."""
    note: str | None
    """What of the file is not in the picture, or None."""
    plain: str | None
    """MIME type where any reader sees the file as we do; None where it had to be converted."""


class PlainImage(NamedTuple):
    """A picture as a file that every reader shows alike."""

    data: bytes
    """The bytes: those of the file where it is plain, else a PNG."""
    mime: str
    """MIME type, e.g. "image/png"."""


def decode_image(data: bytes) -> DecodedImage:
    """Decode a picture wholly; see the rule above.

    Raises:
        RowError: Not an image of a known format, truncated, too large, too narrow, or in colours
            that cannot be shown as RGB.
    """
    from PIL import Image

    if len(data) > MAX_IMAGE_BYTES:
        raise RowError(_too_large(len(data)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own bounds are lower, our notes say the rest
            return _decode(data)
    except RowError:
        raise
    except Image.DecompressionBombError as error:
        raise RowError(_too_many_pixels()) from error
    except Exception as error:  # Pillow's decoders raise whatever they stumble over
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        if "cannot identify image file" in reason:
            reason = "no known image format"
        raise RowError(
            f"the image cannot be decoded: {reason}, got {len(data):,} bytes that begin"
            f" {data[:8]!r}. Replace the file or leave the row out."
        ) from error


def _decode(data: bytes) -> DecodedImage:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=tuple(_SUFFIXES)) as image:
        _check_size(*image.size)
        image.verify()
    with Image.open(io.BytesIO(data), formats=tuple(_SUFFIXES)) as image:
        image.load()  # `verify` does not see that a JPEG ends too early
        suffix = _SUFFIXES.get(str(image.format), "jpg")  # "MPO": a JPEG with a second image
        note = _frames_note(image)
        plain = _plain_type(image) if note is None else None
        return DecodedImage(_to_rgb(image), suffix, note, plain)


def read_image(root: Path, path: str, *, outside: bool = False) -> bytes:
    """Read an image file that a row names.

    Args:
        root: Folder of the dataset, which relative paths start from.
        path: What the row says.
        outside: Accept files outside of `root`.

    Raises:
        RowError: No path, no such file, a path that leads out of `root`, a file too large.
    """
    if not path:
        raise RowError(
            "no image is named, got an empty path, and one is needed here. Name it or leave the row"
            " out."
        )
    try:
        file = (root / path).resolve()
        if not outside and not file.is_relative_to(root.resolve()):
            raise RowError(
                f"the image path {path!r} leads out of the dataset's folder `{root}`. "
                "Put images inside it, or name the folder that holds them."
            )
        if not file.is_file():
            raise RowError(
                f"the image {path!r} is missing in `{root}`. Check the path, or name the images'"
                " folder."
            )
        size = file.stat().st_size
        if size > MAX_IMAGE_BYTES:
            raise RowError(_too_large(size))
        return file.read_bytes()
    except RowError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a zero byte in the path; a link loop
        raise RowError(
            f"the image {path!r} cannot be read: {error}. Check the path and your permissions."
        ) from error


def read_recorded_image(ref: ImageRef, *, root: Path, outside: bool = False) -> bytes:
    """Read the image file that a record refers to: present, whole, and the very one that is meant.

    Args:
        ref: The image.
        root: Folder of the file that holds the record.
        outside: Accept files outside of `root`.

    Raises:
        RowError: It is not.
    """
    return _read_and_decode(ref, root=root, outside=outside)[0]


def recorded_image_fault(ref: ImageRef, *, root: Path, outside: bool = False) -> str | None:
    """Say what is wrong with the image of a record; None where `read_recorded_image` succeeds."""
    try:
        read_recorded_image(ref, root=root, outside=outside)
    except RowError as error:
        return str(error)
    return None


def open_image(ref: ImageRef, *, root: Path, outside: bool = False) -> "Image":
    """Open the image that a record refers to, upright and in RGB; see the rule above.

    Args:
        ref: The image.
        root: Folder of the file that holds the record; relative paths start there.
        outside: Accept an image outside of `root`.

    Raises:
        RowError: It is missing, broken, too large, outside of `root`, or not the one that is meant.
    """
    return _read_and_decode(ref, root=root, outside=outside)[1].image


def plain_image(ref: ImageRef, *, root: Path, outside: bool = False) -> PlainImage:
    """Read an image for readers that know no rule of ours: an endpoint, another trainer.

    Args:
        ref: The image.
        root: Folder of the file that holds the record.
        outside: Accept an image outside of `root`.

    Returns:
        The file's own bytes where any reader sees the picture that `open_image` gives, else that
        picture as PNG. It raises what `open_image` does.
    """
    data, decoded = _read_and_decode(ref, root=root, outside=outside)
    if decoded.plain is not None:
        return PlainImage(data, decoded.plain)
    file = io.BytesIO()
    decoded.image.save(file, "PNG")
    return PlainImage(file.getvalue(), "image/png")


def _read_and_decode(ref: ImageRef, *, root: Path, outside: bool) -> tuple[bytes, DecodedImage]:
    data = read_image(root, ref.path, outside=outside)
    decoded = decode_image(data)
    found = hash_bytes(data)
    if ref.sha256 is not None and ref.sha256 != found:
        raise RowError(
            f"the image {ref.path!r} is not the one that the record means: sha256 {found[:12]}…, "
            f"{ref.sha256[:12]}… expected. Put the right file back."
        )
    return data, decoded


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_IMAGE_PIXELS:
        raise RowError(_too_many_pixels())
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise RowError(
            f"the image is {width} × {height} pixels: one side may be at most {MAX_ASPECT_RATIO}"
            " times the other. Crop it or leave the row out."
        )


def _frames_note(image: "Image") -> str | None:
    count = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
    return f"the file holds {count} frames; the first is read" if count > 1 else None


def _plain_type(image: "Image") -> str | None:
    mime = _EVERYWHERE.get(str(image.format))
    upright = image.getexif().get(_ORIENTATION) in (None, 0, 1)
    opaque = image.mode in ("RGB", "L") and "transparency" not in image.info
    return f"image/{mime}" if mime is not None and upright and opaque else None


def _to_rgb(image: "Image") -> "Image":
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _scaled(upright).convert("RGB")
    if upright.has_transparency_data:
        seen = upright.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return upright.convert("RGB")


def _scaled(image: "Image") -> "Image":
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I;16"):
        grey = np.asarray(image.convert("I"), dtype=np.float64) / 257
    else:
        grey = np.asarray(image, dtype=np.float64)
        if not np.isfinite(grey).all():
            raise RowError("the image holds values that are not numbers. Replace the file.")
        low, high = float(grey.min()), float(grey.max())
        if image.mode == "I" and low >= 0 and 255 < high <= 65535:
            grey = grey / 257
        elif low < 0 or high > 255:
            grey = (grey - low) / max(high - low, 1e-12) * 255
        elif image.mode == "F" and high <= 1:
            grey = grey * 255
    return Image.fromarray(np.rint(grey).astype(np.uint8))


def _too_large(size: int) -> str:
    return (
        f"the image is too large: {size:,} bytes, at most {MAX_IMAGE_BYTES:,} are read. Scale it"
        " down."
    )


def _too_many_pixels() -> str:
    return f"the image has more than {MAX_IMAGE_PIXELS:,} pixels. Scale it down."
