"""The rows of any dataset as the doctor reads them: one at a time, with their place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from veridical.errors import DataError
from veridical.feedback.datasets import DataSource
from veridical.feedback.registry import judgement_kinds
from veridical.files import parse_json, read_text
from veridical.formats.format import GoodRow
from veridical.formats.importing import IMAGE_NAMES_FILE
from veridical.formats.reading import open_source, read_rows
from veridical.formats.registry import RECORDS, find_format
from veridical.records import (
    Asked,
    Comparison,
    Conversation,
    Correction,
    Facts,
    ImageRef,
    Prompt,
    Record,
    Response,
    scan_records,
)
from veridical.records.folders import (
    COMPARISONS_FILE,
    CONVERSATIONS_FILE,
    CORRECTIONS_FILE,
    FACTS_FILE,
    PROMPTS_FILE,
    RESPONSES_FILE,
    Contents,
    record_type_of,
)

R = TypeVar("R", bound=Record)


class Example(NamedTuple):
    """A judgement, conversation or prompt."""

    file: Path
    """The file that it stands in."""
    line: int | None
    """Line, or number of the row, from 1."""
    id: str
    """Its id."""
    images: tuple[str, ...]
    """Names of its pictures, as published where those are known."""
    asked: str
    """All that is asked, earlier turns included."""
    chosen: str = ""
    """The preferred response, or the first of a tie; answers of a conversation, a line each."""
    rejected: str = ""
    """The other response."""
    preferred: Literal["first", "second", "tie", ""] = ""
    """Which one was preferred in the order shown; "" where nothing was compared."""
    reference: str = ""
    """The reference answer."""
    facts: tuple[str, ...] = ()
    """What is known of the picture."""


def examples_of(source: DataSource) -> Iterator[Example]:
    """Go through the usable rows of a dataset.

    Rows at fault are left out: `check_dataset` reports them.
    """
    if source.format_name == RECORDS:
        yield from _of_records(source.path)
        return
    rows: list[GoodRow] = []
    reading = open_source(source.path, find_format(source.format_name), None, facts=source.facts)
    read_rows(reading, rows.append)
    facts = _by_image(item for row in rows for item in row.contents.facts)
    for row in rows:
        yield from _of_contents(row.file, row.line, row.contents, facts, {})


def _of_records(path: Path) -> Iterator[Example]:
    folder = path if path.is_dir() else path.parent
    names = _image_names(folder)
    facts = _by_image(_scanned(folder / FACTS_FILE, Facts))
    prompts = {row.id: row for row in _scanned(folder / PROMPTS_FILE, Prompt)}
    responses = {row.id: row for row in _scanned(folder / RESPONSES_FILE, Response)}
    record = _record_of(path) if path.is_file() else None
    for name, kind in (
        (CORRECTIONS_FILE, Correction),
        (COMPARISONS_FILE, Comparison),
        (CONVERSATIONS_FILE, Conversation),
        (PROMPTS_FILE, Prompt),
    ):
        file = folder / name
        if not path.is_dir():
            if record is not kind:
                continue
            file = path
        if not file.is_file():
            continue
        for row in scan_records(file, kind):
            if row.record is not None:
                contents = _contents_of(row.record, prompts, responses)
                yield from _of_contents(file, row.line, contents, facts, names)


def _record_of(file: Path) -> type[Record]:
    """What a file holds; kinds of judgements that other packages offer are known by their name."""
    offered = {kind.file: kind.record for kind in judgement_kinds()}
    return offered[file.name] if file.name in offered else record_type_of(file)


def _scanned(file: Path, kind: type[R]) -> Iterator[R]:
    if not file.is_file():
        return
    for row in scan_records(file, kind):
        if row.record is not None:
            yield row.record


def _contents_of(
    record: Record,
    prompts: dict[str, Prompt],
    responses: dict[str, Response],
) -> Contents:
    if isinstance(record, Correction):
        return Contents(corrections=(record,))
    if isinstance(record, Conversation):
        return Contents(conversations=(record,))
    if isinstance(record, Prompt):
        return Contents(prompts=(record,))
    if not isinstance(record, Comparison):
        return Contents()
    found = [responses[name] for name in record.response_ids if name in responses]
    asked = [prompts[record.prompt_id]] if record.prompt_id in prompts else []
    return Contents(prompts=tuple(asked), responses=tuple(found), comparisons=(record,))


def _of_contents(
    file: Path,
    line: int | None,
    contents: Contents,
    facts: dict[str, tuple[str, ...]],
    names: dict[str, str],
) -> Iterator[Example]:
    def shown(images: tuple[ImageRef, ...]) -> tuple[str, ...]:
        return tuple(names.get(image.path, image.path) for image in images)

    for row in contents.corrections:
        known = facts.get(Path(row.image.path).stem, ())
        yield Example(
            file,
            line,
            row.id,
            shown(row.images),
            _asked(row),
            row.chosen,
            row.rejected,
            facts=known,
        )
    prompts = {row.id: row for row in contents.prompts}
    responses = {row.id: row for row in contents.responses}
    for judged in contents.comparisons:
        prompt = prompts.get(judged.prompt_id)
        texts = [responses[name].text for name in judged.response_ids if name in responses]
        if prompt is None or len(texts) != 2:
            continue
        chosen, rejected = texts if judged.preferred != "second" else texts[::-1]
        yield Example(
            file,
            line,
            judged.id,
            (*shown(prompt.images), prompt.image_id or ""),
            _asked(prompt),
            chosen,
            rejected,
            judged.preferred,
            prompt.reference or "",
            facts.get(prompt.known_image, ()),
        )
    for talk in contents.conversations:
        asked, answers = "\n".join(talk.texts[::2]), "\n".join(talk.texts[1::2])
        yield Example(file, line, talk.id, shown(talk.images), asked, answers)
    if not contents.comparisons:
        for prompt in contents.prompts:
            yield Example(
                file,
                line,
                prompt.id,
                (*shown(prompt.images), prompt.image_id or ""),
                _asked(prompt),
                reference=prompt.reference or "",
                facts=facts.get(prompt.known_image, ()),
            )


def _asked(row: Asked) -> str:
    return "\n".join(filter(None, row.said))


def _by_image(facts: Iterator[Facts]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for item in facts:
        found[item.image_id] = (*found.get(item.image_id, ()), *item.texts)
    return found


def _image_names(folder: Path) -> dict[str, str]:
    """Names of pictures before the import, by their paths now."""
    file = folder / IMAGE_NAMES_FILE
    try:
        found = parse_json(read_text(file))
    except (DataError, ValueError, RecursionError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
