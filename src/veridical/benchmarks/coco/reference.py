"""Which objects are in which image: from COCO's annotations, or from a list."""

import difflib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from veridical.benchmarks.coco.captions import image_key
from veridical.benchmarks.coco.mentions import Reader
from veridical.benchmarks.coco.vocabulary import object_kinds
from veridical.scoring.rows import Faults, read_document

Truth = dict[str, frozenset[str]]
"""Image → kinds of object that are in it."""


def read_truth(
    path: Path,
    images: Iterable[str],
    read: Reader,
    faults: Faults,
    *,
    kinds: Collection[str] | None = None,
) -> Truth:
    """Read what is in some images.

    Args:
        path: COCO's annotation folder: an object is there where it is outlined or where one of the
            five captions that people wrote names it. Or a JSON file `{image: [objects]}`.
        images: The images that are asked about; others are passed over.
        read: Reads the captions, as it reads the model's.
        faults: Where to note what is wrong with the files; an image that is not in them is not
            noted here.
        kinds: The kinds of object that a list may name; None: COCO's 80.
    """
    wanted = set(images)
    return (
        _from_folder(path, wanted, read, faults)
        if path.is_dir()
        else _from_list(path, wanted, faults, kinds)
    )


def listed_images(path: Path, faults: Faults) -> list[str]:
    """Images of a JSON reference, in its order; a COCO folder, which holds 120,000, lists none."""
    if path.is_dir():
        faults.add_file(
            path,
            "a folder of COCO's does not say which images are asked about. Name them: --questions.",
        )
        return []
    document = read_document(path, faults)
    return [image_key(image) for image in document] if isinstance(document, dict) else []


def _from_folder(folder: Path, wanted: set[str], read: Reader, faults: Faults) -> Truth:
    outlines, captions = (
        sorted(folder.glob("instances_*.json")),
        sorted(folder.glob("captions_*.json")),
    )
    splits = [{path.stem.partition("_")[2] for path in paths} for paths in (outlines, captions)]
    if not outlines or splits[0] != splits[1]:
        has = ", ".join(path.name for path in (*outlines, *captions)) or "neither"
        faults.add_file(
            folder,
            f"needs instances_SPLIT.json and captions_SPLIT.json for the same splits, got {has}. "
            "Unpack COCO's annotations_trainval2014.zip there.",
        )
        return {}
    truth: dict[str, set[str]] = {}
    for path in (*outlines, *captions):
        document = read_document(path, faults)
        if document is None:
            continue
        try:
            _add(document, truth, wanted, read)
        except (KeyError, TypeError, AttributeError) as error:
            faults.add_file(
                path, f"is not in COCO's format ({error!r}). Download the annotations again."
            )
    return {image: frozenset(objects) for image, objects in truth.items()}


def _add(
    document: Mapping[str, Any], truth: dict[str, set[str]], wanted: set[str], read: Reader
) -> None:
    names = {category["id"]: category["name"] for category in document.get("categories", ())}
    for image in document["images"]:
        if (key := str(image["id"])) in wanted:
            truth.setdefault(key, set())
    for annotation in document["annotations"]:
        if (key := str(annotation["image_id"])) in wanted:
            objects = truth.setdefault(key, set())
            if "category_id" in annotation:
                objects.add(names[annotation["category_id"]])
            else:
                objects.update(read(annotation["caption"]).objects)


def _from_list(path: Path, wanted: set[str], faults: Faults, own: Collection[str] | None) -> Truth:
    kinds = object_kinds() if own is None else own
    document = read_document(path, faults)
    if document is None:
        return {}
    if not isinstance(document, dict):
        faults.add_file(
            path,
            f"must be an object {{image: [objects]}}, got {json.dumps(document)[:60]}. Mend the"
            " file.",
        )
        return {}
    truth = {}
    for image, objects in document.items():
        if not isinstance(objects, list) or not all(isinstance(name, str) for name in objects):
            got = json.dumps(objects, ensure_ascii=False)[:60]
            faults.add_file(
                path, f"image {image!r}: a list of names of objects is needed, got {got}. Mend it."
            )
        elif unknown := sorted(set(objects) - set(kinds)):
            near = difflib.get_close_matches(unknown[0], kinds, n=1)
            known, other = (
                ("COCO's 80 kinds", "COCO's names")
                if own is None
                else ("the given words' kinds", "theirs")
            )
            hint = f"Did you mean {near[0]!r}?" if near else f"Take {other}."
            faults.add_file(
                path, f"image {image!r}: {unknown[0]!r} is none of {known} of object. {hint}"
            )
        elif (key := image_key(image)) in wanted:
            truth[key] = frozenset(objects)
    return truth
