"""LLaVA-RLHF's public files in: a folder of records with their images and facts, or all that is wrong with the files.

An import writes `comparisons.jsonl`, `prompts.jsonl`, `responses.jsonl`, `facts.jsonl` or
`conversations.jsonl`, whichever the file tells, and `images/`. A row is read whole with its own
image and facts, so that nothing shifts when rows are left out (the original drops long prompts from
one of two lists, and pairs the rest with wrong images).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from veridical.errors import ConfigError, DataError, Fault
from veridical.files import hash_bytes
from veridical.formats import llava_rlhf
from veridical.formats.llava_rlhf import Contents
from veridical.formats.llava_rlhf_facts import (
    BadRow,
    FactsFile,
    GoodRow,
    join_facts,
    read_facts_file,
)
from veridical.formats.sources import SourceRow, put_rows_aside, table_rows
from veridical.progress import track
from veridical.records import Facts, ImageRef, Source, folders, write_records
from veridical.records.images import ImageStore, RowFault, read_row_image
from veridical.records.storage import describe_validation

FORMATS: Mapping[str, tuple[str, Source]] = {
    "llava-rlhf-preference": ("LLaVA-RLHF's human preferences, JSON", "human"),
    "llava-rlhf-prompts": ("LLaVA-RLHF's prompts for PPO, JSON", "human"),
    "llava-rlhf-conversations": ("LLaVA's conversations for fine-tuning, JSON", "model"),
    "llava-rlhf-facts": ("LLaVA-RLHF's captions and rationales by image, JSON", "human"),
}
"""Every such format: what it is, and who judged or wrote it unless somebody says otherwise."""


class FolderImport(NamedTuple):
    """What an import did."""

    path: Path
    """The folder."""
    counts: dict[str, int]
    """How many records of each kind it holds, and how many images."""
    bad_rows: int
    """How many rows were left out (only with `skip_bad`)."""


class _Read(NamedTuple):
    rows: list[GoodRow]
    facts: list[Facts]
    bad: list[BadRow]

    def contents(self) -> Contents:
        found = [contents for _, contents in self.rows]
        return Contents(
            tuple(record for item in found for record in item.prompts),
            tuple(record for item in found for record in item.responses),
            tuple(record for item in found for record in item.comparisons),
            tuple(record for item in found for record in item.conversations),
            tuple(self.facts),
        )


def import_llava_rlhf(
    source: Path | str,
    out: Path | str,
    *,
    format_name: str,
    facts: Path | None = None,
    judged_by: Source | None = None,
    images_root: Path | None = None,
    skip_bad: bool = False,
) -> FolderImport:
    """Turn one of LLaVA-RLHF's files into a folder of records.

    Args:
        source: The file.
        out: Folder to write into; an earlier import there is replaced.
        format_name: A key of `FORMATS`.
        facts: Captions and rationales by image, for preferences and prompts; every row then needs
            facts.
        judged_by: Who judged, or wrote the answers of conversations, where it is not who the format
            says.
        images_root: Folder of the images, where they lie elsewhere than beside the source.
        skip_bad: Leave bad rows out, keep them in `NAME.bad.jsonl` in `out`, and count them aloud.

    Raises:
        ConfigError: No such format, or facts for a format that takes none.
        DataError: All faults of source and facts, each with file and row.
        StorageError: The disk refused.
    """
    source, out = Path(source), Path(out)
    store = ImageStore(out / "images")
    try:
        read = _read(
            source, format_name, store, facts=facts, judged_by=judged_by, images_root=images_root
        )
        if read.bad and not (skip_bad and all(row.line is not None for row, _ in read.bad)):
            raise DataError(
                _faults(read.bad), advice="Mend these rows, or leave them out with --skip-bad."
            )
        contents = read.contents()
        if not any(contents):
            raise DataError(
                [*_faults(read.bad), Fault(source, None, "no usable row. Give another file.")]
            )
        counts = _write(out, contents)
    except BaseException:  # an interrupted import leaves nothing behind, either
        store.remove_written()
        raise
    put_rows_aside(read.bad, out)
    return FolderImport(
        out, counts | ({"images": len(store)} if len(store) else {}), _count_rows(read.bad)
    )


def check_llava_rlhf(
    source: Path | str,
    *,
    format_name: str,
    facts: Path | None = None,
    images_root: Path | None = None,
) -> list[Fault]:
    """Say everything that an import of a file would find wrong; writes nothing."""
    return _faults(
        _read(
            Path(source),
            format_name,
            ImageStore(None),
            facts=facts,
            judged_by=None,
            images_root=images_root,
        ).bad
    )


def contents_of_source(
    source: Path | str, *, format_name: str, facts: Path | None = None
) -> Contents:
    """The usable records of a file, without writing anything and without looking at its images."""
    return _read(
        Path(source), format_name, None, facts=facts, judged_by=None, images_root=None
    ).contents()


def put_bad_rows_aside(
    source: Path | str,
    *,
    format_name: str,
    facts: Path | None = None,
    images_root: Path | None = None,
) -> int:
    """Write the bad rows of a file into `NAME.bad.jsonl` beside it, and say how many rows are good.

    Raises:
        DataError: A whole file cannot be read.
    """
    source = Path(source)
    read = _read(
        source, format_name, ImageStore(None), facts=facts, judged_by=None, images_root=images_root
    )
    if any(row.line is None for row, _ in read.bad):
        raise DataError(_faults(read.bad))
    put_rows_aside(read.bad, source.parent)
    return len(read.rows) or len(read.facts)


def _read(
    source: Path,
    format_name: str,
    store: ImageStore | None,
    *,
    facts: Path | None,
    judged_by: Source | None,
    images_root: Path | None,
) -> _Read:
    if format_name not in FORMATS:
        raise ConfigError(f"There is no format {format_name!r}. Formats: {', '.join(FORMATS)}.")
    if format_name == "llava-rlhf-facts":
        file = read_facts_file(source)
        return _Read([], [entry.facts for entry in file.entries], file.bad)
    if facts is not None and format_name == "llava-rlhf-conversations":
        raise ConfigError("Conversations take no facts. Leave --facts out.")
    known = read_facts_file(facts) if facts is not None else None
    good: list[GoodRow] = []
    bad: list[BadRow] = []
    made_by = judged_by or FORMATS[format_name][1]
    for row, contents, image, messages in _examine(
        source, format_name, store, known, made_by, images_root
    ):
        if contents is None:
            bad.append((row, messages))
        else:
            good.append((row, contents))
            if image is not None and store is not None:
                store.keep(*image)
    joined = join_facts(good, known)
    return _Read(joined.rows, joined.facts, [*bad, *joined.bad])


def _examine(
    source: Path,
    format_name: str,
    store: ImageStore | None,
    known: FactsFile | None,
    made_by: Source,
    images_root: Path | None,
) -> Iterator[tuple[SourceRow, Contents | None, tuple[ImageRef, bytes] | None, tuple[str, ...]]]:
    seen: dict[str, int] = {}
    row_of_text: dict[str, int | None] = {}
    for row in track(table_rows(source), label=f"Reading {source.name}"):
        if row.values is None:
            yield row, None, None, (row.fault or "no row",)
            continue
        messages: list[str] = []
        try:
            text = hash_bytes(json.dumps(row.values, sort_keys=True, default=repr).encode())
            if row_of_text.setdefault(text, row.line) != row.line:
                raise RowFault(f"the row repeats row {row_of_text[text]}. Leave it out.")
            record_id = _record_id(row, seen)
            image = _image(
                row,
                store,
                images_root,
                messages,
                optional=format_name == "llava-rlhf-conversations",
            )
            contents = _contents(
                row, format_name, record_id, image[0] if image else None, made_by, messages
            )
            messages += known.row_faults(contents) if known is not None else []
            if messages:
                raise RowFault(*messages)
        except RowFault as fault:
            yield row, None, None, fault.messages
            continue
        yield row, contents, image, ()


def _image(
    row: SourceRow,
    store: ImageStore | None,
    images_root: Path | None,
    messages: list[str],
    *,
    optional: bool,
) -> tuple[ImageRef, bytes] | None:
    value = (row.values or {}).get("image")
    if value is None and optional:
        return None
    try:
        if not isinstance(value, str):
            raise RowFault(
                f"`image` must be the name of a file, got {repr(value)[:60]}. Mend the row."
            )
        if store is None:
            return ImageRef(path=value), b""
        data = read_row_image(value, root=images_root or row.file.parent)
        return store.refer(data), data
    except RowFault as fault:
        messages += fault.messages
        return None


def _contents(
    row: SourceRow,
    format_name: str,
    record_id: str,
    image: ImageRef | None,
    made_by: Source,
    messages: list[str],
) -> Contents:
    values = row.values or {}
    # A row whose image is at fault is read all the same, so that all of its faults are told at
    # once.
    told = image or ImageRef(path="missing")
    try:
        if format_name == "llava-rlhf-preference":
            contents = llava_rlhf.read_preference(
                {"image": ""} | dict(values), record_id=record_id, image=told, judged_by=made_by
            )
        elif format_name == "llava-rlhf-prompts":
            contents = llava_rlhf.read_prompt(
                {"image": ""} | dict(values), record_id=record_id, image=told
            )
        else:
            contents = llava_rlhf.read_conversation(
                values, record_id=record_id, image=image, judged_by=made_by
            )
        for record in (record for records in contents for record in records):
            record.model_dump_json()  # what cannot be written must show here, with its row
    except RowFault as fault:
        messages += fault.messages
        return Contents()
    except ValidationError as error:
        raise RowFault(f"{describe_validation(error)}. Mend the row.") from error
    except PydanticSerializationError as error:
        raise RowFault(f"the row cannot be written as JSON: {error}. Mend the row.") from error
    return contents


def _record_id(row: SourceRow, seen: dict[str, int]) -> str:
    """The row's id, with a number behind it where other rows have it too: LLaVA's ids are those of the images."""
    value = (row.values or {}).get("id")
    if value is None:
        value = f"{row.file.stem}-{row.line}"
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise RowFault(f"the id must be a number or a text, got {value!r}. Mend the row.")
    name = str(value)
    seen[name] = seen.get(name, 0) + 1
    return name if seen[name] == 1 else f"{name}#{seen[name]}"


def _write(out: Path, contents: Contents) -> dict[str, int]:
    names = (
        ("prompts", folders.PROMPTS_FILE, "Prompt"),
        ("responses", folders.RESPONSES_FILE, "Response"),
        ("comparisons", folders.COMPARISONS_FILE, "Comparison"),
        ("conversations", folders.CONVERSATIONS_FILE, "Conversation"),
        ("facts", folders.FACTS_FILE, "Facts"),
    )
    counts: dict[str, int] = {}
    for (name, file, kind), records in zip(names, contents, strict=True):
        if records:
            write_records(out / file, records, kind=kind)
            counts[name] = len(records)
        elif any((contents.prompts, contents.conversations)):  # facts alone join what is there
            (out / file).unlink(missing_ok=True)  # of an earlier import
    return counts


def _faults(bad: list[BadRow]) -> list[Fault]:
    ordered = sorted(bad, key=lambda item: (str(item[0].file), item[0].line or 0))
    return [Fault(row.file, row.line, message) for row, messages in ordered for message in messages]


def _count_rows(bad: list[BadRow]) -> int:
    return len({(row.file, row.line) for row, _ in bad})
