"""How rows of any format become records: the engine of import, check and statistics."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from veridical.errors import ConfigError, RowError
from veridical.formats.format import (
    BadRow,
    Format,
    GoodRow,
    RowFields,
    RowReader,
    note_ids,
    note_repeated_row,
)
from veridical.formats.joining import FactsFile, OwnFacts, join_facts, read_facts_file
from veridical.formats.sources import show_row
from veridical.progress import track
from veridical.records import Source
from veridical.records.folders import Contents
from veridical.records.image_store import ImageStore
from veridical.records.storage import describe_validation

_HOPELESS = 10_000
"""Rows at fault after which reading stops, where hardly any other row was good."""


class ReadRows(NamedTuple):
    """What reading a source came to."""

    good: int
    """How many rows gave records."""
    bad: list[BadRow]
    """The others."""
    not_kept: Counter[str]
    """Fields that no record has a place for."""
    left_out: Counter[str]
    """What no record is made of although nothing is wrong with it, by reason."""
    blind: int
    """How many of the good rows are a question about no picture."""


class Reading(NamedTuple):
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
    left_out: Counter[str]
    """Gets what no record is made of although nothing is wrong with it, by reason."""


def open_source(
    source: Path,
    form: Format,
    store: ImageStore | None,
    *,
    facts: Path | None = None,
    judged_by: Source | None = None,
    images_root: Path | None = None,
) -> Reading:
    """Prepare the reading of a file or folder.

    Args:
        source: The file or folder.
        form: Its format.
        store: Where images go; None: they are not looked at.
        facts: Captions and rationales by image, for formats that take them.
        judged_by: Who judged, where that is said from outside.
        images_root: Folder that image paths start from; None: that of each row's file.

    Raises:
        ConfigError: The format is only written, or takes no facts.
        DataError: The facts file cannot be read.
    """
    if form.read is None:
        raise ConfigError(f"{form.describes} is only written. Name another format.")
    if facts is not None and not form.takes_facts:
        raise ConfigError(f"{form.describes} takes no facts. Leave --facts out.")
    known = read_facts_file(facts) if facts is not None else None
    return Reading(form, source, store, known, judged_by, images_root, Counter(), Counter())


def read_rows(reading: Reading, take: Callable[[GoodRow], None]) -> ReadRows:
    """Go through a source and hand the records of its rows on; facts come last.

    Rows are handed on as they are read; where a facts file is joined, when all are read.
    """
    own = OwnFacts()
    waiting: list[GoodRow] = []
    bad: list[BadRow] = []
    good = blind = 0
    asked: dict[str, str] = {}
    for row in _source_rows(reading):
        if isinstance(row, GoodRow) and row.contents.prompts:
            row = _with_new_prompts(row, asked)  # noqa: PLW2901 (the same row)
        if isinstance(row, BadRow):
            bad.append(row)
            if len(bad) >= _HOPELESS and len(bad) > 9 * (good + len(waiting)):
                bad.append(_hopeless(reading.source, len(bad)))
                break
        elif clashes := own.add(row):
            bad.append(BadRow(row.file, row.line, row.raw, clashes))
        elif reading.known is not None:
            waiting.append(row)
        else:
            good += 1
            blind += _is_blind(row.contents)
            take(row._replace(contents=row.contents._replace(facts=())))
    facts = own.all()
    if reading.known is not None:
        joined = join_facts(waiting, own, reading.known)
        for row in joined.rows:
            take(row._replace(contents=row.contents._replace(facts=())))
        good, facts, bad = len(joined.rows), tuple(joined.facts), [*bad, *joined.bad]
    if facts:
        take(GoodRow(reading.source, None, "", Contents(facts=facts)))
    return ReadRows(good, bad, reading.not_kept, reading.left_out, blind)


def _is_blind(contents: Contents) -> bool:
    """Whether a row asks about no picture."""
    return any(not row.images for row in (*contents.corrections, *contents.prompts))


def _hopeless(source: Path, bad: int) -> BadRow:
    """A fault of the whole file, which no row that is left out cures."""
    message = (
        f"reading stopped at {bad:,} rows at fault, more than nine in ten: the file is probably of"
        " another format. Name the format that it has."
    )
    return BadRow(source, None, "", (message,))


def _with_new_prompts(row: GoodRow, asked: dict[str, str]) -> GoodRow | BadRow:
    """A row without prompts that another row has brought; two prompts of one id are a fault."""
    new = []
    for prompt in row.contents.prompts:
        content = prompt.content_hash()
        if prompt.id not in asked:
            asked[prompt.id] = content
            new.append(prompt)
        elif asked[prompt.id] != content:
            message = (
                f"another row asks something else under the id {prompt.id!r}. Make ids unique."
            )
            return BadRow(row.file, row.line, row.raw, (message,))
    return row._replace(contents=row.contents._replace(prompts=tuple(new)))


def _source_rows(reading: Reading) -> Iterator[GoodRow | BadRow]:
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
        reading.left_out.update(reader.left_out)
        reader.keep_images()
        raw = show_row(row) if form.takes_facts else ""  # facts may find the row at fault later
        yield GoodRow(row.file, row.line, raw, contents)


def _records(
    reading: Reading, fields: RowFields, reader: RowReader, seen: dict[str, str]
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
