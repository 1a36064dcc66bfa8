"""Which of COCO's images show which scene, and which objects are typical of it."""

import difflib
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.coco.captions import CaptionRow, has_image, image_key, name_rows
from veridical.benchmarks.coco.vocabulary import object_kinds
from veridical.scoring.rows import Faults, Row, Values, read_document, read_rows, shown

Scenes = dict[str, frozenset[str]]
"""Image → scenes that it shows."""
Typical = dict[str, tuple[str, ...]]
"""Scene → kinds of object that are typical of it."""


class SceneFile(NamedTuple):
    """A file that says which images show which scene."""

    scenes: Scenes
    """What it says; by rows every image has an entry."""
    rows: list[CaptionRow] | None
    """Its rows, one per image; None where it lists images by scene: the others show none."""


def read_scene_file(path: Path, known: Collection[str], faults: Faults) -> SceneFile:
    """Read rows of `image_id` and `scene`, or one object `{scene: [image ids]}`.

    Args:
        path: The file. A row's scene is a text, a list of texts, or null for an image that shows
            none of them.
        known: The scenes that there are.
        faults: Where to note scenes that are not known, and what is wrong with the file.
    """
    rows = read_rows(path, faults)
    if len(rows) == 1 and not has_image(rows[0]):
        return SceneFile(_by_scene(path, rows[0].values, known, faults), None)
    named = name_rows(rows, faults)
    scenes: dict[str, set[str]] = {}
    for one in named:
        scenes.setdefault(one.image, set()).update(_scenes_of(one.row, known, faults))
    return SceneFile({image: frozenset(inside) for image, inside in scenes.items()}, named)


def scenes_in_captions(folder: Path, known: Iterable[str], images: Iterable[str]) -> Scenes:
    """Scenes that COCO's captions of an image name, in any of the five, as a word or its plural.

    What is wrong with the files is noted where the truth is read from them, not here.

    Args:
        folder: COCO's annotation folder.
        known: The scenes to look for.
        images: The images that are asked about; others are passed over.
    """
    wanted = set(images)
    patterns = {scene: re.compile(rf"\b{re.escape(scene.lower())}s?\b") for scene in known}
    found: dict[str, set[str]] = {}
    for path in sorted(folder.glob("captions_*.json")):
        document = read_document(path, Faults())
        annotations = document.get("annotations") if isinstance(document, dict) else None
        for row in annotations if isinstance(annotations, list) else ():
            if not isinstance(row, dict) or (image := str(row.get("image_id"))) not in wanted:
                continue
            text = str(row.get("caption", "")).lower()
            found.setdefault(image, set()).update(
                scene for scene, one in patterns.items() if one.search(text)
            )
    return {image: frozenset(inside) for image, inside in found.items()}


def read_typical(path: Path, faults: Faults) -> Typical:
    """Read `{scene: [kinds of object]}`.

    Args:
        path: The file.
        faults: Where to note what is wrong, kinds among it that COCO does not have.
    """
    document = read_document(path, faults)
    if document is None:
        return {}
    if not isinstance(document, dict) or not document:
        faults.add_file(
            path, f"must be an object {{scene: [objects]}}, got {shown(document)}. Fix the file."
        )
        return {}
    typical: Typical = {}
    for scene, objects in document.items():
        if not scene.strip() or "/" in scene:
            faults.add_file(
                path, f"scene {scene!r}: a name without / is needed. Call it otherwise."
            )
        elif not _are_texts(objects) or not objects:
            faults.add_file(
                path,
                f"scene {scene!r}: a list of names of objects is needed, got {shown(objects)}."
                " Fix it.",
            )
        elif unknown := sorted(set(objects) - object_kinds()):
            near = difflib.get_close_matches(unknown[0], object_kinds(), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Take COCO's names."
            faults.add_file(
                path,
                f"scene {scene!r}: {unknown[0]!r} is none of COCO's 80 kinds of object. {hint}",
            )
        else:
            typical[scene] = tuple(dict.fromkeys(objects))
    return typical


def _by_scene(path: Path, document: Values, known: Collection[str], faults: Faults) -> Scenes:
    scenes: dict[str, set[str]] = {}
    for scene, images in document.items():
        if problem := _unknown(scene, known):
            faults.add_file(path, problem)
        elif not isinstance(images, list) or not all(_is_id(image) for image in images):
            faults.add_file(
                path,
                f"scene {scene!r}: a list of ids of images is needed, got {shown(images)}. Fix it.",
            )
        else:
            for image in images:
                scenes.setdefault(image_key(image), set()).add(scene)
    return {image: frozenset(inside) for image, inside in scenes.items()}


def _scenes_of(row: Row, known: Collection[str], faults: Faults) -> set[str]:
    if "scene" not in row.values:
        faults.add(
            row,
            "`scene` is missing. Add it: a text, a list of texts, or null where the image shows"
            " none.",
        )
        return set()
    value = row.values["scene"]
    named = [] if value is None else [value] if isinstance(value, str) else value
    if not _are_texts(named):
        faults.add(
            row,
            f"`scene` must be a text, a list of texts or null, got {shown(value)}. Fix the row.",
        )
        return set()
    for scene in named:
        if problem := _unknown(scene, known):
            faults.add(row, problem)
    return set(named)


def _unknown(scene: str, known: Collection[str]) -> str:
    """What is wrong with a scene's name; empty where nothing is."""
    if scene in known:
        return ""
    near = difflib.get_close_matches(scene, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "Give its typical objects too: --objects FILE."
    return f"{scene!r} is none of the scenes {', '.join(known)}. {hint}"


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_id(value: object) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)
