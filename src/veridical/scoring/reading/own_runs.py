"""Responses that `veridical generate` wrote, with image and question of their prompts."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from veridical.scoring.rows import Faults, Row, read_rows

_RESPONSES = "responses.jsonl"
_RECIPE = "recipe.toml"


def responses_file(path: Path) -> Path:
    """The responses in a folder that `veridical generate` wrote, or the path itself."""
    inner = path / _RESPONSES
    return inner if inner.is_file() else path


def with_prompts(rows: Sequence[Row], faults: Faults) -> list[Row]:
    """Rows of `Response` records with question, image and question's id of their prompts.

    Other rows stay as they are. The prompts are those that the run's recipe names, if still
    there.
    """
    if not rows or not all({"prompt_id", "text"} <= row.values.keys() for row in rows):
        return list(rows)
    several = next((row for row in rows if row.values.get("sample")), None)
    if several is not None:
        faults.add(
            several,
            "several responses per prompt, where a benchmark scores one. Generate with"
            " num_samples=1, or keep the rows of one `sample`.",
        )
    prompts = _prompts(rows[0].file.parent)
    return [_joined(row, prompts.get(str(row.values["prompt_id"]), {})) for row in rows]


def _joined(row: Row, prompt: Mapping[str, Any]) -> Row:
    known = {"question_id": row.values["prompt_id"]}
    known |= {name: prompt[name] for name in ("question", "image") if prompt.get(name)}
    if prompt.get("image_id") is not None:
        known["image_id"] = prompt["image_id"]
    kept = {name: value for name, value in row.values.items() if name != "id" and value is not None}
    return row._replace(values={**known, **kept})


def _prompts(folder: Path) -> dict[str, Mapping[str, Any]]:
    try:
        recipe = tomllib.loads((folder / _RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    named = recipe.get("prompts")
    if not isinstance(named, str):
        return {}
    places = [Path(named), folder / named, folder.parent / named]
    path = next((place for place in places if place.is_file()), None)
    rows = [] if path is None else read_rows(path, Faults())
    return {str(row.values.get("id")): row.values for row in rows}
