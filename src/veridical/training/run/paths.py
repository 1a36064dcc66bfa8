"""Paths in the recipe of a training: made absolute, so that it works from anywhere; fingerprints.

The type of a field says what its path is (`corrections: DataPath`); nothing else lists them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from pydantic import BaseModel

from veridical.config import Recipe
from veridical.files import hash_file
from veridical.plugins import is_named_model

R = TypeVar("R", bound=Recipe)


class _Kind(NamedTuple):
    is_model: bool
    """It may also be the name or hub id of a model, which is left alone."""
    fingerprinted: str
    """Files of a folder that a run depends on, as a pattern; empty: none."""


ModelPath = Annotated[str, _Kind(is_model=True, fingerprinted="")]
"""Folder or hub id of a base model, whose weights are fingerprinted once they are loaded."""
AdapterPath = Annotated[str, _Kind(is_model=True, fingerprinted="**/*")]
"""Folder of an adapter or a reward model, read while training; all of its files count."""
DataPath = Annotated[str, _Kind(is_model=False, fingerprinted="*.jsonl")]
"""File of records, or folder of such files, that is learnt from or measured on."""
WorkPath = Annotated[str, _Kind(is_model=False, fingerprinted="")]
"""Folder that a run writes to."""


class _PathField(NamedTuple):
    value: str
    kind: _Kind


def with_absolute_paths(recipe: R) -> R:
    """Make the paths of a recipe absolute; empty ones, hub ids and names of models stay."""
    changed: dict[str, object] = {}
    for name in type(recipe).model_fields:
        value = getattr(recipe, name)
        path = _path_field(recipe, name)
        if path is not None:
            changed[name] = _absolute(path)
        elif isinstance(value, Recipe):
            changed[name] = with_absolute_paths(value)
    # Only what differs: a section remembers which of its fields were set, and presets go by that.
    changed = {name: value for name, value in changed.items() if value != getattr(recipe, name)}
    return recipe.model_copy(update=changed) if changed else recipe


def fingerprint_inputs(recipe: Recipe) -> dict[str, str]:
    """Sha256 by path of every file that the recipe reads; files that are missing have none."""
    files = dict.fromkeys(file for path in _path_fields(recipe) for file in _files_of(path))
    return {str(file): hash_file(file) for file in files}


def _files_of(path: _PathField) -> list[Path]:
    place, pattern = Path(path.value), path.kind.fingerprinted
    if not path.value or not pattern:
        return []
    if place.is_file():
        return [place]
    return sorted(file for file in place.glob(pattern) if file.is_file()) if place.is_dir() else []


def _path_fields(section: Recipe) -> Iterator[_PathField]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        path = _path_field(section, name)
        if path is not None:
            yield path
        elif isinstance(value, Recipe):
            yield from _path_fields(value)


def _path_field(section: BaseModel, name: str) -> _PathField | None:
    metadata = type(section).model_fields[name].metadata
    kind = next((item for item in metadata if isinstance(item, _Kind)), None)
    return None if kind is None else _PathField(getattr(section, name), kind)


def _absolute(path: _PathField) -> str:
    text = path.value
    if not text or (path.kind.is_model and (is_named_model(text) or not Path(text).is_dir())):
        return text
    return str(Path(text).absolute())
