"""Public data in: the one engine that all formats are read by.

An import writes a folder of records and `images/` (files named by the sha256 of their bytes). Rows
are read and written one at a time, each whole with its own image and facts, so that nothing shifts
when rows are left out and their number does not matter; only facts, and rows that wait for a facts
file, stay in memory. All faults are gathered before anything is raised, and then nothing is left
behind. What a row has and a record cannot hold is listed, never dropped in silence.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError, DataError, Fault
from veridical.files import write_json_atomically
from veridical.formats.format import (
    Format,
    faults_of_bad_rows,
    quarantine_bad_rows,
    reject_bad_rows,
)
from veridical.formats.reading import ReadRows, open_source, read_rows
from veridical.formats.registry import find_format
from veridical.formats.sources import Row, SourceRow
from veridical.progress import counted, log
from veridical.records import Source
from veridical.records.folders import Contents, FolderWriter, join_contents
from veridical.records.image_store import ImageStore

IMAGE_NAMES_FILE = "image_names.json"
"""File beside the records: how the pictures were called before the import, by their paths now."""


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


def import_dataset(
    source: Path | str,
    out: Path | str,
    *,
    format_name: str,
    facts: Path | None = None,
    judged_by: Source | None = None,
    images_root: Path | None = None,
    skip_bad: bool = False,
    decode: bool = True,
) -> Imported:
    """Turn a public dataset into a folder of records with their images.

    Args:
        source: The file, or a folder of Parquet files.
        out: Folder to write into; an earlier import there is replaced.
        format_name: Name of the format.
        facts: Captions and rationales by image, for formats that take them; every row then needs
            facts.
        judged_by: Who judged; needed where the format does not say.
        images_root: Folder of the images, where that is not the folder of the source.
        skip_bad: Leave bad rows out, keep them in `NAME.bad.jsonl` in `out`, and count them.
        decode: Look at every image whole; otherwise a broken one shows only when it is used.

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
        decode=decode,
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
    decode: bool = True,
) -> Imported:
    store = ImageStore(out / "images", decode=decode)
    reading = open_source(
        source, form, store, facts=facts, judged_by=judged_by, images_root=images_root
    )
    try:
        with FolderWriter(out) as writer:
            read = read_rows(reading, lambda row: writer.write(row.contents))
            reject_bad_rows(read.bad, source, skip_bad=skip_bad, nothing=not writer.counts)
            store.wait_for_disk()
            if writer.counts.keys() - {"facts"}:  # facts alone join what is there
                writer.remove_other_files()
    except BaseException:  # an interrupted import leaves nothing behind, either
        store.remove_written()
        raise
    quarantine_bad_rows(read.bad, out)
    if store.names:
        write_json_atomically(out / IMAGE_NAMES_FILE, store.names)
    _log_losses(read, store)
    counts = {name: writer.counts[name] for name in Contents._fields if writer.counts[name]}
    images = {"images": len(store)} if len(store) else {}
    return Imported(out, counts | images, len(read.bad), dict(read.not_kept))


def check_data(
    source: Path | str,
    *,
    format_name: str,
    facts: Path | None = None,
    images_root: Path | None = None,
    decode: bool = True,
) -> list[Fault]:
    """Find everything that an import of a dataset would find wrong; writes nothing."""
    store = ImageStore(None, decode=decode)
    form = find_format(format_name)
    reading = open_source(Path(source), form, store, facts=facts, images_root=images_root)
    read = read_rows(reading, lambda _: None)
    _log_losses(read, store)
    return faults_of_bad_rows(read.bad)


def read_data(source: Path | str, *, format_name: str, facts: Path | None = None) -> Contents:
    """The usable records of a dataset, without writing anything and without looking at images."""
    found: list[Contents] = []
    read_rows(
        open_source(Path(source), find_format(format_name), None, facts=facts),
        lambda row: found.append(row.contents),
    )
    return join_contents(found)


def quarantine_data(
    source: Path | str,
    *,
    format_name: str,
    facts: Path | None = None,
    images_root: Path | None = None,
    decode: bool = True,
) -> int:
    """Write the bad rows of a dataset into `NAME.bad.jsonl` next to it, and count the good ones.

    Raises:
        DataError: A whole file cannot be read.
    """
    source = Path(source)
    store = ImageStore(None, decode=decode)
    form = find_format(format_name)
    reading = open_source(source, form, store, facts=facts, images_root=images_root)
    read = read_rows(reading, lambda _: None)
    whole = [row for row in read.bad if row.line is None]
    if whole:
        raise DataError(faults_of_bad_rows(whole))
    quarantine_bad_rows(read.bad, source.parent)
    return read.good


def _log_losses(read: ReadRows, store: ImageStore) -> None:
    not_kept = read.not_kept
    if not_kept:
        fields = ", ".join(
            f"`{name}` ({counted(count, 'row')})" for name, count in sorted(not_kept.items())
        )
        log(f"Not kept, since records have no place for it: {fields}")
    if read.blind:
        log(f"About no picture, text alone: {counted(read.blind, 'row')}")
    for reason, count in sorted(read.left_out.items()):
        log(f"No record of {count}: {reason}")
    for note, count in store.notes.items():
        log(f"{count} {'image' if count == 1 else 'images'}: {note}")
