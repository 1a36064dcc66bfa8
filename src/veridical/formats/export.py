"""One export under way: records, the file and images, and what the format cannot hold."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from veridical.errors import DataError, Fault, RowError
from veridical.files import JsonObject, write_bytes_atomically, write_text_atomically
from veridical.progress import counted, log, track
from veridical.records import Asked, Conversation, ImageRef, Pair
from veridical.records.folders import Contents
from veridical.records.images import plain_image

T = TypeVar("T")

_SHOWN = 3


class Export:
    """One export under way: the records, the file to write, and what the format cannot hold."""

    def __init__(
        self,
        contents: Contents,
        out: Path,
        *,
        root: Path,
        pairs: Sequence[Pair] = (),
        skip_bad: bool = False,
    ) -> None:
        """Set it up.

        Args:
            contents: The records.
            out: The file to write; images go into `images/` next to it, if it names files.
            root: Folder that relative image paths of the records start from.
            pairs: Preference pairs made of the judgements among the records.
            skip_bad: Leave out what the format cannot say.
        """
        self.contents = contents
        self.pairs = pairs
        self.out = out
        self.faults: list[Fault] = []
        self.written: list[Path] = []
        self._root = root
        self._skip_bad = skip_bad
        self._good = 0
        self._path_of_name: dict[str, str] = {}
        self._name_of_image: dict[str, str] = {}

    def each(self, items: Sequence[T]) -> Iterator[T]:
        """Go through records while showing how far the work has come."""
        return track(items, label=f"Writing {self.out.name}")

    @contextmanager
    def row(self, record_id: str) -> Iterator[None]:
        """Note a RowError of the block as a fault of the record, and continue with the next."""
        try:
            yield
            self._good += 1
        except RowError as error:
            self.faults.append(Fault(self._root, None, f"row {record_id!r}: {error}"))

    def only_image(self, record: Asked | Conversation) -> ImageRef:
        """The one image that a record is about.

        Raises:
            RowError: It is about none or several, which the format cannot say.
        """
        if len(record.images) != 1:
            raise RowError(
                f"it is about {len(record.images)} images, and a row of the format shows one. Leave"
                " it out, or write another format."
            )
        return record.images[0]

    def image_bytes(self, ref: ImageRef) -> bytes:
        """The image as every reader shows it.

        Raises:
            RowError: It cannot be read.
        """
        return plain_image(ref, root=self._root).data

    def copy_image(self, ref: ImageRef, name: str | None = None) -> str:
        """Copy an image into `images/` next to the file, and return the name it has there.

        Args:
            ref: The image.
            name: The name that it must have; None: that of its file, made unique.

        Raises:
            RowError: It cannot be read, the name leads elsewhere, or another image has the name.
        """
        key = ref.sha256 or ref.path
        if name is None and key in self._name_of_image:
            return self._name_of_image[key]
        data = self.image_bytes(ref)
        folder = self.out.parent / "images"
        chosen = name or Path(ref.path).name
        if name is None and self._path_of_name.get(chosen, key) != key:
            chosen = f"{Path(chosen).stem}-{len(self._path_of_name)}{Path(chosen).suffix}"
        target = (folder / chosen).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise RowError(f"the image's name {chosen!r} leads out of `{folder}`. Rename it.")
        if self._path_of_name.setdefault(chosen, key) != key:
            raise RowError(f"two different images have the name {chosen!r}. Rename one.")
        if not target.exists() or target.read_bytes() != data:
            new = not target.exists()
            write_bytes_atomically(target, data)
            self.written += [target] if new else []
        self._name_of_image[key] = chosen
        return chosen

    def refuse_faults(self) -> None:
        """Raise the faults unless they may be left out and something is left.

        Raises:
            DataError: All faults.
        """
        if not self._good and not self.faults:
            self.faults.append(Fault(self._root, None, "no record to write. Give another folder."))
        if self.faults and not (self._skip_bad and self._good):
            raise DataError(self.faults, advice="Fix them, or leave them out with --skip-bad.")
        if self.faults:
            examples = "; ".join(fault.message for fault in self.faults[:_SHOWN])
            log(f"{counted(len(self.faults), 'record')} left out of {self.out}: {examples}")

    def write_rows(self, rows: Iterable[JsonObject], *, lines: bool = False) -> None:
        """Write rows as a JSON array or, with `lines`, as one JSON object per line.

        Raises:
            DataError: Faults gathered while the rows were made.
        """
        found = list(rows)
        self.refuse_faults()
        if lines:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
        else:
            text = json.dumps(found, ensure_ascii=False, indent=1) + "\n"
        write_text_atomically(self.out, text)

    def remove_written(self) -> None:
        """Remove the images that this export wrote, after it failed."""
        for path in self.written:
            path.unlink(missing_ok=True)
