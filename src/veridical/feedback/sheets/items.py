"""What a folder holds that can be judged: its responses with their prompts, and judgements of them.

The same folder gives the same items in the same order when a sheet is written and when it is read.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError, DataError, Fault
from veridical.feedback.sheets.rows import SheetTask
from veridical.records import (
    Comparison,
    Correction,
    Marking,
    Prompt,
    Rating,
    Response,
    read_records,
)
from veridical.records.folders import (
    COMPARISONS_FILE,
    CORRECTIONS_FILE,
    MARKINGS_FILE,
    RATINGS_FILE,
    RESPONSES_FILE,
    find_run_prompts,
)
from veridical.records.prompts import asked_fields

Judged = Correction | Comparison | Rating | Marking
_KINDS: dict[SheetTask, tuple[str, type[Judged]]] = {
    "correct": (CORRECTIONS_FILE, Correction),
    "compare": (COMPARISONS_FILE, Comparison),
    "rate": (RATINGS_FILE, Rating),
    "mark": (MARKINGS_FILE, Marking),
}


class SheetItem(NamedTuple):
    """One row to be judged."""

    id: str
    """The response's id, or of a pair both with "|" between."""
    prompt: Prompt
    """What was asked."""
    responses: tuple[Response, ...]
    """What was answered: one, or two to compare."""


class SheetItems(NamedTuple):
    """All that a folder holds."""

    task: SheetTask
    """What people do."""
    items: dict[str, SheetItem]
    """By id."""
    judged: dict[str, Judged]
    """Judgements that are there already, by their id."""
    root: Path
    """Where image paths start."""
    outside: bool
    """Whether images may lie outside of it."""


def find_items(folder: Path, task: SheetTask | None, *, prompts: Path | None = None) -> SheetItems:
    """Read a folder.

    Args:
        folder: What `veridical generate` wrote, or any folder of records with responses or
            corrections.
        task: What people do; by default what the folder has judgements of, else correct.
        prompts: The file of prompts, where the folder does not say.

    Raises:
        ConfigError: There is nothing to judge.
        DataError: Records that are not valid, or refer to nothing.
    """
    if not folder.is_dir():
        raise ConfigError(f"There is no folder `{folder}`. Check the path.")
    there = [name for name, (file, _) in _KINDS.items() if (folder / file).is_file()]
    task = task or (there[0] if there else "correct")
    file, kind = _KINDS[task]
    judged: list[Judged] = [*read_records(folder / file, kind)] if (folder / file).is_file() else []
    items: dict[str, SheetItem] = {}
    root, outside = folder, False
    if (folder / RESPONSES_FILE).is_file():
        found = find_run_prompts(folder, prompts)
        root, outside = found.file.parent, found.outside
        asked = {one.id: one for one in read_records(found.file, Prompt)}
        responses = read_records(folder / RESPONSES_FILE, Response)
        strangers = [one for one in responses if one.prompt_id not in asked]
        if strangers:
            message = f"there is no prompt {strangers[0].prompt_id!r}, which a response answers."
            raise DataError([Fault(found.file, None, message)])
        items = {one.id: one for one in _items(task, judged, responses, asked)}
    items |= {one.id: one for one in _alone(judged, items)}
    several = next(
        (row for row in judged if isinstance(row, Marking) and len(row.response_ids) > 1), None
    )
    if several is not None:
        message = f"{several.id!r} marks several responses at once, a row of a sheet shows one."
        raise DataError([Fault(folder / file, None, f"{message} Mark these in the studio.")])
    lost = [row for row in judged if not isinstance(row, Correction) and item_of(row) not in items]
    if lost:
        message = f"{lost[0].id!r} judges a response that the folder does not have."
        raise DataError([Fault(folder / file, None, message)])
    if not items:
        raise ConfigError(f"`{folder}` has no responses to {task}.")
    return SheetItems(task, items, {one.id: one for one in judged}, root, outside)


def item_of(row: Judged) -> str:
    """The id of the item that a judgement is of, as far as the judgement says."""
    if isinstance(row, Comparison | Marking):
        return "|".join(row.response_ids)
    return row.response_id if isinstance(row, Rating) else row.id


def _items(
    task: SheetTask, judged: list[Judged], responses: list[Response], asked: dict[str, Prompt]
) -> Iterator[SheetItem]:
    if task != "compare":
        for one in responses:
            yield SheetItem(one.id, asked[one.prompt_id], (one,))
        return
    by_id = {one.id: one for one in responses}
    for row in judged:
        if isinstance(row, Comparison) and all(name in by_id for name in row.response_ids):
            pair = tuple(by_id[name] for name in row.response_ids)
            yield SheetItem(item_of(row), asked[pair[0].prompt_id], pair)
    if judged:
        return
    for name, group in groupby(responses, key=lambda one: one.prompt_id):
        samples = [one for one in group if one.text.strip()]
        second = next((one for one in samples[1:] if one.text != samples[0].text), None)
        if second is not None:
            pair = (samples[0], second)
            yield SheetItem("|".join(one.id for one in pair), asked[name], pair)


def _alone(judged: list[Judged], known: dict[str, SheetItem]) -> Iterator[SheetItem]:
    """Items of corrections whose response is not in the folder: they hold all that is needed."""
    texts = {(one.prompt.id, one.responses[0].text) for one in known.values()}
    for row in judged:
        if isinstance(row, Correction) and (row.prompt_id, row.rejected) not in texts:
            prompt = Prompt(**asked_fields(row), id=row.prompt_id)
            answer = Response(
                id=row.id, prompt_id=row.prompt_id, text=row.rejected, model=row.origin
            )
            yield SheetItem(row.id, prompt, (answer,))
