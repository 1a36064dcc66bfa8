"""Rows of captions about COCO's images, in every form that published code reads and writes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from veridical.scoring.answers import read_responses
from veridical.scoring.protocol import BenchmarkPrompt, Files
from veridical.scoring.reading.names import ID_NAMES, IMAGE_NAMES
from veridical.scoring.rows import Faults, Row, id_text, index_rows, names_of, read_rows, shown

_COCO_FILE = re.compile(r"(?:COCO_(?:train|val)2014_)?0*(\d+)", re.IGNORECASE)
_IMAGE_SUFFIX = re.compile(r"\.(?:jpe?g|png|webp|bmp|gif)$", re.IGNORECASE)
_PATHS = ("path", "file_name", "url", "id")
"""Keys of an image that is an object."""
DESCRIBE = "Please describe this image in detail."
"""What models are asked where a file of images does not say otherwise."""


class CaptionRow(NamedTuple):
    """A row about one image."""

    id: str
    """Id of the row: its own where it has one, else the image's."""
    image: str
    """Id of the image."""
    row: Row
    """The row."""


def read_caption_rows(path: Path, faults: Faults) -> list[CaptionRow]:
    """Rows of a file with their images.

    Args:
        path: The file.
        faults: Where to note rows without an image, and ids that come twice.
    """
    return name_rows(read_rows(path, faults), faults)


def read_captions(files: Files, faults: Faults) -> list[CaptionRow]:
    """Rows of the responses with their images."""
    return name_rows(read_responses(files, faults), faults)


def caption_prompts(images: Iterable[tuple[str, Mapping[str, Any]]]) -> list[BenchmarkPrompt]:
    """Ask for a description of each image.

    Args:
        images: Id of each image with its row, which may give a file name (`image`) and other words
            to ask with (`text`).
    """
    return [
        BenchmarkPrompt(
            image,
            str(row.get("image", image)),
            str(row.get("text", DESCRIBE)),
            {"image_id": image},
        )
        for image, row in images
    ]


def name_rows(rows: Sequence[Row], faults: Faults) -> list[CaptionRow]:
    """Find out which image each row is about; an id is the image's where no row names images."""
    names: tuple[str, ...] = IMAGE_NAMES
    if rows and not any(map(has_image, rows)):
        only = next((name for name in ID_NAMES if all(name in row.values for row in rows)), None)
        if only is not None:
            faults.notes.append(f"{rows[0].file.name}: `{only}` read as the rows' image.")
            names = (only,)
    images = {id(row): _image(row, names, faults) for row in rows}
    imaged = [row for row in rows if images[id(row)] is not None]
    named = index_rows(imaged, lambda row: _own_id(row) or images[id(row)], faults)
    return [CaptionRow(str(name), str(images[id(row)]), row) for name, row in named.items()]


def image_key(image: str | int) -> str:
    """One name for an image: COCO's number; any other name without folder and suffix.

    >>> image_key("COCO_val2014_000000000042.jpg"), image_key(42), image_key("images/scene-7.png")
    ('42', '42', 'scene-7')
    """
    name = _IMAGE_SUFFIX.sub("", PurePosixPath(str(image).strip().replace("\\", "/")).name)
    match = _COCO_FILE.fullmatch(name)
    return match[1] if match else name


def has_image(row: Row) -> bool:
    """Whether a row says which image it is about."""
    return any(name in row.values for name in IMAGE_NAMES)


def _image(row: Row, names: Sequence[str], faults: Faults) -> str | None:
    name = next((name for name in names if name in row.values), None)
    if name is None:
        faults.add(row, f"`image_id` is missing, got {names_of(row)}. Give the row its image.")
        return None
    value = row.values[name]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping):
        value = next((value[key] for key in _PATHS if value.get(key) is not None), None)
    text = id_text(value)
    if text is None:
        message = (
            f"`{name}` must be a number or a text, got {shown(value)}. Give the row its image."
        )
        faults.add(row, message)
        return None
    return image_key(text) or None


def _own_id(row: Row) -> str | None:
    """Id of the row besides its image's: some files ask several things about one image."""
    ids = (id_text(row.values.get(name)) for name in ("question_id", "id"))
    return next((text for text in ids if text is not None), None)
