"""Public data in: the one engine that all formats are read by.

An import writes a folder of records and `images/` (files named by the sha256 of their bytes). Rows
are read one at a time, each whole with its own image and facts, so that nothing shifts when rows
are left out; only texts stay in memory. All faults are gathered before anything is raised, and then
nothing is left behind. What a row has and a record cannot hold is listed, never dropped in silence.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from veridical.errors import ConfigError, DataError, Fault, RowError
from veridical.formats.format import (
    BadRow,
    Format,
    GoodRow,
    RowFields,
    RowReader,
    faults_of_bad_rows,
    note_ids,
    note_repeated_row,
    quarantine_bad_rows,
    reject_bad_rows,
)
from veridical.formats.joining import FactsFile, join_facts, read_facts_file
from veridical.formats.registry import find_format
from veridical.formats.sources import Row, SourceRow, show_row
from veridical.progress import log, track
from veridical.records import Facts, Source
from veridical.records.folders import Contents, join_contents, remove_other_files, write_contents
from veridical.records.image_store import ImageStore
from veridical.records.storage import describe_validation


class Imported(NamedTuple):
    """What an import did."""

    path: Path
    """The folder."""
    counts: dict[str, int]
    """How many records of each kind it holds, and how many images."""
    bad_rows: int
    """How many rows were left out (only with `skip_bad`)."""
    not_kept: dict[str, int]
    """Fields of the rows that records have no place for, with the number of rows that had them."""


class _Read(NamedTuple):
    good: list[GoodRow]
    facts: list[Facts]
    bad: list[BadRow]
    not_kept: Counter[str]

    def contents(self) -> Contents:
        found = join_contents([row.contents for row in self.good])
        return found._replace(facts=tuple(self.facts))


class _Reading(NamedTuple):
    """How a source is read."""

    form: Format
    """Its format."""
    source: Path
    """The file or folder."""
    store: ImageStore | None
    """Where images go; None: they are not looked at."""
    known: FactsFile | None
    """Facts to join, if any."""
    judged_by: Source | None
    """Who judged, where that is said from outside."""
    images_root: Path | None
    """Folder that image paths start from."""
    not_kept: Counter[str]
    """Gets the fields that no record has a place for."""


def import_dataset(
    source: Path | str,
    out: Path | str,
    *,
    format_name: str,
    facts: Path | None = None,
    judged_by: Source | None = None,
    images_root: Path | None = None,
    skip_bad: bool = False,
) -> Imported:
    """Turn a public data set into a folder of records with their images.

    Args:
        source: The file, or a folder of Parquet files.
        out: Folder to write into; an earlier import there is replaced.
        format_name: Name of the format.
        facts: Captions and rationales by image, for formats that take them; every row then needs
            facts.
        judged_by: Who judged; needed where the format does not say.
        images_root: Folder of the images, where that is not the folder of the source.
        skip_bad: Leave bad rows out, keep them in `NAME.bad.jsonl` in `out`, and count them.

    Raises:
        ConfigError: No such format, facts for a format that takes none, or unknown who judged.
        DataError: All faults of source and facts, each with file and row.
        StorageError: The disk refused.
    """
    form = find_format(format_name)
    if (judged_by or form.judged_by) is None:
        raise ConfigError(
            f"The format {format_name!r} does not say who judged. Say it: --source human, model or"
            " simulated."
        )
    return _import(
        form,
        Path(source),
        Path(out),
        facts=facts,
        judged_by=judged_by,
        images_root=images_root,
        skip_bad=skip_bad,
    )


def import_rows(rows: Iterable[Row], out: Path | str, *, judged_by: Source) -> Imported:
    """Turn rows in memory into a folder of records with their images.

    Args:
        rows: Chat rows, see `veridical.formats.chat`; images are bytes.
        out: Folder to write into; an earlier import there is replaced.
        judged_by: Who judged, or wrote the answers.

    Raises:
        DataError: All faults, each with the number of its row.
        StorageError: The disk refused.
    """
    place = Path("data")
    numbered = (SourceRow(place, number, values) for number, values in enumerate(rows, start=1))
    form = replace(find_format("chat"), rows=lambda _: numbered)
    return _import(form, place, Path(out), judged_by=judged_by)


def _import(
    form: Format,
    source: Path,
    out: Path,
    *,
    facts: Path | None = None,
    judged_by: Source | None = None,
    images_root: Path | None = None,
    skip_bad: bool = False,
) -> Imported:
    store = ImageStore(out / "images")
    try:
        read = _read(source, form, store, facts=facts, judged_by=judged_by, images_root=images_root)
        contents = read.contents()
        reject_bad_rows(read.bad, source, skip_bad=skip_bad, nothing=not any(contents))
        write_contents(out, contents)
        if any(contents[:-1]):  # facts alone join what is there
            remove_other_files(out, contents)
    except BaseException:  # an interrupted import leaves nothing behind, either
        store.remove_written()
        raise
    quarantine_bad_rows(read.bad, out)
    _log_losses(read.not_kept, store)
    images = {"images": len(store)} if len(store) else {}
    return Imported(out, contents.counts | images, len(read.bad), dict(read.not_kept))


def check_data(
    source: Path | str,
    *,
    format_name: str,
    facts: Path | None = None,
    images_root: Path | None = None,
) -> list[Fault]:
    """Find everything that an import of a data set would find wrong; writes nothing."""
    store = ImageStore(None)
    form = find_format(format_name)
    read = _read(Path(source), form, store, facts=facts, images_root=images_root)
    _log_losses(read.not_kept, store)
    return faults_of_bad_rows(read.bad)


def read_data(source: Path | str, *, format_name: str, facts: Path | None = None) -> Contents:
    """The usable records of a data set, without writing anything and without looking at images."""
    return _read(Path(source), find_format(format_name), None, facts=facts).contents()


def quarantine_data(
    source: Path | str,
    *,
    format_name: str,
    facts: Path | None = None,
    images_root: Path | None = None,
) -> int:
    """Write the bad rows of a data set into `NAME.bad.jsonl` next to it, and count the good ones.

    Raises:
        DataError: A whole file cannot be read.
    """
    source = Path(source)
    form = find_format(format_name)
    read = _read(source, form, ImageStore(None), facts=facts, images_root=images_root)
    whole = [row for row in read.bad if row.line is None]
    if whole:
        raise DataError(faults_of_bad_rows(whole))
    quarantine_bad_rows(read.bad, source.parent)
    return len(read.good)


def _read(
    source: Path,
    form: Format,
    store: ImageStore | None,
    *,
    facts: Path | None = None,
    judged_by: Source | None = None,
    images_root: Path | None = None,
) -> _Read:
    if form.read is None:
        raise ConfigError(f"{form.describes} is only written. Name another format.")
    if facts is not None and not form.takes_facts:
        raise ConfigError(f"{form.describes} takes no facts. Leave --facts out.")
    known = read_facts_file(facts) if facts is not None else None
    reading = _Reading(form, source, store, known, judged_by, images_root, Counter())
    good: list[GoodRow] = []
    bad: list[BadRow] = []
    for row in _rows(reading):
        if isinstance(row, BadRow):
            bad.append(row)
        else:
            good.append(row)
    joined = join_facts(good, known)
    return _Read(joined.rows, joined.facts, [*bad, *joined.bad], reading.not_kept)


def _rows(reading: _Reading) -> Iterator[GoodRow | BadRow]:
    form, store = reading.form, reading.store
    counts: Counter[str] | None = Counter() if form.ids_repeat else None
    seen: dict[str, str] = {}
    for row in track(form.rows(reading.source), label=f"Reading {reading.source.name}"):
        if row.values is None:
            yield BadRow(row.file, row.line, row.raw, (row.fault or "not a row",))
            continue
        reader = RowReader(
            row,
            judged_by=reading.judged_by or form.judged_by or "human",
            overrule=reading.judged_by is not None,
            store=store,
            images_root=reading.images_root,
            counts=counts,
        )
        fields = RowFields(row.values)
        contents = _records(reading, fields, reader, seen)
        if reader.faults:
            yield BadRow(row.file, row.line, show_row(row), tuple(reader.faults))
            continue
        reading.not_kept.update(fields.unread)
        if store is not None:
            store.keep_all(reader.images)
        raw = show_row(row) if form.takes_facts else ""  # facts may find the row at fault later
        yield GoodRow(row.file, row.line, raw, contents)


def _records(
    reading: _Reading, fields: RowFields, reader: RowReader, seen: dict[str, str]
) -> Contents:
    """The records of one row; what is wrong with it goes into the reader's faults."""
    contents = Contents()
    form, known = reading.form, reading.known
    try:
        if form.ids_repeat:
            note_repeated_row(reader.row, seen)
        if form.read is not None:
            contents = form.read(fields, reader)
        for record in (record for records in contents for record in records):
            record.model_dump_json()  # what cannot be written must show here, with its row
        reader.check(*(known.row_faults(contents) if known is not None else ()))
        if not form.ids_repeat and not reader.faults:
            note_ids(contents, reader.row, seen)
    except RowError as error:
        reader.faults += error.messages
    except ValidationError as error:
        reader.faults.append(f"{describe_validation(error)}. Fix the row.")
    except PydanticSerializationError as error:
        reader.faults.append(f"the row cannot be written as JSON: {error}. Fix the row.")
    return contents


def _log_losses(not_kept: Counter[str], store: ImageStore) -> None:
    if not_kept:
        fields = ", ".join(f"`{name}` ({count} rows)" for name, count in sorted(not_kept.items()))
        log(f"Not kept, since records have no place for it: {fields}")
    for note, count in store.notes.items():
        log(f"{count} {'image' if count == 1 else 'images'}: {note}")
