"""Items from a table: CSV, TSV or JSON lines, pictures beside it.

Columns: `image` (a path, several separated by "|"; a list in JSON), `question`, `response`, or
`response_1` and `response_2` to compare; where there are: `id`, `reference`, `model`, `model_1`,
`model_2`, `score`.
"""

import csv
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from veridical.errors import ConfigError, DataError, Fault
from veridical.files import JsonObject, read_bytes, read_jsonl_rows
from veridical.studio.settings import Task
from veridical.studio.sources.rows import Context, gather_items, make_item
from veridical.studio.store.items import NewItem


def items(path: Path, task: Task | None, *, outside: bool) -> tuple[Task, Iterator[NewItem]]:
    """The task that a table is for and its items."""
    rows = list(_rows(path))
    if not rows:
        raise DataError([Fault(path, None, "there is no row. Give another file.")])
    pairs = "response_1" in rows[0][1]
    if pairs and task not in (None, "compare"):
        raise ConfigError(f"`{path}` holds pairs of responses to compare, not to {task}.")
    if not pairs and task == "compare":
        raise ConfigError(f"To compare, `{path}` needs the columns response_1 and response_2.")
    chosen: Task = "compare" if pairs else task or "correct"
    return chosen, gather_items(_items(path, rows, outside=outside))


def _items(
    path: Path, rows: list[tuple[int, JsonObject]], *, outside: bool
) -> Iterator[Callable[[], NewItem]]:
    for line, row in rows:
        images = row.get("image") or row.get("images") or ""
        paths = images if isinstance(images, list) else str(images).split("|")
        names = ("response_1", "response_2") if "response_1" in row else ("response",)
        yield partial(
            make_item,
            Fault(path, line, ""),
            key=str(row.get("id") or f"{path.stem}-{line}"),
            question=row.get("question") or row.get("prompt"),
            texts=[row.get(name) for name in names],
            models=[
                str(row.get(name.replace("response", "model")) or row.get("model") or "unknown")
                for name in names
            ],
            images=[str(one).strip() for one in paths if one],
            reference=row.get("reference") or None,
            context=Context(row.get("system") or "", row.get("history") or ()),
            root=path.parent,
            outside=outside,
        )


def _rows(path: Path) -> Iterator[tuple[int, JsonObject]]:
    if path.suffix.lower() == ".jsonl":
        for row in read_jsonl_rows(path):
            if row.fault is not None or not isinstance(row.value, dict):
                raise DataError([Fault(path, row.line, row.fault or "not a JSON object.")])
            yield row.line, row.value
        return
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError([Fault(path, None, "not UTF-8. Save the table as UTF-8.")]) from error
    # Spreadsheets write semicolons in much of Europe.
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;", key=text.split("\n")[0].count)
    csv.field_size_limit(2**20)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    for cells in reader:
        yield reader.line_num, {str(name): value for name, value in cells.items()}
