"""The images of many rows: each is decoded once, and kept under the hash of its bytes."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from veridical.errors import RowError
from veridical.files import hash_bytes, write_bytes_atomically
from veridical.records.images import decode_image, recorded_image_fault
from veridical.records.prompts import ImageRef


class ImageStore:
    """Keeps whole images under the hash of their bytes; each is decoded and written once."""

    def __init__(self, folder: Path | None) -> None:
        """Keep images in `folder`; None keeps nothing."""
        self._folder = folder
        self._suffixes: dict[str, str] = {}
        self._faults: dict[str, RowError] = {}
        self._kept: set[str] = set()
        self._written: list[Path] = []
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
                decoded = decode_image(data)
            except RowError as fault:
                self._faults[sha256] = fault
                raise
            self._suffixes[sha256] = decoded.suffix
            if decoded.note is not None:
                self.notes[decoded.note] += 1
        folder = self._folder.name if self._folder is not None else "images"
        return ImageRef(path=f"{folder}/{sha256}.{self._suffixes[sha256]}", sha256=sha256)

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
                self._written.append(write_bytes_atomically(target, data))

    def keep_all(self, images: Iterable[tuple[ImageRef, bytes]]) -> None:
        """Write all images of a row, see `keep`."""
        for ref, data in images:
            self.keep(ref, data)

    def remove_written(self) -> None:
        """Take back what this store wrote, after the import failed."""
        for path in self._written:
            path.unlink(missing_ok=True)
        if self._folder is not None and self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def __len__(self) -> int:
        return len(self._kept)


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
