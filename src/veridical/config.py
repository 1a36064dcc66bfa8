"""Recipes: TOML files checked against frozen models that reject unknown keys.

A recipe's fields carry their docstrings (unit, the paper's value, source); help and reference docs
are made from them. The resolved recipe is written into the run directory, and running that file
repeats the run.
"""

import copy
import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from veridical.errors import ConfigError
from veridical.files import read_bytes, write_text_atomically
from veridical.recipes import find_recipe
from veridical.validation import Finding, findings

R = TypeVar("R", bound="Recipe")


class Recipe(BaseModel):
    """Base of all recipes and their sections: frozen, closed, every field documented."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


def load_recipe(path: Path | str, recipe_type: type[R], *, overrides: Sequence[str] = ()) -> R:
    """Read a recipe and apply `key.path=value` overrides.

    Args:
        path: A TOML file, or the name of a shipped recipe (`veridical recipes` lists them).
        recipe_type: The recipe's model.
        overrides: Settings that win over the file; values are TOML (`train.learning_rate=1e-5`), a
            bare word is taken as a string.

    Raises:
        ConfigError: The file is missing or no TOML, or a key or value is wrong; all faults at once.
        StorageError: The disk refused.
    """
    path = find_recipe(path)
    try:
        data = tomllib.loads(read_bytes(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{path}` is not valid TOML: {error}. Fix the file.") from error
    return resolve_recipe(data, recipe_type, overrides=overrides, where=str(path))


def resolve_recipe(
    data: dict[str, Any],
    recipe_type: type[R],
    *,
    overrides: Sequence[str] = (),
    where: str = "recipe",
) -> R:
    """Check a recipe given as a dictionary, which stays as it is; see `load_recipe`."""
    data = copy.deepcopy(data)
    for override in overrides:
        _apply_override(data, override)
    try:
        return recipe_type.model_validate(data)
    except ValidationError as error:
        lines = [f"  {_describe(finding, recipe_type)}" for finding in findings(error)]
        count = f"{len(lines)} {'fault' if len(lines) == 1 else 'faults'}"
        raise ConfigError("\n".join([f"`{where}` has {count}:", *lines])) from error


def write_recipe(recipe: Recipe, path: Path | str) -> Path:
    """Write the resolved recipe, every default filled in; loading it gives an equal recipe.

    Raises:
        ConfigError: A field is None although its default is not: TOML has no way to say so.
        StorageError: The disk refused.
    """
    text = to_toml(recipe.model_dump(mode="json", exclude_none=True))
    again = type(recipe).model_validate(tomllib.loads(text))
    lost = [
        name for name in type(recipe).model_fields if getattr(again, name) != getattr(recipe, name)
    ]
    if lost:
        raise ConfigError(
            f"The recipe for `{path}` cannot be written as TOML: `{'`, `'.join(lost)}` would read"
            " back as something else, since TOML has no None. Set a value."
        )
    return write_text_atomically(path, text)


def to_toml(data: dict[str, Any]) -> str:
    """Write a nested dictionary of plain values as TOML (tomllib only reads)."""
    return "\n".join(_toml_lines(data, ())).strip() + "\n"


def _toml_lines(data: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [
        f"{_toml_key(key)} = {_toml_value(value)}"
        for key, value in data.items()
        if not isinstance(value, dict)
    ]
    for key, value in data.items():
        if isinstance(value, dict):
            inner = (*path, key)
            lines += ["", "[" + ".".join(map(_toml_key, inner)) + "]", *_toml_lines(value, inner)]
    return lines


def _toml_key(key: str) -> str:
    return (
        key
        if key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
        else _toml_string(key)
    )


def _toml_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return _toml_string(value)
    return repr(value)


def _apply_override(data: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    steps = key.strip().split(".")
    if not sign or not all(steps):
        raise ConfigError(f"The override {override!r} is not of the form key.path=value.")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    value = (
        parsed["value"] if len(parsed) == 1 else text
    )  # a line break could smuggle in a second key
    for depth, step in enumerate(steps[:-1]):
        data = data.setdefault(step, {})
        if not isinstance(data, dict):
            raise ConfigError(
                f"The override {override!r} goes into `{'.'.join(steps[: depth + 1])}`, which is no"
                " table."
            )
    data[steps[-1]] = value


def _describe(finding: Finding, recipe_type: type[BaseModel]) -> str:
    if finding.kind == "extra_forbidden":
        known = _known_keys(recipe_type, finding.path[:-1])
        near = difflib.get_close_matches(str(finding.path[-1]), known, n=1, cutoff=0.5)
        hint = (
            f" Did you mean `{near[0]}`?"
            if near
            else f" Known keys: {', '.join(sorted(known))}."
            if known
            else ""
        )
        return f"unknown key `{finding.where}`.{hint}"
    if finding.kind == "missing":
        return f"`{finding.where}` is missing. Set it."
    return f"`{finding.where}`: {finding.text}." if finding.path else f"{finding.text}."


def _known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    for step in path:
        if isinstance(step, int):
            continue  # an index: the model inside the list is known already
        field = model.model_fields.get(step)
        inner = _model_in(field.annotation) if field is not None else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(
        (found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None
    )
