"""Flickr30k's captions → one conversation per picture; on request with boxes.

Published: captions as `results_20130124.token` (tab-separated, `NAME.jpg#0`), `results.csv`
(separated by "|") or Karpathy's `dataset_flickr30k.json`; boxes in Flickr30k Entities
(`Sentences/NAME.txt`, `Annotations/NAME.xml`). The paper names "Spotting Captioning" in the style
of Shikra: with boxes, each thing that a caption mentions is followed by its place. One of a
picture's five captions is drawn by the seed, since five answers to one question contradict each
other as turns.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple
from xml.etree import ElementTree

from veridical.errors import DataError, Fault
from veridical.files import read_bytes, read_text
from veridical.formats.mix.parts import Part, Pictures, read_json, rows_of

NAME = "flickr30k"
"""The part's name."""
CAPTION = "Provide a one-sentence caption for the provided image."
"""What asks for a caption, in LLaVA's words."""
SPOTTING = (
    "Describe the image in one sentence, and say where everything is that you mention, as"
    " [left, top, right, bottom] in shares of the picture's width and height."
)
"""What asks for a caption with places; ours, since LLaVA-RLHF published none."""

_ENTITY = re.compile(r"\[/EN#(\d+)(?:/\S+)? ([^\]]*)\]")
Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of width and height."""


class Captions(NamedTuple):
    """The captions of a picture."""

    name: str
    """The picture's file name."""
    texts: tuple[str, ...]
    """What people said, five as a rule."""


def read_flickr30k(
    file: Path, pictures: Pictures, *, random: Random, boxes: Path | None = None
) -> Part:
    """Read the captions of a file.

    Args:
        file: Captions in one of the published forms.
        pictures: Where the pictures lie.
        random: Draws the caption.
        boxes: Folder of Flickr30k Entities; None: captions alone.

    Raises:
        DataError: A file is not what it should be.
    """
    part = Part(NAME)
    for item in captions_of(file):
        part.found["pictures"] += 1
        path = pictures.take(part, item.name)
        if path is None:
            continue
        if boxes is None:
            exchange = (CAPTION, random.choice(item.texts))
        else:
            sentence = random.choice(_spotted(boxes, Path(item.name).stem, part) or [""])
            if not sentence:
                part.left_out["no caption with boxes"] += 1
                continue
            exchange = (SPOTTING, sentence)
        part.add(path, Path(item.name).stem, [exchange], source="human")
    return part


def captions_of(file: Path) -> Iterator[Captions]:
    """The captions of each picture; of Karpathy's file those for training alone.

    Raises:
        DataError: The file is in none of the published forms.
    """
    if file.suffix == ".json":
        value = read_json(file)
        for row in rows_of(file, value, key="images", fields={"filename": str, "sentences": list}):
            if row.get("split", "train") == "train":
                texts = tuple(str(one.get("raw", "")).strip() for one in row["sentences"])
                yield Captions(row["filename"], tuple(filter(None, texts)))
        return
    found: dict[str, list[str]] = defaultdict(list)
    for name, text in _token_rows(file) if file.suffix == ".token" else _csv_rows(file):
        found[name].append(text)
    for name, said in found.items():
        yield Captions(name, tuple(said))


def _token_rows(file: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        name, tab, text = line.partition("\t")
        if line.strip():
            if not tab or "#" not in name or not text.strip():
                message = f"a line must be NAME.jpg#0, a tab, a caption; got {line[:60]!r}."
                raise DataError([Fault(file, number, message)], advice="Download the file again.")
            yield name.rpartition("#")[0], text.strip()


def _csv_rows(file: Path) -> Iterator[tuple[str, str]]:
    text = read_text(file)
    separator = "|" if "|" in text.partition("\n")[0] else ","
    rows = csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True)
    next(rows, None)  # the names of the columns
    for number, cells in enumerate(rows, start=2):
        if cells and (len(cells) < 2 or not cells[0].strip()):
            message = f"a row must hold a picture's name and a caption, got {cells[:3]!r}."
            raise DataError([Fault(file, number, message)], advice="Download the file again.")
        if cells and cells[-1].strip():  # one published row has no caption
            yield cells[0].strip(), cells[-1].strip()


def _spotted(folder: Path, name: str, part: Part) -> list[str]:
    """The captions of a picture with a place behind everything that has one."""
    sentences, annotation = folder / "Sentences" / f"{name}.txt", folder / "Annotations"
    if not sentences.is_file():
        return []
    boxes = _boxes(annotation / f"{name}.xml")
    marked = [_with_places(line.strip(), boxes) for line in read_text(sentences).splitlines()]
    part.found["captions with boxes"] += sum("[" in text for text in marked)
    return [text for text in marked if "[" in text]


def _with_places(sentence: str, boxes: Mapping[str, list[Box]]) -> str:
    def place(match: re.Match[str]) -> str:
        found = boxes.get(match[1])
        if not found:
            return match[2]
        places = "; ".join(", ".join(f"{share:.3f}" for share in box) for box in found)
        return f"{match[2]} [{places}]"

    return _ENTITY.sub(place, sentence)


def _boxes(file: Path) -> dict[str, list[Box]]:
    """Boxes by the number of the thing.

    Raises:
        DataError: The file is not an annotation of Flickr30k Entities.
    """
    found: dict[str, list[Box]] = defaultdict(list)
    try:
        data = read_bytes(file)
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise ValueError("it declares entities")
        root = ElementTree.fromstring(data)  # noqa: S314 (no entities, see above)
        width, height = (int(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
        for item in root.iter("object"):
            corners = item.find("bndbox")
            if corners is not None:
                left, top, right, bottom = (
                    int(corners.findtext(side) or 0) for side in ("xmin", "ymin", "xmax", "ymax")
                )
                box = (left / width, top / height, right / width, bottom / height)
                for name in item.findall("name"):
                    found[str(name.text)].append(box)
    except (ElementTree.ParseError, ValueError, ZeroDivisionError) as error:
        message = f"not an annotation of Flickr30k Entities: {error}. Download it again."
        raise DataError([Fault(file, None, message)]) from error
    return found
