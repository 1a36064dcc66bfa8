"""Write docs/reference and the benchmarks' pages from the code: one declaration a fact, and the pages follow.

`python docs/generate.py` writes the pages, `--check` fails where one is behind the code.
"""

import importlib
import inspect
import json
import pkgutil
import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import veridical
from veridical import cli, records
from veridical.config import Recipe
from veridical.scoring.page import benchmark_index, benchmark_page
from veridical.scoring.registry import find_benchmark, own_benchmark_names

FOLDER = Path(__file__).parent
_NOTE = (
    "<!-- Written by docs/generate.py from the code. Change the docstrings there, then run `make"
    " docs`. -->"
)
_NOTE_ON_CARDS = (
    "<!-- Written by docs/generate.py from the benchmarks' cards. Change them, then run `make"
    " docs`. -->"
)
_BOUNDS = {
    "ge": "≥",
    "gt": ">",
    "le": "≤",
    "lt": "<",
    "min_length": "length ≥",
    "max_length": "length ≤",
}
_PLAIN_NAMES = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "true or false",
    "Path": "path",
}


def main() -> None:
    """Write the pages, or with --check say which are behind."""
    behind = []
    for name, text in pages().items():
        path = FOLDER / name
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            behind.append(str(path.relative_to(FOLDER.parent)))
    if behind:
        sys.exit(
            f"Behind the code: {', '.join(behind)}. Run `make docs` and commit what it writes."
        )


def pages() -> dict[str, str]:
    """All pages by their path below docs."""
    return {
        "reference/recipes.md": _recipes_page(),
        "reference/records.md": _records_page(),
        "reference/cli.md": _cli_page(),
        **_benchmark_pages(),
    }


def _benchmark_pages() -> dict[str, str]:
    made = [find_benchmark(name) for name in own_benchmark_names()]
    index = [
        _NOTE_ON_CARDS,
        "# Benchmarks\n",
        (
            "`veridical score NAME` gives the numbers of answers that exist already, as the"
            " official code counts them and, where that is faulty, in a better way; each with its"
            " interval. Which numbers of the official code are reproduced is listed in"
            " [exactness](exactness.md); how to add a benchmark stands in [a benchmark of your"
            " own](own.md).\n"
        ),
        benchmark_index(made),
    ]
    pages = {
        f"benchmarks/{one.name}.md": _joined([_NOTE_ON_CARDS, benchmark_page(one)]) for one in made
    }
    return {"benchmarks/README.md": _joined(index), **pages}


def _recipes_page() -> str:
    every = _recipes()
    inner = {model for recipe in every for model in _models_in(recipe)}
    parts = [
        _NOTE,
        "# Recipes\n",
        (
            "A recipe is a TOML file; any setting can be given on the command line as"
            " `key.path=value`. Unknown keys are refused. The recipe with every default filled in"
            " is written to the run directory, and running that file repeats the run.\n"
        ),
    ]
    for recipe in every:
        if recipe not in inner:
            parts += [f"## {recipe.__name__}\n", f"`{recipe.__module__}`\n", *_sections(recipe, "")]
    return _joined(parts)


def _recipes() -> list[type[Recipe]]:
    for info in pkgutil.walk_packages(veridical.__path__, "veridical."):
        importlib.import_module(info.name)
    waiting: list[type[Recipe]] = [Recipe]
    found = set()
    while waiting:
        children = waiting.pop().__subclasses__()
        waiting += children
        found |= {child for child in children if child.__module__.startswith("veridical.")}
    return sorted(found, key=lambda recipe: (recipe.__module__, recipe.__name__))


def _sections(recipe: type[BaseModel], prefix: str) -> Iterator[str]:
    doc = inspect.getdoc(recipe) or ""
    if prefix:
        yield f"### `[{prefix.removesuffix('.')}]`\n"
    yield f"{doc}\n"
    yield _table(recipe)
    for name, field in recipe.model_fields.items():
        for model in _models_of(field.annotation):
            yield from _sections(model, f"{prefix}{name}.")


def _records_page() -> str:
    kinds = [
        value
        for name in records.__all__
        if _is_model(value := vars(records)[name]) and value is not records.Record
    ]
    parts = [
        _NOTE,
        "# Records\n",
        (
            'What lies on disk: one JSON object a line, after a header line `{"veridical": KIND,'
            ' "schema_version": N}`. How the kinds belong together stands in [data'
            " formats](../data_formats.md).\n"
        ),
    ]
    for kind in kinds:
        parts += [f"## {kind.__name__}\n", f"{inspect.getdoc(kind)}\n", _table(kind)]
    return _joined(parts)


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        meaning = " ".join((field.description or "").split())
        cells = [f"`{name}`", _type_text(field), _default_text(field), meaning]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _type_text(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(item, name)}"
        for item in field.metadata
        for name, sign in _BOUNDS.items()
        if getattr(item, name, None) is not None
    ]
    return ", ".join([_annotation_text(field.annotation), *bounds])


def _annotation_text(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(
            f"`{value!r}`".replace("'", '"') for value in typing.get_args(annotation)
        )
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return " or ".join(map(_annotation_text, typing.get_args(annotation)))
    if typing.get_origin(annotation) in {tuple, list}:
        inner = [item for item in typing.get_args(annotation) if item is not Ellipsis]
        return "list of " + ", ".join(dict.fromkeys(map(_annotation_text, inner)))
    if typing.get_origin(annotation) is dict:
        return "table of " + _annotation_text(typing.get_args(annotation)[1])
    if annotation is type(None):
        return "nothing"
    if _is_model(annotation):
        return (
            "table"
            if issubclass(annotation, Recipe)
            else f"[{annotation.__name__}](#{annotation.__name__.lower()})"
        )
    return (
        "anything"
        if annotation is Any
        else _PLAIN_NAMES.get(annotation.__name__, annotation.__name__)
    )


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined or isinstance(default, BaseModel):
        return "as below"
    return (
        "nothing"
        if default is None
        else f"`{json.dumps(default, default=str, ensure_ascii=False)}`"
    )


def _models_in(recipe: type[BaseModel]) -> set[type[BaseModel]]:
    return {
        model for field in recipe.model_fields.values() for model in _models_of(field.annotation)
    }


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if _is_model(annotation):
        return [annotation]
    return [model for inner in typing.get_args(annotation) for model in _models_of(inner)]


def _is_model(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseModel)


def _cli_page() -> str:
    parts = [
        _NOTE,
        "# Command line\n",
        (
            "Exit codes: 0 done, 1 our error (one message; `--traceback` shows where), 2 wrong"
            " usage, 130 interrupted.\n"
        ),
    ]
    for verb in cli.available_verbs():
        parts += _help_of(cli.load_verb(verb), f"veridical {verb}", level=2)
    return _joined(parts)


def _help_of(command: Any, name: str, *, level: int) -> Iterator[str]:
    context = typer.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    text = re.sub(r"[ \t]+$", "", command.get_help(context), flags=re.MULTILINE).strip()
    yield f"{'#' * level} {name}\n"
    yield f"```text\n{text}\n```\n"
    for inner, sub in getattr(command, "commands", {}).items():
        yield from _help_of(sub, f"{name} {inner}", level=3)


def _joined(parts: list[str]) -> str:
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    main()
