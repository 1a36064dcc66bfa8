"""LLaVA-RLHF's facts file (`image_to_caption.json`) ↔ `Facts`: one JSON object, image file → list of statements.

The key `NAME` holds the captions of an image, `aok_NAME` the rationales of a question about it
(A-OKVQA, three a question). The keys know no question, so that rationales of several questions
about one image collide: such entries are faults here, never given to the wrong question.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from veridical.errors import DataError, Fault
from veridical.files import read_bytes
from veridical.formats.llava_rlhf import Contents
from veridical.formats.sources import SourceRow
from veridical.progress import log
from veridical.records import Facts, Prompt

RATIONALE_PREFIX = "aok_"
"""What keys of rationales begin with."""
RATIONALES_A_QUESTION = 3
"""How many rationales A-OKVQA has for a question."""

GoodRow = tuple[SourceRow, Contents]
"""A row with the records made of it."""
BadRow = tuple[SourceRow, tuple[str, ...]]
"""A row with what is wrong with it."""


class FactsEntry(NamedTuple):
    """One entry of a facts file."""

    row: SourceRow
    """Where it stands; the line is the number of the entry, from 1."""
    facts: Facts
    """Captions or rationales of an image, for no prompt yet."""


class FactsFile(NamedTuple):
    """What a facts file holds."""

    entries: list[FactsEntry]
    """Good entries in the file's order."""
    bad: list[BadRow]
    """The others."""

    path: Path
    """The file."""
    texts: dict[tuple[str, str], tuple[str, ...]]
    """Statements by image and kind."""

    def row_faults(self, contents: Contents) -> list[str]:
        """Say what these facts find wrong with a row: other captions than its own, or no facts for it at all."""
        faults = [
            f"`captions` are not those that `{self.path}` has for image {item.image_id!r}, got"
            f" {item.texts[0][:40]!r} …: row and image do not belong together. Mend the row or the"
            " facts."
            for item in contents.facts
            if sorted(self.texts.get((item.image_id, item.kind), item.texts)) != sorted(item.texts)
        ]
        faults += [
            f"no facts: `{self.path}` has none for image {prompt.known_image!r}. Add them or leave"
            " the row out."
            for prompt in contents.prompts
            if not contents.facts
            and (prompt.known_image, "caption") not in self.texts
            and not (
                prompt.task == "multiple_choice" and (prompt.known_image, "rationale") in self.texts
            )
        ]
        return faults


