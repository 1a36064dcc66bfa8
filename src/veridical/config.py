"""Recipes: TOML files checked against frozen models that reject unknown keys.

A recipe's fields carry their docstrings (unit, the paper's value, source); help and reference docs
are made from them. The resolved recipe is written into the run directory, and running that file
repeats the run.
"""

import copy
import difflib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from veridical.errors import ConfigError
from veridical.files import read_bytes, write_text_atomically
from veridical.recipes import find_recipe
from veridical.validation import Finding, findings

R = TypeVar("R", bound="Recipe")

Settings = Mapping[str, Any]
"""Settings by key, those of a section as an inner mapping, as TOML would hold them."""


class Recipe(BaseModel):
    """Base of all recipes and their sections: frozen, closed, every field documented."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    def differences(self, after: "Recipe") -> list[str]:
        """Dotted names of the settings that another recipe of this kind has otherwise."""
        old, new = _flat(self.model_dump()), _flat(after.model_dump())
        return [name for name in new if old.get(name) != new[name]]


class SectionByName:
    """Marks, within `Annotated`, a section whose model is picked by the value of its key `name`."""

    def __init__(
        self, *, find: Callable[[str], type[Recipe]], names: Callable[[], list[str]], default: str
    ) -> None:
        """Take the table of models.

        Args:
            find: Gives the model of a name.
            names: Lists all names.
            default: The name of a section that states none.
        """
        self.find = find
        self.names = names
        self._default = default

    def model_of(self, section: object) -> type[Recipe] | None:
        """The model of a section as it was given; None if it is not a table or of unknown name."""
        if not isinstance(section, Mapping):
            return None
        name = section.get("name", self._default)
        return self.find(name) if name in self.names() else None

    def owners(self, key: str) -> list[str]:
        """Names of the models that have a key."""
        return [name for name in self.names() if key in self.find(name).model_fields]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def _read(self, section: object) -> object:
        if not isinstance(section, Mapping):
            return section
        model = self.model_of(section)
        if model is None:
            wrong = PydanticCustomError("unknown_name", f"must be one of {', '.join(self.names())}")
            details = InitErrorDetails(type=wrong, loc=("name",), input=section.get("name"))
            raise ValidationError.from_exception_data("section", [details])
        return model.model_validate(section)


def load_recipe(
    path: Path | str,
    recipe_type: type[R],
    *,
    settings: Settings | None = None,
    overrides: Sequence[str] = (),
) -> R:
    """Read a recipe and apply settings and `key.path=value` overrides.

    Args:
        path: A TOML file, or the name of a shipped recipe (`veridical recipes` lists them).
        recipe_type: The recipe's model.
        settings: Settings that override the file, sections as inner mappings; this is how code
            changes a recipe.
        overrides: Settings that win over both, as people type them; values are TOML
            (`train.learning_rate=1e-5`), a bare word is taken as a string.

    Raises:
        ConfigError: The file is missing or no TOML, or a key or value is wrong; all faults at once.
        StorageError: The disk refused.
    """
    path = find_recipe(path)
    try:
        data = tomllib.loads(read_bytes(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{path}` is not valid TOML: {error}. Fix the file.") from error
    return resolve_recipe(
        merge_settings(data, settings or {}), recipe_type, overrides=overrides, where=str(path)
    )


def merge_settings(*tables: Settings) -> dict[str, Any]:
    """Merge nested settings into new ones; later tables win, key by key within sections."""
    merged: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            before = merged.get(key)
            if isinstance(value, Mapping) and isinstance(before, Mapping):
                merged[key] = merge_settings(before, value)
            else:
                merged[key] = copy.deepcopy(value)
    return merged


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
        lines = [f"  {_describe(finding, recipe_type, data)}" for finding in findings(error)]
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


def _flat(values: Settings, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


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
                f"The override {override!r} goes into `{'.'.join(steps[: depth + 1])}`, which is"
                " not a table."
            )
    data[steps[-1]] = value


def _describe(finding: Finding, recipe_type: type[BaseModel], data: Settings) -> str:
    if finding.kind == "extra_forbidden":
        return f"unknown key `{finding.where}`.{_advice(finding.path, recipe_type, data)}"
    if finding.kind == "missing":
        return f"`{finding.where}` is missing. Set it."
    return f"`{finding.where}`: {finding.text}." if finding.path else f"{finding.text}."


def _advice(path: Sequence[str | int], recipe_type: type[BaseModel], data: Settings) -> str:
    """What to write instead of an unknown key."""
    *sections, key = path
    model, chooser = _model_at(recipe_type, sections, data)
    owners = chooser.owners(str(key)) if chooser is not None else []
    if owners:
        named = " or ".join(f'"{name}"' for name in owners)
        return f" It goes with `name` = {named}."
    known = [] if model is None else list(model.model_fields)
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    near += [name for name in known if _initials(name) == key]  # lr for learning_rate
    if near:
        return f" Did you mean `{near[0]}`?"
    return f" Known keys: {', '.join(sorted(known))}." if known else ""


def _initials(name: str) -> str:
    return "".join(word[:1] for word in name.split("_"))


def _model_at(
    model: type[BaseModel], path: Sequence[str | int], data: object
) -> tuple[type[BaseModel] | None, SectionByName | None]:
    """The model of a section, and what chose it if its `name` did."""
    chooser = None
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else None
        if isinstance(step, int):
            continue  # an index: the model inside the list is known already
        field = model.model_fields.get(step)
        chooser = None if field is None else _chooser(field)
        inner = None if field is None else _model_in(field.annotation)
        if chooser is not None:
            inner = chooser.model_of(data or {})
        if inner is None:
            return None, None
        model = inner
    return model, chooser


def _chooser(field: FieldInfo) -> SectionByName | None:
    return next((item for item in field.metadata if isinstance(item, SectionByName)), None)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(
        (found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None
    )
