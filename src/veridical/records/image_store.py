"""The images of many rows: each is decoded once, and kept under the hash of its bytes."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from veridical.errors import RowError
from veridical.files import atomic_path, hash_bytes
from veridical.records.images import (
    MAX_IMAGE_BYTES,
    decode_image,
    open_image,
    recorded_image_fault,
)
from veridical.records.prompts import ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image

_FIRST_BYTES = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\x00": "tif",
    b"MM\x00*": "tif",
}
"""How image files begin, and the suffix of their names."""


class ImageStore:
    """Keeps whole images under the hash of their bytes; each is decoded and written once."""

    def __init__(self, folder: Path | None, *, decode: bool = True) -> None:
        """Set it up.

        Args:
            folder: Where images are kept; None keeps nothing.
            decode: Look at every image whole; otherwise its first bytes are trusted.
        """
        self._folder = folder
        self._decode = decode
        self._known: dict[tuple[Path, str], ImageRef] = {}
        self._suffixes: dict[str, str] = {}
        self._faults: dict[str, RowError] = {}
        self._kept: set[str] = set()
        self._written: list[Path] = []
        self.names: dict[str, str] = {}
        """How kept images were called, by the paths they have now."""
        self.notes: Counter[str] = Counter()
        """What of the files is not in the pictures, and of how many."""

    def refer(self, data: bytes) -> ImageRef:
        """Decode an image and refer to it, relative to the store's parent; writes nothing yet.

        Raises:
            RowError: The image is not whole.
        """
        sha256 = hash_bytes(data)
        if sha256 in self._faults:
            raise self._faults[sha256]
        if sha256 not in self._suffixes:
            try:
                self._suffixes[sha256] = self._suffix(data)
            except RowError as fault:
                self._faults[sha256] = fault
                raise
        folder = self._folder.name if self._folder is not None else "images"
        return ImageRef(path=f"{folder}/{sha256}.{self._suffixes[sha256]}", sha256=sha256)

    def _suffix(self, data: bytes) -> str:
        if not self._decode:
            return _suffix_by_first_bytes(data)
        decoded = decode_image(data)
        if decoded.note is not None:
            self.notes[decoded.note] += 1
        return decoded.suffix

    def known(self, root: Path, path: str) -> ImageRef | None:
        """The image that a path names, where a row before has named it and it was kept."""
        return self._known.get((root, path))

    def note_path(self, root: Path, path: str, ref: ImageRef) -> None:
        """Remember which image a path names, so that its file is read once."""
        if ref.path in self._kept:
            self._known[root, path] = ref

    def keep(self, ref: ImageRef, data: bytes) -> None:
        """Write an image that `refer` has decoded.

        Raises:
            StorageError: The disk refused.
        """
        if ref.path in self._kept:
            return
        self._kept.add(ref.path)
        if self._folder is not None:
            target = self._folder.parent / ref.path
            if not target.exists():
                with atomic_path(target, wait=False) as temporary:
                    temporary.write_bytes(data)
                self._written.append(target)

    def keep_all(self, images: Iterable[tuple[ImageRef, bytes]]) -> None:
        """Write all images of a row, see `keep`."""
        for ref, data in images:
            self.keep(ref, data)

    def wait_for_disk(self) -> None:
        """Wait until all that was kept is on the disk."""
        if self._written:
            os.sync()

    def remove_written(self) -> None:
        """Take back what this store wrote, after the import failed."""
        for path in self._written:
            path.unlink(missing_ok=True)
        if self._folder is not None and self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def __len__(self) -> int:
        return len(self._kept)


def _suffix_by_first_bytes(data: bytes) -> str:
    if len(data) > MAX_IMAGE_BYTES:
        return decode_image(data).suffix  # says that it is too large
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    for first, suffix in _FIRST_BYTES.items():
        if data.startswith(first):
            return suffix
    raise RowError(
        f"no known image format, got {len(data):,} bytes that begin {data[:8]!r}. Replace the file"
        " or leave the row out."
    )


def open_images(refs: Sequence[ImageRef]) -> list["Image"]:
    """Open the images of a record whose paths are absolute, wherever they lie; see `open_image`."""
    return [open_image(ref, root=Path(ref.path).parent) for ref in refs]


class ImageChecks:
    """Looks at each image that records refer to once."""

    def __init__(self, root: Path, *, outside: bool) -> None:
        """Look for images in `root`, or, with `outside`, anywhere."""
        self._root, self._outside = root, outside
        self._known: dict[tuple[str, str | None], str | None] = {}

    def fault(self, image: ImageRef) -> str | None:
        """What is wrong with an image; None where nothing is."""
        key = (image.path, image.sha256)
        if key not in self._known:
            self._known[key] = recorded_image_fault(image, root=self._root, outside=self._outside)
        return self._known[key]
