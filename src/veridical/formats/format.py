"""What a public format is: a value that says how its rows are read, recognised and written.

A format is one file of this package (or of another, by entry point) that ends with a `Format`; one
line in `registry` makes it known to every verb.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from veridical.errors import DataError, Fault, RowError, gather_row_errors
from veridical.files import hash_bytes, quarantine_rows
from veridical.formats.export import Export
from veridical.formats.sources import Row, SourceRow, table_rows
from veridical.formats.sources.row_images import read_row_image
from veridical.records import ImageRef, Source
from veridical.records.folders import Contents
from veridical.records.image_store import ImageStore


class Sample(NamedTuple):
    """The beginning of a file, from which formats are recognised."""

    path: Path
    """The file or folder."""
    head: bytes
    """Its first bytes; empty for a folder."""
    keys: Set[str]
    """Names of the fields of one row; empty where there are no rows."""


class GoodRow(NamedTuple):
    """A row with the records made of it."""

    file: Path
    """The file."""
    line: int | None
    """Line or number of the row, from 1."""
    raw: str
    """The row for people to look at; empty where nothing can be found wrong with it later."""
    contents: Contents
    """Its records."""


class BadRow(NamedTuple):
    """A row with what is wrong with it."""

    file: Path
    """The file."""
    line: int | None
    """Line or number of the row, from 1; None when the whole file is at fault."""
    raw: str
    """The row for people to look at."""
    messages: tuple[str, ...]
    """What is wrong."""


class RowFields(Mapping[str, Any]):
    """The fields of a row; notes which were read, so that the rest can be listed as not kept."""

    def __init__(self, values: Row) -> None:
        self._values = values
        self._read: set[str] = set()
        self._inside: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        self._read.add(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._values  # looking is not reading

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def peek(self) -> Row:
        """The fields without noting that they were read."""
        return self._values

    def skip(self, *names: str) -> None:
        """Note fields that repeat what other fields say."""
        self._read.update(names)

    def miss(self, name: str) -> None:
        """Note something inside a field that is not read, for instance "messages[].loss"."""
        self._inside.add(name)

    @property
    def unread(self) -> list[str]:
        """Fields with a value that were never read, and what is not read inside of others."""
        filled = (name for name, value in self._values.items() if value not in (None, "", [], {}))
        return [*(name for name in filled if name not in self._read), *sorted(self._inside)]


class RowReader:
    """Helps a format with one row: ids, images, and faults, which are gathered."""

    def __init__(
        self,
        row: SourceRow,
        *,
        judged_by: Source,
        overrule: bool = False,
        store: ImageStore | None = None,
        images_root: Path | None = None,
        counts: Counter[str] | None = None,
    ) -> None:
        """Set it up for a row.

        Args:
            row: The row.
            judged_by: Who judged, unless the row itself says so.
            overrule: `judged_by` wins over what the row says.
            store: Where images go; None: they are not even looked at.
            images_root: Folder that image paths start from; None: that of the row's file.
            counts: How often each id was seen, where ids may repeat.
        """
        self.row = row
        self.judged_by: Source = judged_by
        self.overrule = overrule
        self.faults: list[str] = []
        self.images: list[tuple[ImageRef, bytes]] = []
        self._paths: list[tuple[str, ImageRef, bool]] = []
        self.left_out: Counter[str] = Counter()
        """What a good row holds that no record is made of, by reason."""
        self.images_root = images_root or row.file.parent
        """Folder that image paths start from."""
        self._store = store
        self._counts = counts

    def id(self, value: object) -> str:
        """The id of the row, made of its place where it has none.

        Where ids may repeat, later rows of the same id get a number, for instance "7#2".
        """
        if value is None:
            value = f"{self.row.file.stem}-{self.row.line}"
        if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
            self.faults.append(f"the id must be a number or a text, got {value!r}. Fix the row.")
            return "?"
        name = str(value)
        if self._counts is None:
            return name
        self._counts[name] += 1
        return name if self._counts[name] == 1 else f"{name}#{self._counts[name]}"

    def image(self, value: object) -> ImageRef:
        """Read the image of the row: bytes, a path, or {"bytes": …, "path": …}."""
        if self._store is None:
            return _unread_image(value)
        path = value.get("path") if isinstance(value, Mapping) and not value.get("bytes") else value
        if (
            isinstance(path, str)
            and (known := self._store.known(self.images_root, path)) is not None
        ):
            return known
        with gather_row_errors(self.faults):
            data = read_row_image(value, root=self.images_root)
            ref = self._store.refer(data)
            self.images.append((ref, data))
            named = value.get("path") if isinstance(value, Mapping) else value
            if isinstance(named, str):
                self._paths.append((named, ref, isinstance(path, str)))
            return ref
        return ImageRef(path="missing")  # read on, so that all faults of the row are found

    def keep_images(self) -> None:
        """Write the images of the row, which was found good."""
        if self._store is not None:
            self._store.keep_all(self.images)
            for path, ref, is_file in self._paths:
                self._store.names.setdefault(ref.path, path)
                if is_file:
                    self._store.note_path(self.images_root, path, ref)

    def leave_out(self, reason: str, *, count: int = 1) -> None:
        """Count what no record is made of although nothing is wrong with it."""
        self.left_out[reason] += count

    def check(self, *faults: str | None) -> None:
        """Note faults; None is none."""
        self.faults += [fault for fault in faults if fault is not None]

    def stop_on_faults(self) -> None:
        """Raise the faults found so far, before records are made of what is wrong.

        Raises:
            RowError: There are some.
        """
        if self.faults:
            found, self.faults = self.faults, []
            raise RowError(*found)


def _unread_image(value: object) -> ImageRef:
    path = value
    if isinstance(value, Mapping):
        path = value.get("path")
        value = value.get("bytes")
    if isinstance(value, bytes) and value:
        return ImageRef(path=str(path or "image"), sha256=hash_bytes(value))
    return ImageRef(path=str(path))


@dataclass(frozen=True, kw_only=True)
class Format:
    """A public data format."""

    describes: str
    """What it is, a few words."""
    rows: Callable[[Path], Iterator[SourceRow]] = table_rows
    """Goes through the rows of a file or folder."""
    read: Callable[[RowFields, RowReader], Contents] | None = None
    """Makes records of a row, or raises RowError; None: the format is only written."""
    detects: Callable[[Sample], bool] | None = None
    """Whether a file is of this format; None: it is never recognised, only named."""
    judged_by: Source | None = None
    """Who judged; None where the format does not say."""
    takes_facts: bool = False
    """Whether its rows can be joined with a facts file."""
    ids_repeat: bool = False
    """Whether several rows may have one id, as LLaVA's, which are those of images."""
    write: Callable[[Export], None] | None = None
    """Writes records; None: the format is only read."""
    suffix: str = ""
    """How the name of a written file ends, for instance ".parquet"."""
    writes_pairs: bool = False
    """Whether it is written from preference pairs, whichever judgements they come from."""
    cannot_hold: tuple[str, ...] = ()
    """What of our records is lost in a written file."""


