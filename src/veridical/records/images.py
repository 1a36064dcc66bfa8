"""Images of foreign data: found in the data set's folder only, bounded in size, decoded once to see they are whole."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from veridical.errors import VeridicalError
from veridical.files import hash_bytes, write_bytes_atomically
from veridical.records import ImageRef

MAX_IMAGE_BYTES = 64 * 2**20
"""Largest image file that is read, in bytes."""
MAX_IMAGE_PIXELS = 2**26
"""Largest image that is decoded, in pixels (8192 × 8192)."""

_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}


class RowFault(VeridicalError, ValueError):  # noqa: N818 (as `errors.Fault`: it is gathered, not shown alone)
    """What is wrong with one row; gathered, with its file and line, by whoever goes through the rows."""

    def __init__(self, *messages: str) -> None:
        self.messages = messages
        super().__init__(" ".join(messages))


@contextmanager
def gather_row_errors(messages: list[str]) -> Iterator[None]:
    """Add what goes wrong in the block to `messages` and go on: one fault of a row must not hide the next."""
    try:
        yield
    except RowFault as error:
        messages += error.messages


def examine_image(data: bytes) -> str:
    """Decode an image wholly and give the file suffix of its format.

    Raises:
        RowFault: Not an image of a known format, truncated, or too large.
    """
    from PIL import Image

    if len(data) > MAX_IMAGE_BYTES:
        raise RowFault(_too_large(len(data)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Image.DecompressionBombWarning
            )  # our own bound is lower
            with Image.open(io.BytesIO(data), formats=tuple(_SUFFIXES)) as image:
                width, height = image.size
                if width * height > MAX_IMAGE_PIXELS:
                    raise Image.DecompressionBombError
                suffix = _SUFFIXES.get(
                    str(image.format), "jpg"
                )  # "MPO" is a JPEG with a second image inside
                image.verify()
            with Image.open(io.BytesIO(data), formats=tuple(_SUFFIXES)) as image:
                image.load()  # `verify` does not see that a JPEG ends too early
    except Image.DecompressionBombError as error:
        raise RowFault(
            f"the image has more than {MAX_IMAGE_PIXELS:,} pixels. Scale it down."
        ) from error
    except Exception as error:  # Pillow's decoders raise whatever they stumble over
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        if "cannot identify image file" in reason:
            reason = "no known image format"
        raise RowFault(
            f"the image cannot be decoded: {reason}, got {len(data):,} bytes that begin"
            f" {data[:8]!r}. Replace the file or leave the row out."
        ) from error
    return suffix


def read_image(root: Path, path: str, *, outside: bool = False) -> bytes:
    """Read an image file that a row names.

    Args:
        root: Folder of the data set, which relative paths start from.
        path: What the row says.
        outside: Accept files outside of `root`.

    Raises:
        RowFault: No path, no such file, a path that leads out of `root`, a file too large.
    """
    if not path:
        raise RowFault(
            "no image is named, got an empty path, and one is needed here. Name it or leave the row"
            " out."
        )
    try:
        file = (root / path).resolve()
        if not outside and not file.is_relative_to(root.resolve()):
            raise RowFault(
                f"the image path {path!r} leads out of the data set's folder `{root}`. "
                "Put images inside it, or name the folder that holds them."
            )
        if not file.is_file():
            raise RowFault(
                f"the image {path!r} is missing in `{root}`. Check the path, or name the images'"
                " folder."
            )
        size = file.stat().st_size
        if size > MAX_IMAGE_BYTES:
            raise RowFault(_too_large(size))
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        if isinstance(error, RowFault):
            raise
        raise RowFault(
            f"the image {path!r} cannot be read: {error}. Check the path and your rights."
        ) from error


def read_row_image(value: object, *, root: Path) -> bytes:
    """Read the image of a row: its bytes, a path, or {"bytes": …, "path": …}.

    Args:
        value: What the row holds.
        root: Folder that relative paths start from.

    Raises:
        RowFault: Nothing, an address on the web, or a file that cannot be read.
    """
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes) and value:
        return value
    if isinstance(value, str) and value:
        if re.match(r"[a-z]+://", value):
            raise RowFault(
                f"the image is an address, got {value[:60]!r}; nothing is downloaded. Give a file."
            )
        return read_image(root, value)
    got = "nothing" if value is None or value in ("", b"") else repr(value)[:60]
    raise RowFault(
        f"the image is missing: bytes or a path expected, got {got}. Add it or leave the row out."
    )


def read_judged_image(ref: ImageRef, *, root: Path, outside: bool = False) -> bytes:
    """Read the image that a record refers to: present, whole, and the very one that the record means.

    Args:
        ref: The image.
        root: Folder of the file that holds the record.
        outside: Accept files outside of `root`.

    Raises:
        RowFault: It is not.
    """
    data = read_image(root, ref.path, outside=outside)
    examine_image(data)
    found = hash_bytes(data)
    if ref.sha256 is not None and ref.sha256 != found:
        raise RowFault(
            f"the image {ref.path!r} is not the one that the record means: sha256 {found[:12]}…, "
            f"{ref.sha256[:12]}… expected. Put the right file back."
        )
    return data


def judged_image_fault(ref: ImageRef, *, root: Path, outside: bool = False) -> str | None:
    """Say what is wrong with the image that a record refers to, see `read_judged_image`; None where all is well."""
    try:
        read_judged_image(ref, root=root, outside=outside)
    except RowFault as fault:
        return str(fault)
    return None


def _too_large(size: int) -> str:
    return (
        f"the image is too large: {size:,} bytes, at most {MAX_IMAGE_BYTES:,} are read. Scale it"
        " down."
    )


class ImageStore:
    """Keeps whole images in a folder under the hash of their bytes; the same image is examined and written once."""

    def __init__(self, folder: Path | None) -> None:
        """Keep images in `folder`; None keeps nothing."""
        self._folder = folder
        self._suffixes: dict[str, str] = {}
        self._faults: dict[str, RowFault] = {}
        self._kept: set[str] = set()
        self._written: list[Path] = []

    def refer(self, data: bytes) -> ImageRef:
        """Examine an image and refer to it, relative to the folder above the store; writes nothing yet.

        Raises:
            RowFault: The image is not whole.
        """
        sha256 = hash_bytes(data)
        if sha256 in self._faults:
            raise self._faults[sha256]
        if sha256 not in self._suffixes:
            try:
                self._suffixes[sha256] = examine_image(data)
            except RowFault as fault:
                self._faults[sha256] = fault
                raise
        folder = self._folder.name if self._folder is not None else "images"
        return ImageRef(path=f"{folder}/{sha256}.{self._suffixes[sha256]}", sha256=sha256)

    def keep(self, ref: ImageRef, data: bytes) -> None:
        """Write an image that `refer` has examined.

        Raises:
            StorageError: The disk refused.
        """
        if ref.path in self._kept:
            return
        self._kept.add(ref.path)
        if self._folder is not None:
            target = self._folder.parent / ref.path
            if not target.exists():
                self._written.append(write_bytes_atomically(target, data))

    def remove_written(self) -> None:
        """Take back what this store wrote, after the import failed."""
        for path in self._written:
            path.unlink(missing_ok=True)
        if self._folder is not None and self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def __len__(self) -> int:
        return len(self._kept)