class Joined(NamedTuple):
    """Rows with the facts of their images."""

    rows: list[GoodRow]
    """Rows that have facts, where a facts file was given."""
    facts: list[Facts]
    """The facts about these rows."""
    bad: list[BadRow]
    """Rows and entries that do not fit together."""


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys in order, repeated ones included."""


def read_facts_file(path: Path) -> FactsFile:
    """Read a facts file.

    Raises:
        DataError: It is no JSON object.
        StorageError: The disk refused.
    """
    try:
        value = json.loads(read_bytes(path), object_pairs_hook=_Pairs)
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise DataError(
            [Fault(path, line, f"not valid JSON: {str(error)[:80]}. Download the file again.")]
        ) from error
    if not isinstance(value, _Pairs):
        raise DataError(
            [
                Fault(
                    path,
                    None,
                    "a facts file is one JSON object, image → statements. Give the right file.",
                )
            ]
        )
    entries: list[FactsEntry] = []
    bad: list[BadRow] = []
    number_of_key: dict[str, int] = {}
    for number, (key, texts) in enumerate(value, start=1):
        row = SourceRow(path, number, {key: texts})
        messages = _entry_faults(key, texts)
        if number_of_key.setdefault(key, number) != number:
            messages.append(
                f"the key {key!r} stands in entry {number_of_key[key]} already: JSON readers would"
                " drop one of them. Join them or leave one out."
            )
        if messages:
            bad.append((row, tuple(messages)))
        else:
            kind, image = (
                ("rationale", key.removeprefix(RATIONALE_PREFIX))
                if _is_rationale(key)
                else ("caption", key)
            )
            entries.append(
                FactsEntry(
                    row, Facts.model_validate({"image_id": image, "kind": kind, "texts": texts})
                )
            )
    return FactsFile(
        entries, bad, path, {(item.image_id, item.kind): item.texts for _, item in entries}
    )


def join_facts(rows: Sequence[GoodRow], known: FactsFile | None) -> Joined:
    """Give rows their facts: from the facts file, or else from their own captions, which must agree about one image.

    Args:
        rows: The rows, each without fault.
        known: The facts file, if there is one; a row that then has no facts is at fault.
    """
    joined = _own_captions(rows)
    if known is None:
        return joined
    facts, clashes = match_facts(
        known.entries, [prompt for _, contents in joined.rows for prompt in contents.prompts]
    )
    have = {item.image_id for item in facts if item.kind == "caption"}
    facts += [item for item in joined.facts if item.image_id not in have]
    images = {item.image_id for item in facts if item.prompt_id is None}
    named = {item.prompt_id for item in facts}
    kept, bad = [], [*joined.bad, *known.bad, *clashes]
    for row, contents in joined.rows:
        if all(prompt.id in named or prompt.known_image in images for prompt in contents.prompts):
            kept.append((row, contents))
        else:
            bad.append(
                (
                    row,
                    (
                        (
                            f"no facts: the rationales in `{known.path}` cannot be told apart, see"
                            " there."
                        ),
                    ),
                )
            )
    unused = (
        len(known.entries)
        - len(clashes)
        - len(known.texts.keys() & {(i.image_id, i.kind) for i in facts})
    )
    if unused:
        log(
            f"{unused} of {len(known.entries)} entries of {known.path} are about none of these"
            " rows, not kept"
        )
    return Joined(kept, facts, bad)


def _own_captions(rows: Sequence[GoodRow]) -> Joined:
    first: dict[str, tuple[SourceRow, Facts]] = {}
    joined = Joined([], [], [])
    for row, contents in rows:
        clashes = []
        for item in contents.facts:
            other, told = first.setdefault(item.image_id, (row, item))
            if sorted(told.texts) != sorted(item.texts):
                clashes.append(
                    f"`captions` of image {item.image_id!r} differ from those of row {other.line}: "
                    "row and image do not belong together. Mend the rows."
                )
        if clashes:
            joined.bad.append((row, tuple(clashes)))
        else:
            joined.rows.append((row, contents))
    joined.facts.extend(item for _, item in first.values())
    return joined


def match_facts(
    entries: Iterable[FactsEntry], prompts: Sequence[Prompt]
) -> tuple[list[Facts], list[BadRow]]:
    """Give the facts that are about these prompts; rationales go to the one multiple-choice prompt about their image.

    Returns:
        The facts, and the entries that several prompts lay claim to.
    """
    asked: dict[str, list[str]] = {}
    for prompt in prompts:
        named = asked.setdefault(prompt.known_image, [])
        if prompt.task == "multiple_choice":
            named.append(prompt.id)
    facts: list[Facts] = []
    clashes: list[BadRow] = []
    for row, item in entries:
        questions = asked.get(item.image_id)
        if questions is None:
            continue
        if item.kind == "caption":
            facts.append(item)
        elif len(questions) == 1:
            facts.append(item.model_copy(update={"prompt_id": questions[0]}))
        elif questions:
            message = (
                f"the rationales of image {item.image_id!r} belong to one question, but"
                f" {len(questions)} ask about it (prompts {', '.join(questions[:4])}), and nothing"
                " tells which. They are given to none."
            )
            clashes.append((row, (message,)))
    return facts, clashes


def facts_object(facts: Iterable[Facts]) -> tuple[dict[str, list[str]], list[str]]:
    """Facts as the original's JSON object, and what it cannot hold: two entries under one key, other kinds of facts."""
    found: dict[str, list[str]] = {}
    faults: list[str] = []
    counts: Counter[str] = Counter()
    for item in facts:
        if item.kind not in {"caption", "rationale"}:
            faults.append(
                f"facts of kind {item.kind!r} of image {item.image_id!r}: the format knows none."
                " Leave them out."
            )
            continue
        key = RATIONALE_PREFIX + item.image_id if item.kind == "rationale" else item.image_id
        counts[key] += 1
        found.setdefault(key, list(item.texts))
    faults += [
        f"{count} facts would stand under the one key {key!r}, which tells none apart. Leave all"
        " but one out."
        for key, count in counts.items()
        if count > 1
    ]
    return found, faults


def _is_rationale(key: str) -> bool:
    return key.startswith(RATIONALE_PREFIX)


def _entry_faults(key: str, texts: Any) -> list[str]:
    if not key.removeprefix(RATIONALE_PREFIX):
        return [f"the key names no image, got {key!r}. Mend the entry."]
    if (
        not isinstance(texts, list)
        or not texts
        or any(not isinstance(text, str) or not text.strip() for text in texts)
    ):
        return [
            f"{key!r} must hold a list of texts, none of them empty, got {repr(texts)[:60]}. Mend"
            " the entry."
        ]
    try:
        "".join([key, *texts]).encode("utf-8")
    except UnicodeEncodeError:
        return [
            f"{key!r} holds half of a surrogate pair, which is no valid Unicode. Mend the text."
        ]
    if _is_rationale(key) and len(texts) > RATIONALES_A_QUESTION:
        return [
            f"{key!r} holds {len(texts)} rationales, {RATIONALES_A_QUESTION} are of one question:"
            " several questions collide under the key, and nothing tells which is whose. Leave the"
            " entry out."
        ]
    return []
