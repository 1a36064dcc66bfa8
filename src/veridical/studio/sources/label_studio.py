"""Items from a Label Studio export (JSON): tasks with `data`; its predictions become suspects.

`data` holds `image`, `question` (or `prompt`) and `response` (or `text`), or `response_1` and
`response_2`. Pictures are looked for beside the file by the path after "?d=" (local files) or by
their name. Judgements made there stay there: they are not imported, which is said.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from veridical.errors import ConfigError, DataError, Fault
from veridical.feedback.texts.line_ends import shown_text
from veridical.files import JsonObject, read_bytes
from veridical.progress import log
from veridical.records import KINDS
from veridical.studio.settings import Task
from veridical.studio.sources.rows import gather_items, make_item
from veridical.studio.store.items import NewItem


def items(path: Path, task: Task | None, *, outside: bool) -> tuple[Task, Iterator[NewItem]]:
    """The task that an export is for and its items."""
    try:
        rows = json.loads(read_bytes(path))
    except ValueError as error:
        raise DataError([Fault(path, None, f"not valid JSON: {error}")]) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
        raise DataError([Fault(path, None, "a Label Studio export is a JSON list of tasks.")])
    pairs = "response_1" in _data(rows[0])
    if pairs and task not in (None, "compare"):
        raise ConfigError(f"`{path}` holds pairs of responses to compare, not to {task}.")
    judged = sum(bool(row.get("annotations")) for row in rows)
    if judged:
        log(f"{judged} of the tasks were judged in Label Studio; those judgements stay there.")
    chosen: Task = "compare" if pairs else task or "correct"
    return chosen, gather_items(_items(path, rows, outside=outside))


def _items(path: Path, rows: list[JsonObject], *, outside: bool) -> Iterator[Callable[[], NewItem]]:
    for number, row in enumerate(rows, start=1):
        data = _data(row)
        names = ("response_1", "response_2") if "response_1" in data else ("response",)
        texts = [data.get(name) or data.get("text") for name in names]
        image = _local(str(data.get("image") or ""))
        yield partial(
            make_item,
            Fault(path, number, ""),
            key=str(data.get("id") or row.get("id") or f"{path.stem}-{number}"),
            question=data.get("question") or data.get("prompt"),
            texts=texts,
            models=["unknown"] * len(texts),
            images=[image] if image else [],
            reference=data.get("reference"),
            root=path.parent,
            outside=outside,
            suspects=_suspects(row, str(texts[0] or "")) or None,
        )


def _data(row: JsonObject) -> JsonObject:
    data = row.get("data")
    return data if isinstance(data, dict) else {}


def _local(image: str) -> str:
    """The path of a picture beside the export."""
    if "?d=" in image:
        return unquote(image.partition("?d=")[2])
    name = unquote(image.rpartition("/")[2])
    return name if image.startswith(("/data/", "s3:", "gs:")) else image


def _suspects(row: JsonObject, raw: str) -> list[JsonObject]:
    found = []
    for prediction in row.get("predictions") or []:
        for result in prediction.get("result") or [] if isinstance(prediction, dict) else []:
            value = result.get("value") or {}
            if result.get("type") not in ("labels", "hypertextlabels") or "start" not in value:
                continue
            # A browser counts UTF-16 units.
            units = raw.encode("utf-16-le")
            start, end = (
                len(shown_text(units[: 2 * int(value[name])].decode("utf-16-le", "ignore")))
                for name in ("start", "end")
            )
            label = str((value.get("labels") or ["other"])[0]).lower()
            if start < end:
                kind = label if label in KINDS else None
                found.append({"start": start, "end": end, "kind": kind})
    return sorted(found, key=lambda one: (one["start"], one["end"]))
