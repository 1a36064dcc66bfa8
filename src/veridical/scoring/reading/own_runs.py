"""Responses that `veridical generate` wrote, with image and question of their prompts."""

import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from veridical.scoring.protocol import BenchmarkPrompt, Files
from veridical.scoring.rows import Faults, Row, read_rows

_RESPONSES = "responses.jsonl"
_PROMPTS = "prompts.jsonl"
_RECIPE = "recipe.toml"


def responses_file(path: Path) -> Path:
    """The responses in a folder that `veridical generate` wrote, or the path itself."""
    inner = path / _RESPONSES
    return inner if inner.is_file() else path


def with_prompts(rows: Sequence[Row], faults: Faults) -> list[Row]:
    """Rows of `Response` records with question, image and question's id of their prompts.

    Other rows stay as they are. The prompts are those that the run keeps, or that its recipe names.
    """
    if not are_responses(rows):
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


def with_questions(
    rows: Sequence[Row],
    asked: Callable[[], Sequence[BenchmarkPrompt]],
    files: Files,
    faults: Faults,
) -> list[Row]:
    """Rows of `Response` records with all that a benchmark's own file says of their questions.

    A response is matched by its image and question, or else by its prompt's id.

    Args:
        rows: Responses; rows of another kind stay as they are.
        asked: Reads the benchmark's questions; called where it is needed.
        files: The files of the score; `questions` is needed here.
        faults: Where to note responses that belong to no question.
    """
    if not are_responses(rows):
        return list(rows)
    if files.questions is None:
        faults.add_file(
            rows[0].file,
            "responses that veridical generate wrote, which say nothing of the benchmark's own"
            " fields. Give the benchmark's file of questions too: --questions FILE.",
        )
        return []
    known = list(asked())
    seen = [(sight, one) for one in known for sight in _sights(one.image, one.text)]
    times = Counter(sight for sight, _ in seen)  # some are asked twice
    by_sight = {sight: one for sight, one in seen if times[sight] == 1}
    by_id = {one.id: one for one in known}
    made = []
    for row in rows:
        sights = _sights(row.values.get("image"), str(row.values.get("question")))
        one = next((by_sight[sight] for sight in sights if sight in by_sight), None)
        one = one or by_id.get(str(row.values["prompt_id"]))
        if one is None:
            message = (
                f"the response to prompt {row.values['prompt_id']!r} belongs to no question of"
                f" {files.questions.name}: neither image and question nor id are known there. Give"
                " the questions that were asked."
            )
            faults.add(row, message)
            continue
        made.append(row._replace(values={**one.row, "response": row.values["text"]}))
    return made


def _sights(image: object, question: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """What was asked about which image, by its folder and name, and by its name alone."""
    path = image.get("path") if isinstance(image, Mapping) else image
    place = PurePosixPath(str(path or "").replace("\\", "/"))
    asked = question.strip()
    return (f"{place.parent.name}/{place.stem}", asked), (place.stem, asked)


def are_responses(rows: Sequence[Row]) -> bool:
    """Whether rows are `Response` records, as `veridical generate` writes them."""
    return bool(rows) and all({"prompt_id", "text", "model"} <= row.values.keys() for row in rows)


def _joined(row: Row, prompt: Mapping[str, Any]) -> Row:
    known = {"question_id": row.values["prompt_id"]}
    known |= {name: prompt[name] for name in ("question", "image") if prompt.get(name)}
    if prompt.get("image_id") is not None:
        known["image_id"] = prompt["image_id"]
    kept = {name: value for name, value in row.values.items() if name != "id" and value is not None}
    return row._replace(values={**known, **kept})


def _prompts(folder: Path) -> dict[str, Mapping[str, Any]]:
    path = next((place for place in _places(folder) if place.is_file()), None)
    rows = [] if path is None else read_rows(path, Faults())
    return {str(row.values.get("id")): row.values for row in rows}


def _places(folder: Path) -> list[Path]:
    """Where the prompts of a run may lie."""
    try:
        recipe = tomllib.loads((folder / _RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        recipe = {}
    named = recipe.get("prompts")
    others = (Path(), folder, folder.parent) if isinstance(named, str) else ()
    return [folder / _PROMPTS, *(place / str(named) for place in others)]
