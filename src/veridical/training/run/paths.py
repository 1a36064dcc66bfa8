"""Paths in the recipe of a training: made absolute, so that it works from anywhere; fingerprints.

The type of a field says what its path is (`corrections: DataPath`); nothing else lists them.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

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
    """Sha256 by path of every file that the recipe reads; files that are missing have none.

    Pictures whose hash does not stand in their record are fingerprinted too, those of a file
    together.
    """
    files = dict.fromkeys(file for path in _path_fields(recipe) for file in _files_of(path))
    found = {str(file): hash_file(file) for file in files}
    for file in files:
        pictures = _hash_pictures(file) if file.suffix == ".jsonl" else ""
        found |= {f"{file} (pictures)": pictures} if pictures else {}
    return found


def _hash_pictures(file: Path) -> str:
    """Sha256 over the pictures that a file's records name without a hash; empty: there are none."""
    paths: dict[str, None] = {}
    with file.open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line) if b'"path"' in line else None
            except (ValueError, RecursionError):  # a fault that reading reports
                continue
            for image in _images_of(row):
                if not image.get("sha256") and isinstance(image.get("path"), str):
                    paths[image["path"]] = None
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path}\0{_hash_if_there(file.parent / path)}\n".encode("utf-8", "replace"))
    return digest.hexdigest() if paths else ""


def _images_of(row: object) -> list[dict[str, Any]]:
    if not isinstance(row, dict):
        return []
    more = row.get("more_images")
    named = [row.get("image"), *(more if isinstance(more, list) else [])]
    return [image for image in named if isinstance(image, dict)]


def _hash_if_there(path: Path) -> str:
    try:
        return hash_file(path)
    except (OSError, ValueError):  # a fault that reading reports
        return ""


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
