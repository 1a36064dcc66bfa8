"""Training data given in memory: rows or records are written into the run directory first.

So a run from Python leaves what a run from the shell leaves: a recipe that repeats it, data that
can be looked at, and fingerprints of that data. Rows are dictionaries with the fields of TRL, of a
`datasets.Dataset` or any other iterable; images are PIL images, bytes or paths.
"""

import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TypeVar

from PIL.Image import Image

from veridical.errors import ConfigError
from veridical.files import hash_folder
from veridical.formats.importing import import_rows
from veridical.records import Asked, Conversation, Record, Source
from veridical.records.folders import FACTS_FILE, RECORD_OF_FILE, Contents, write_contents
from veridical.records.images import read_image
from veridical.training.run.directory import is_only_prepared
from veridical.training.run.settings import TrainingRecipe

Examples = Iterable[Mapping[str, object] | Record]
"""Rows, or records of one kind."""
R = TypeVar("R", bound=TrainingRecipe)

DATA_FOLDER = "data"
"""Where in the run directory the data lies."""
_NEW_FOLDER = ".data-new"
_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"}


def place_in_memory(
    examples: Examples | None, *, field: str, file: str, judged_by: Source
) -> Callable[[R, Path], R] | None:
    """Give the function that writes data into a run directory and names it in the recipe.

    Args:
        examples: The data; None: the recipe names it, and there is nothing to write.
        field: The setting of the recipe's `data` section that names it.
        file: The file of records that is named; empty: the folder.
        judged_by: Who judged, or wrote the answers, where records do not say so themselves.
    """
    if examples is None:
        return None

    def place(recipe: R, run_dir: Path) -> R:
        folder = write_examples(examples, run_dir, judged_by=judged_by)
        if file and not (folder / file).is_file():
            held = [name for name in RECORD_OF_FILE if (folder / name).is_file()]
            raise ConfigError(
                f"The data given makes {', '.join(held) or 'no records'}, where {file} is needed."
                " Check the rows' fields."
            )
        named = {field: str((folder / file).absolute())}
        if "facts" in type(recipe.data).model_fields and (folder / FACTS_FILE).is_file():
            named["facts"] = str((folder / FACTS_FILE).absolute())
        data = recipe.data.model_copy(update=named)
        return recipe.model_copy(update={"data": data})

    return place


def write_examples(examples: Examples, run_dir: Path, *, judged_by: Source) -> Path:
    """Write data into a run directory, unless a run there learns from other data; give its folder.

    Raises:
        ConfigError: The data is several splits or nothing, or the run was started with other data.
        DataError: Rows that cannot be learnt from, all of them, each with its number.
        StorageError: The disk refused.
    """
    if isinstance(examples, Mapping):
        names = ", ".join(repr(name) for name in examples)
        raise ConfigError(f"The data must be one split, got several ({names}). Give one of them.")
    folder, new = run_dir / DATA_FOLDER, run_dir / _NEW_FOLDER
    shutil.rmtree(new, ignore_errors=True)  # left there by a process that was killed
    try:
        _write(examples, new, judged_by=judged_by)
        if not folder.exists():
            new.rename(folder)
        elif hash_folder(folder, pattern="*.jsonl") != hash_folder(new, pattern="*.jsonl"):
            if not is_only_prepared(run_dir):
                raise ConfigError(
                    f"`{run_dir}` holds a run that was started with other data than is given now."
                    " Give the same data, or another folder."
                )
            shutil.rmtree(folder)
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def _write(examples: Examples, folder: Path, *, judged_by: Source) -> None:
    iterator = iter(examples)
    first = next(iterator, None)
    if first is None:
        raise ConfigError("The data given is empty. Give at least one row.")
    everything = chain([first], iterator)
    if isinstance(first, Record):
        write_contents(folder, _contents(everything))
    else:
        import_rows(_plain_rows(everything), folder, judged_by=judged_by)


def _contents(records: Iterable[object]) -> Contents:
    kinds: dict[type[Record], list[object]] = {kind: [] for kind in RECORD_OF_FILE.values()}
    for number, record in enumerate(records, start=1):
        kind = next((kind for kind in kinds if isinstance(record, kind)), None)
        if kind is None:
            raise ConfigError(
                f"Item {number} of the data is not a record as the first is, got"
                f" {type(record).__name__}. Give records, or rows."
            )
        kinds[kind].append(
            record.with_absolute_images(Path.cwd())
            if isinstance(record, Asked | Conversation)
            else record
        )
    columns: Iterator[tuple[object, ...]] = (tuple(found) for found in kinds.values())
    return Contents(*columns)  # type: ignore[arg-type]


def _plain_rows(rows: Iterable[object]) -> Iterator[dict[str, object]]:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise ConfigError(
                f"Item {number} of the data must be a dictionary, got {type(row).__name__}. Give"
                " rows with `prompt`, `image` and what the method learns from."
            )
        yield {name: _plain_value(name, value) for name, value in row.items()}


def _plain_value(name: str, value: object) -> object:
    if name not in ("image", "images"):
        return value
    if isinstance(value, list | tuple):
        return [_image_bytes(image) for image in value]
    return _image_bytes(value)


def _image_bytes(image: object) -> object:
    """Bytes of an image that is a PIL image or a path; others are left to the reader of rows."""
    if isinstance(image, Image):
        data = io.BytesIO()
        (image if image.mode in _PNG_MODES else image.convert("RGB")).save(data, format="PNG")
        return data.getvalue()
    if isinstance(image, Mapping) and not image.get("bytes"):
        image = image.get("path")
    if isinstance(image, str | Path) and "://" not in str(image):
        return read_image(Path.cwd(), str(image), outside=True)
    return image
