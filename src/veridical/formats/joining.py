"""Rows and the facts about their images: each row gets its own, or is at fault."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.errors import RowError
from veridical.formats.format import BadRow, GoodRow, RowFields, RowReader
from veridical.formats.llava_rlhf.facts import entries, read
from veridical.progress import log
from veridical.records import Facts, Prompt
from veridical.records.folders import Contents


class FactsEntry(NamedTuple):
    """One entry of a facts file."""

    row: GoodRow
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
        """Find rows with other captions than these facts have for their image, or with no facts."""
        faults = [
            f"`captions` are not those that `{self.path}` has for image {item.image_id!r}, got"
            f" {item.texts[0][:40]!r} …: row and image do not belong together. Fix the row or the"
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


class OwnFacts:
    """The facts that rows bring along: one entry per image and kind, and all rows agree on it."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[int | None, Facts]] = {}

    def add(self, row: GoodRow) -> tuple[str, ...]:
        """Note the facts of a row.

        Returns:
            How they contradict those of earlier rows; such a row is at fault.
        """
        clashes = []
        for item in row.contents.facts:
            line, earlier = self._first.setdefault((item.image_id, item.kind), (row.line, item))
            if sorted(earlier.texts) != sorted(item.texts):
                clashes.append(
                    f"`captions` of image {item.image_id!r} differ from those of row {line}: "
                    "row and image do not belong together. Fix the rows."
                )
        return tuple(clashes)

    def all(self) -> tuple[Facts, ...]:
        """The facts of all rows, in the order in which they came."""
        return tuple(item for _, item in self._first.values())


class Joined(NamedTuple):
    """Rows with the facts of their images."""

    rows: list[GoodRow]
    """Rows that have facts, where a facts file was given."""
    facts: list[Facts]
    """The facts about these rows."""
    bad: list[BadRow]
    """Rows and entries that do not fit together."""


def read_facts_file(path: Path) -> FactsFile:
    """Read a facts file that is joined to rows of other files.

    Raises:
        DataError: It is not a JSON object.
        StorageError: The disk refused.
    """
    good: list[FactsEntry] = []
    bad: list[BadRow] = []
    for row in entries(path):
        raw = row.raw or json.dumps(row.values, ensure_ascii=False)
        try:
            if row.values is None:
                raise RowError(row.fault or "not an entry")
            reader = RowReader(row, judged_by="human")
            contents = read(RowFields(row.values), reader)
        except RowError as error:
            bad.append(BadRow(path, row.line, raw, error.messages))
        else:
            good.append(FactsEntry(GoodRow(path, row.line, raw, contents), contents.facts[0]))
    return FactsFile(good, bad, path, {(i.image_id, i.kind): i.texts for _, i in good})


def join_facts(rows: Sequence[GoodRow], own: OwnFacts, known: FactsFile) -> Joined:
    """Give rows their facts: from the facts file, or else from their own captions.

    Args:
        rows: The rows, each without fault.
        own: The facts that they brought along.
        known: The facts file; a row that has no facts is at fault.
    """
    prompts = [prompt for row in rows for prompt in row.contents.prompts]
    facts, clashes = match_facts(known.entries, prompts)
    have = {item.image_id for item in facts if item.kind == "caption"}
    facts += [item for item in own.all() if item.image_id not in have]
    images = {item.image_id for item in facts if item.prompt_id is None}
    named = {item.prompt_id for item in facts}
    kept, bad = [], [*known.bad, *clashes]
    message = (
        f"no facts: the rationales in `{known.path}` do not say which question they are about."
    )
    for row in rows:
        asked = row.contents.prompts
        if all(prompt.id in named or prompt.known_image in images for prompt in asked):
            kept.append(row)
        else:
            bad.append(BadRow(row.file, row.line, row.raw, (message,)))
    used = known.texts.keys() & {(item.image_id, item.kind) for item in facts}
    unused = len(known.entries) - len(clashes) - len(used)
    if unused:
        log(
            f"{unused} of {len(known.entries)} entries of {known.path} are about none of these"
            " rows, not kept"
        )
    return Joined(kept, facts, bad)


def match_facts(
    entries: Iterable[FactsEntry], prompts: Sequence[Prompt]
) -> tuple[list[Facts], list[BadRow]]:
    """Find the facts about these prompts; rationales go to their image's multiple-choice prompt.

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
                " says which. They are given to none."
            )
            clashes.append(BadRow(row.file, row.line, row.raw, (message,)))
    return facts, clashes
