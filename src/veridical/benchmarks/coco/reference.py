"""Which objects are in which image: from COCO's annotations, or from a list.

Lists come in two forms. They are made of outlines and of captions by people, and the words of those
captions were made singular by pattern (the original CHAIR) or by WordNet (OPERA). 1,741 of 123,287
images differ; `truth_forms.json` holds the kinds of object that one form has and the other lacks.
"""

import difflib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from veridical.benchmarks.coco.captions import image_key
from veridical.benchmarks.coco.mentions import Reader
from veridical.benchmarks.coco.pickled import is_pickle, read_evaluator
from veridical.benchmarks.coco.vocabulary import object_kinds
from veridical.scoring.rows import Faults, read_document, shown

Truth = dict[str, frozenset[str]]
"""Image → kinds of object that are in it."""


def read_truth(
    path: Path,
    images: Iterable[str],
    read: Reader,
    faults: Faults,
    *,
    kinds: Collection[str] | None = None,
    variant: str = "",
) -> Truth:
    """Read what is in some images.

    Args:
        path: COCO's annotation folder: an object is there where it is outlined or where one of the
            five captions that people wrote names it. Or a JSON file `{image: [objects]}`, or the
            `chair.pkl` of OPERA's evaluator.
        images: The images that are asked about; others are passed over.
        read: Reads the captions, as it reads the model's.
        faults: Where to note what is wrong with the files; an image that is not in them is not
            noted here.
        kinds: The kinds of object that a list may name; None: COCO's 80.
        variant: The variant of CHAIR that the list should fit; a note says where it does not.
    """
    wanted = set(images)
    if path.is_dir():
        return _from_folder(path, wanted, read, faults)
    document = faults.gather(lambda: _listed(path, faults), otherwise=None)
    truth = {} if document is None else _from_list(path, document, faults, kinds)
    note = misfit(truth, variant)
    if note:
        faults.notes.append(note)
    return {image: objects for image, objects in truth.items() if image in wanted}


def listed_images(path: Path, faults: Faults) -> list[str]:
    """Images of a JSON reference, in its order; a COCO folder, which holds 120,000, lists none."""
    if path.is_dir():
        faults.add_file(
            path,
            "a folder of COCO's does not say which images are asked about. Name them: --questions.",
        )
        return []
    document = faults.gather(lambda: _listed(path, faults), otherwise=None)
    return [image_key(image) for image in document] if isinstance(document, dict) else []


def _listed(path: Path, faults: Faults) -> Any:
    return read_evaluator(path) if is_pickle(path) else read_document(path, faults)


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


def _from_list(path: Path, document: Any, faults: Faults, own: Collection[str] | None) -> Truth:
    if not isinstance(document, dict):
        message = f"must be an object {{image: [objects]}}, got {shown(document)}. Fix the file."
        faults.add_file(path, message)
        return {}
    known = frozenset(object_kinds() if own is None else own)
    truth: Truth = {}
    for image, objects in document.items():
        if not isinstance(objects, list) or not all(isinstance(name, str) for name in objects):
            faults.add_file(
                path,
                f"image {image!r}: a list of names of objects is needed, got {shown(objects)}."
                " Fix it.",
            )
        elif unknown := sorted(set(objects) - known):
            faults.add_file(path, f"image {image!r}: {_unknown(unknown[0], known, own)}")
        else:
            truth[image_key(image)] = frozenset(objects)
    return truth


def _unknown(name: str, known: Collection[str], own: Collection[str] | None) -> str:
    near = difflib.get_close_matches(name[:60], known, n=1)
    whose, other = (
        ("COCO's 80 kinds", "COCO's names") if own is None else ("the given words' kinds", "theirs")
    )
    hint = f"Did you mean {near[0]!r}?" if near else f"Take {other}."
    return f"{name[:60]!r} is none of {whose} of object. {hint}"


Form = Literal["pattern", "wordnet"]
_FORM_OF: dict[str, Form] = {"original": "pattern", "wordnet": "wordnet"}
"""The form that a variant's numbers were made with."""
_OTHER: dict[Form, Form] = {"pattern": "wordnet", "wordnet": "pattern"}
_SURE = 0.9


def form_of(truth: Mapping[str, Collection[str]]) -> Form | None:
    """Which form a list is in; None where its images do not show it.

    Args:
        truth: Kinds of object by COCO's number of the image.
    """
    votes: Counter[Form] = Counter()
    for form, kinds in _differences().items():
        for kind, images in kinds.items():
            for image in images:
                if image in truth:
                    votes[form if kind in truth[image] else _OTHER[form]] += 1
    if not votes:
        return None
    form, count = votes.most_common(1)[0]
    return form if count >= _SURE * votes.total() else None


def misfit(truth: Mapping[str, Collection[str]], variant: str) -> str:
    """A warning where a list's form is not the one that the variant's published numbers use."""
    wanted, found = _FORM_OF.get(variant), form_of(truth)
    if wanted is None or found is None or found == wanted:
        return ""
    fits = next(name for name, form in _FORM_OF.items() if form == found)
    return (
        f"The reference is in {found}'s form, which goes with --variant {fits}; the published"
        f" numbers of {variant} rest on {wanted}'s. About 1.4 % of COCO's images differ."
    )


@cache
def _differences() -> dict[Form, dict[str, list[str]]]:
    text = resources.files(__package__).joinpath("truth_forms.json").read_text(encoding="utf-8")
    table: dict[Form, dict[str, str]] = json.loads(text)
    return {
        form: {kind: images.split() for kind, images in kinds.items()}
        for form, kinds in table.items()
    }
