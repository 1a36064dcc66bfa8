"""Rows of captions about COCO's images, in every form that published code reads and writes."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from veridical.scoring.matching import row_id
from veridical.scoring.rows import Faults, Row, index_rows, read_document, read_rows

_COCO_FILE = re.compile(r"(?:COCO_(?:train|val)2014_)?0*(\d+)(?:\.jpe?g)?", re.IGNORECASE)


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
    """Rows of a JSON array, of JSON lines, or of the original's `{"imgToEval": {ID: row}}`, with their images.

    Args:
        path: The file.
        faults: Where to note rows without an image, and ids that come twice.
    """
    return name_rows(expand_rows(path, faults), faults)


def expand_rows(path: Path, faults: Faults) -> list[Row]:
    """The rows as they stand in the file."""
    mine = Faults()
    rows = read_rows(path, mine)
    if len(rows) == 1 and "imgToEval" in rows[0].values:
        return _rows_of(path, rows[0].values, faults)
    if mine.found and path.is_file():
        document = read_document(path, Faults())  # the original writes one object over many lines
        if isinstance(document, dict) and "imgToEval" in document:
            return _rows_of(path, document, faults)
    faults.found.extend(mine.found)
    return rows


def name_rows(rows: Sequence[Row], faults: Faults) -> list[CaptionRow]:
    """Find out which image each row is about."""
    images = {
        id(row): image_key(image)
        for row in rows
        if (image := row_id(row, ("image_id",), faults)) is not None
    }
    imaged = [row for row in rows if id(row) in images]
    named = index_rows(imaged, lambda row: _own_id(row) or images[id(row)], faults)
    return [CaptionRow(name, images[id(row)], row) for name, row in named.items()]


def image_key(image: str | int) -> str:
    """One name for an image: COCO's number, from the number or the file's name; any other name as it is.

    >>> image_key("COCO_val2014_000000000042.jpg"), image_key(42), image_key("scene-7")
    ('42', '42', 'scene-7')
    """
    match = _COCO_FILE.fullmatch(str(image).strip())
    return match[1] if match else str(image).strip()


def _own_id(row: Row) -> str | None:
    """Id of the row beside its image's: some files ask several things about one image."""
    values = (row.values.get(name) for name in ("question_id", "id"))
    return next((str(value) for value in values if isinstance(value, (int, str))), None)


def _rows_of(path: Path, document: Mapping[str, Any], faults: Faults) -> list[Row]:
    entries = document["imgToEval"]
    values = list(entries.values()) if isinstance(entries, dict) else []
    if not values or not all(isinstance(value, dict) for value in values):
        faults.add_file(
            path,
            "`imgToEval` must be an object of rows by id. Give the file that the captioner wrote.",
        )
        return []
    return [Row(path, number, value) for number, value in enumerate(values, start=1)]
