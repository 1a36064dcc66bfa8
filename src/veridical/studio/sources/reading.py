"""Open a source, whatever it is, as a stream of items."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.records.folders import COMPARISONS_FILE, RESPONSES_FILE
from veridical.studio.settings import Task
from veridical.studio.sources import label_studio, records, tables
from veridical.studio.sources.extras import Extras, with_extras
from veridical.studio.sources.rows import gather_items
from veridical.studio.store.items import NewItem


class Source(NamedTuple):
    """What is to be judged."""

    task: Task
    """What people do with it."""
    name: str
    """A title."""
    items: Iterator[NewItem]
    """The items, in the source's order."""


def find_dataset(
    path: Path,
    *,
    second: Path | None = None,
    task: Task | None = None,
    prompts: Path | None = None,
    outside: bool = False,
    extras: Extras | None = None,
) -> Source:
    """Open a source.

    Args:
        path: A folder that `veridical generate` wrote, a folder of comparisons, a CSV or JSONL file
            with pictures beside it, or a Label Studio export (.json).
        second: Another run over the same prompts: the two are compared, blind.
        task: What people do; by default compare where there are two responses, else correct.
        prompts: The file of prompts, where the run does not say.
        outside: Accept pictures outside of the data's folder.
        extras: Suspected segments, scores and known answers by id.

    Raises:
        ConfigError: It is none of these, or the task does not fit.
        DataError: Rows that cannot be used, each with file and line.
    """
    if not path.exists():
        raise ConfigError(f"There is no file or folder `{path}`. Check the path.")
    if second is not None:
        task = _fitting(task, "compare", path)
        items = gather_items(records.run_pair_items(path, second, prompts=prompts, outside=outside))
    elif path.is_dir() and (path / COMPARISONS_FILE).is_file():
        task = _fitting(task, "compare", path)
        items = gather_items(records.comparison_items(path, outside=outside))
    elif path.is_dir() and (path / RESPONSES_FILE).is_file():
        task = task or "correct"
        items = gather_items(records.run_items(path, task, prompts=prompts, outside=outside))
    elif path.is_file() and path.suffix.lower() == ".json":
        task, items = label_studio.items(path, task, outside=outside)
    elif path.is_file() and path.suffix.lower() in {".csv", ".tsv", ".jsonl"}:
        task, items = tables.items(path, task, outside=outside)
    else:
        raise ConfigError(
            f"`{path}` is neither a run of `veridical generate` (a folder with responses.jsonl), a "
            "folder of comparisons, a .csv, .tsv or .jsonl table, nor a Label Studio .json export."
        )
    return Source(task, path.resolve().stem, with_extras(items, extras))


def _fitting(task: Task | None, wanted: Task, path: Path) -> Task:
    if task not in (None, wanted):
        raise ConfigError(f"`{path}` holds pairs of responses to {wanted}, not to {task}.")
    return wanted
