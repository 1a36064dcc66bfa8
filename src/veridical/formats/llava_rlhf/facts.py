"""LLaVA-RLHF's facts file (`image_to_caption.json`) ↔ `Facts`: image file → list of statements.

The key `NAME` holds the captions of an image, `aok_NAME` the rationales of a question about it
(A-OKVQA, three per question). The keys know no question, so that rationales of several questions
about one image collide: such entries are faults here, never given to the wrong question.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veridical.errors import DataError, Fault, RowError
from veridical.files import describe_json_error, read_text, write_text_atomically
from veridical.formats.export import Export
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.sources import SourceRow
from veridical.records import Facts, Prompt
from veridical.records.folders import Contents

RATIONALE_PREFIX = "aok_"
"""What keys of rationales begin with."""
RATIONALES_PER_QUESTION = 3
"""How many rationales A-OKVQA has for a question."""

_START = re.compile(rb'\s*\{\s*"[^"\n]+\.(?:jpe?g|png|webp|gif|bmp)"\s*:\s*\[', re.IGNORECASE)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys in order, repeated ones included."""


def entries(source: Path) -> Iterator[SourceRow]:
    """Entries of a facts file as rows, each with one key.

    Raises:
        DataError: It is not a JSON object.
        StorageError: The disk refused.
    """
    try:
        value = json.loads(read_text(source), object_pairs_hook=_Pairs)
    except (RecursionError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        message = f"{describe_json_error(error)[:100]}. Download the file again."
        raise DataError([Fault(source, line, message)]) from error
    if not isinstance(value, _Pairs):
        message = "a facts file is one JSON object, image → statements. Give the right file."
        raise DataError([Fault(source, None, message)])
    first: dict[str, int] = {}
    for number, (key, texts) in enumerate(value, start=1):
        if first.setdefault(key, number) != number:
            fault = (
                f"the key {key!r} stands in entry {first[key]} already: JSON readers would drop one"
                " of them. Join them or leave one out."
            )
            yield SourceRow(source, number, None, fault, json.dumps({key: texts}))
        else:
            yield SourceRow(source, number, {key: texts})


def read(row: RowFields, _: RowReader) -> Contents:
    """Read one entry.

    Raises:
        RowError: All that is wrong with it.
    """
    key, texts = next(iter(row.items()))
    messages = _entry_faults(key, texts)
    if messages:
        raise RowError(*messages)
    kind = "rationale" if _is_rationale(key) else "caption"
    image = key.removeprefix(RATIONALE_PREFIX) if _is_rationale(key) else key
    return Contents(
        facts=(Facts.model_validate({"image_id": image, "kind": kind, "texts": tuple(texts)}),)
    )


def write(export: Export) -> None:
    """Write the facts of a folder, under the names that prompts next to them give the images."""
    names = {prompt.known_image: file_name(prompt) for prompt in export.contents.prompts}
    counts: Counter[str] = Counter()
    found: dict[str, list[str]] = {}
    for item in export.contents.facts:
        with export.row(item.image_id):
            image = names.get(item.image_id, item.image_id)
            if item.kind not in {"caption", "rationale"}:
                raise RowError(
                    f"facts of kind {item.kind!r} of image {image!r}: the format has none. Leave"
                    " them out."
                )
            key = RATIONALE_PREFIX + image if item.kind == "rationale" else image
            counts[key] += 1
            if counts[key] > 1:
                raise RowError(
                    f"fact {counts[key]} under the one key {key!r}, which cannot keep them apart."
                    " Leave all but one out."
                )
            found[key] = list(item.texts)
    export.refuse_faults()
    write_text_atomically(export.out, json.dumps(found, ensure_ascii=False, indent=1) + "\n")


def file_name(prompt: Prompt) -> str:
    """The name of a prompt's image in LLaVA-RLHF's files: that of facts, with the file's suffix."""
    name = prompt.image_id or Path(prompt.image.path).name
    return name if Path(name).suffix else name + Path(prompt.image.path).suffix


def _is_rationale(key: str) -> bool:
    return key.startswith(RATIONALE_PREFIX)


def _entry_faults(key: str, texts: Any) -> list[str]:
    if not key.removeprefix(RATIONALE_PREFIX):
        return [f"the key names no image, got {key!r}. Fix the entry."]
    if (
        not isinstance(texts, list)
        or not texts
        or any(not isinstance(text, str) or not text.strip() for text in texts)
    ):
        return [
            f"{key!r} must hold a list of texts, none of them empty, got {repr(texts)[:60]}. Fix"
            " the entry."
        ]
    try:
        "".join([key, *texts]).encode("utf-8")
    except UnicodeEncodeError:
        return [
            f"{key!r} holds half of a surrogate pair, which is not valid Unicode. Fix the text."
        ]
    if _is_rationale(key) and len(texts) > RATIONALES_PER_QUESTION:
        return [
            f"{key!r} holds {len(texts)} rationales, {RATIONALES_PER_QUESTION} are of one question:"
            " several questions collide under the key, and nothing says which is whose. Leave the"
            " entry out."
        ]
    return []


def _detects(sample: Sample) -> bool:
    return sample.path.suffix == ".json" and _START.match(sample.head) is not None


FORMAT = Format(
    describes="LLaVA-RLHF's captions and rationales by image, JSON",
    rows=entries,
    read=read,
    detects=_detects,
    judged_by="human",
    write=write,
    suffix=".json",
    cannot_hold=("prompt_id",),
)
"""The format."""
