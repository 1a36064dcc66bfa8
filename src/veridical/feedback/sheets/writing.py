"""A folder of responses as a sheet: one row for each item, or for each judgement that is there."""

from collections.abc import Iterator
from pathlib import Path

from veridical.errors import ConfigError
from veridical.feedback.sheets.items import Judged, SheetItem, SheetItems, find_items, item_of
from veridical.feedback.sheets.marks import show_marks
from veridical.feedback.sheets.rows import COLUMNS, SheetTask, show_preferred
from veridical.feedback.sheets.tables import write_table
from veridical.records import Comparison, Correction, Marking
from veridical.records.texts import number_pictures


def write_sheet(
    folder: Path, table: Path, *, task: SheetTask | None = None, prompts: Path | None = None
) -> int:
    """Write a sheet for people to fill.

    Args:
        folder: What `veridical generate` wrote, or any folder of records.
        table: The .csv or .xlsx file; it must not exist, since it might be filled already.
        task: What people do; by default what the folder has judgements of, else correct.
        prompts: The file of prompts, where the folder does not say.

    Returns:
        The number of rows.

    Raises:
        ConfigError: The table exists, or there is nothing to judge.
        DataError: Records that are not valid.
        StorageError: The disk refused.
    """
    if table.exists():
        raise ConfigError(f"`{table}` exists already, perhaps filled. Name a new file.")
    found = find_items(folder, task, prompts=prompts)
    rows = list(_rows(found))
    write_table(table, COLUMNS[found.task], rows)
    return len(rows)


def kinds_cell(row: Correction) -> str:
    """The kinds of a correction's segments as a sheet shows them."""
    return ", ".join(segment.kind for segment in row.segments)


def _rows(found: SheetItems) -> Iterator[list[str]]:
    judged: dict[str, list[Judged]] = {}
    by_text = {
        (one.prompt.id, one.responses[0].text): one.id for one in reversed(found.items.values())
    }
    for row in found.judged.values():
        key = item_of(row)
        if isinstance(row, Correction):
            key = by_text[row.prompt_id, row.rejected]
        judged.setdefault(key, []).append(row)
    for item in found.items.values():
        known: list[Judged | None] = [*judged.get(item.id, [])]
        for given in known or [None]:
            paths = "\n".join(image.path for image in item.prompt.images)
            shared = [item.id, paths, "\n".join(number_pictures(item.prompt.turns))]
            texts = [one.text for one in item.responses]
            yield [*shared, *texts, *_said(found.task, item, given), *_after(given)]


def _said(task: SheetTask, item: SheetItem, row: Judged | None) -> list[str]:
    if row is None:  # corrected and marked texts begin as the response, to be changed in place
        return [item.responses[0].text, "", ""] if task in ("correct", "mark") else ["", ""]
    if isinstance(row, Correction):
        right = row.chosen == row.rejected
        return [row.chosen, "" if right else kinds_cell(row), "x" if right else ""]
    if isinstance(row, Comparison):
        about = {True: "yes", False: "no", None: ""}[row.hallucination]
        return [show_preferred(row.preferred), about]
    if isinstance(row, Marking):
        return marked_cells(item, row)
    return [str(row.score), row.reason]


def marked_cells(item: SheetItem, row: Marking) -> list[str]:
    """What a sheet shows of a marking: the marked text, the kinds, whether nothing is wrong."""
    marks = sorted(row.segments, key=lambda mark: mark.span)
    kinds = ", ".join(mark.kind for mark in marks)
    return [show_marks(item.responses[0].text, marks), kinds, "" if marks else "x"]


def _after(row: Judged | None) -> list[str]:
    if row is None:
        return ["", "", "", ""]
    return ["", row.annotator, "" if row.seconds is None else repr(row.seconds), row.id]
