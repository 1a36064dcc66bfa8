"""Pictures of the hallucination benchmarks, by the names they are published under.

Who trains on them measures memory. `benchmark_pictures.json` lists identifiers alone: numbers of
COCO pictures, which are the same in the releases of 2014 and 2017, numbers of Visual Genome, and
names of MMHal-Bench's pictures (Open Images and Flickr). CHAIR has no list of its own; these are
the two samples of 500 that published caption files use. AMBER's pictures bear its name.
"""

import json
import re
from functools import cache
from importlib import resources
from pathlib import PurePosixPath

_COCO = re.compile(r"(?:COCO_(?:train|val|test)20\d\d_)?(\d{12})")
_AMBER = re.compile(r"AMBER_\d{1,4}", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,7}")
_VISUAL_GENOME = re.compile(r"(?:^|[/_-])(?:vg|vg_100k(?:_2)?|gqa|visual_?genome)(?:[/_-]|$)", re.I)
_DERIVED = re.compile(r"^(?:aok_|coco_)|(?:#\d+|_crop(?:ped)?|_noised?)$")
"""What datasets put around the name of a picture that they changed or asked about."""


def coco_number(path: str) -> int | None:
    """The number of a COCO picture, by the name of its file; None for any other name.

    >>> coco_number("train2017/000000391895.jpg"), coco_number("COCO_val2014_000000391895.jpg")
    (391895, 391895)
    """
    found = _COCO.fullmatch(_stem(path))
    return int(found[1]) if found else None


def benchmarks_showing(path: str) -> tuple[str, ...]:
    """The benchmarks whose picture a file is, by its name; a name that says nothing is in none.

    >>> benchmarks_showing("images/COCO_val2014_000000391895.jpg")
    ()
    >>> benchmarks_showing("AMBER_17.jpg")
    ('AMBER',)
    """
    stem = _stem(path)
    if _AMBER.fullmatch(stem):
        return ("AMBER",)
    lists = _lists()
    number = coco_number(path)
    if number is not None:
        return _with(lists["coco"], number)
    if _NUMBER.fullmatch(stem) and _VISUAL_GENOME.search(path.replace("\\", "/")):
        return _with(lists["visual_genome"], int(stem))
    return _with(lists["names"], stem)


def _stem(path: str) -> str:
    stem = PurePosixPath(path.replace("\\", "/")).stem
    return _DERIVED.sub("", stem)


def _with(lists: dict[str, frozenset[int | str]], name: int | str) -> tuple[str, ...]:
    return tuple(benchmark for benchmark, names in lists.items() if name in names)


@cache
def _lists() -> dict[str, dict[str, frozenset[int | str]]]:
    file = resources.files("veridical.formats").joinpath("benchmark_pictures.json")
    families = json.loads(file.read_text(encoding="utf-8"))
    return {
        family: {benchmark: frozenset(names) for benchmark, names in lists.items()}
        for family, lists in families.items()
    }
