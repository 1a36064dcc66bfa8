"""Recipes: TOML files checked against frozen models that refuse unknown keys and name the nearest known one.

A recipe's fields carry their docstrings (unit, the paper's value, source); help and reference docs are made from
them. The resolved recipe is written into the run directory, and running that file repeats the run.
"""

import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from veridical.errors import ConfigError
from veridical.files import write_text_atomically

R = TypeVar("R", bound="Recipe")


class Recipe(BaseModel):
    """Base of all recipes and their sections: frozen, closed, every field documented."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


def load_recipe(path: Path | str, recipe_type: type[R], *, overrides: Sequence[str] = ()) -> R:
    """Read a recipe file and apply `key.path=value` overrides.

    Args:
        path: A TOML file.
        recipe_type: The recipe's model.
        overrides: Settings that win over the file; values are TOML (`train.learning_rate=1e-5`), a bare word is
            taken as a string.

    Raises:
        ConfigError: The file is missing or no TOML, or a key or value is wrong; all faults at once.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            f"There is no recipe `{path}`. Check the path; `veridical train --help` lists shipped recipes."
        )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{path}` is not valid TOML: {error}. Mend the file.") from error
    return resolve_recipe(data, recipe_type, overrides=overrides, where=str(path))


def resolve_recipe(
    data: dict[str, Any], recipe_type: type[R], *, overrides: Sequence[str] = (), where: str = "recipe"
) -> R:
    """Check a recipe given as a dictionary; see `load_recipe`."""
    for override in overrides:
        _apply_override(data, override)
    try:
        return recipe_type.model_validate(data)
    except ValidationError as error:
        lines = [f"  {_describe(item, recipe_type)}" for item in error.errors(include_url=False)]
        raise ConfigError("\n".join([f"`{where}` has {len(lines)} fault(s):", *lines])) from error


def write_recipe(recipe: Recipe, path: Path | str) -> Path:
    """Write the resolved recipe, every default filled in; loading it gives an equal recipe."""
    return write_text_atomically(path, to_toml(recipe.model_dump(mode="json", exclude_none=True)))


def to_toml(data: dict[str, Any]) -> str:
    """Write a nested dictionary of plain values as TOML (tomllib only reads)."""
    return "\n".join(_toml_lines(data, ())).strip() + "\n"


def _toml_lines(data: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in data.items() if not isinstance(value, dict)]
    for key, value in data.items():
        if isinstance(value, dict):
            inner = (*path, key)
            lines += ["", "[" + ".".join(map(_toml_key, inner)) + "]", *_toml_lines(value, inner)]
    return lines


def _toml_key(key: str) -> str:
    return key if key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key) else json.dumps(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _apply_override(data: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    steps = key.strip().split(".")
    if not sign or not all(steps):
        raise ConfigError(f"The override {override!r} is not of the form key.path=value.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for depth, step in enumerate(steps[:-1]):
        data = data.setdefault(step, {})
        if not isinstance(data, dict):
            raise ConfigError(
                f"The override {override!r} goes into `{'.'.join(steps[: depth + 1])}`, which is no table."
            )
    data[steps[-1]] = value


def _describe(item: Any, recipe_type: type[BaseModel]) -> str:
    where = ".".join(str(step) for step in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _known_keys(recipe_type, item["loc"][:-1])
        near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"Did you mean `{near[0]}`?" if near else f"Known keys: {', '.join(sorted(known))}."
        return f"unknown key `{where}`. {hint}"
    if item["type"] == "missing":
        return f"`{where}` is missing. Set it."
    return f"`{where}`: {item['msg'].lower()}, got {item.get('input')!r}."


def _known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    for step in path:
        field = model.model_fields.get(str(step))
        inner = _model_in(field.annotation) if field is not None else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