def note_repeated_row(row: SourceRow, seen: dict[str, str]) -> None:
    """Remember a row by its content.

    Raises:
        RowError: The same row was seen before.
    """
    text = json.dumps(row.values, sort_keys=True, default=repr).encode("utf-8", "surrogatepass")
    first = seen.setdefault(hash_bytes(text), str(row.line))
    if first != str(row.line):
        raise RowError(f"the row repeats row {first}. Leave it out.")


def note_ids(contents: Contents, row: SourceRow, seen: dict[str, str]) -> None:
    """Remember the ids of a row's records with its place.

    Raises:
        RowError: One of them was seen before.
    """
    place = f"{row.file.name}:{row.line}"
    ids = [row.id for row in contents.corrections] + [row.id for row in contents.comparisons]
    for name in ids + [row.id for row in contents.conversations]:
        if seen.setdefault(name, place) != place:
            raise RowError(f"the id {name!r} stands in {seen[name]} already. Make ids unique.")


def faults_of_bad_rows(bad: list[BadRow]) -> list[Fault]:
    """What is wrong with rows, in the order of their files and lines."""
    ordered = sorted(bad, key=lambda row: (str(row.file), row.line or 0))
    return [Fault(row.file, row.line, message) for row in ordered for message in row.messages]


def quarantine_bad_rows(bad: list[BadRow], folder: Path) -> None:
    """Write bad rows into `NAME.bad.jsonl` in a folder, one file per file that they come from."""
    by_file: dict[Path, dict[int, tuple[str, list[str]]]] = {}
    for row in bad:
        by_line = by_file.setdefault(row.file, {})
        by_line.setdefault(row.line or 0, (row.raw, []))[1].extend(row.messages)
    for file, found in by_file.items():
        lines = [(line, raw, " ".join(messages)) for line, (raw, messages) in sorted(found.items())]
        quarantine_rows(file, lines, to=folder / f"{file.stem}.bad.jsonl")


def reject_bad_rows(
    bad: list[BadRow], source: Path, *, skip_bad: bool = False, nothing: bool = False
) -> None:
    """Raise what is wrong with rows, unless they are to be skipped.

    Raises:
        DataError: There are bad rows, a whole file is bad, or there is `nothing` else.
    """
    if bad and not (skip_bad and all(row.line is not None for row in bad)):
        raise DataError(
            faults_of_bad_rows(bad), advice="Fix these rows, or leave them out with --skip-bad."
        )
    if nothing:
        raise DataError(
            [*faults_of_bad_rows(bad), Fault(source, None, "no usable row. Give another file.")]
        )
