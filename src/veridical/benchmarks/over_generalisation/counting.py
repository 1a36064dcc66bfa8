"""Counting typical objects: values named "scene" and "scene/object", summed over images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from veridical.benchmarks.coco.scenes import Typical
from veridical.records import ItemScore
from veridical.statistics.context_rates import ContextCounts, ContextTable

T = TypeVar("T")


class SceneItem(NamedTuple):
    """One caption with what is in its image, and what scenes that shows."""

    id: str
    """Id of the row; the image's where it has none."""
    image: str
    """Id of the image."""
    caption: str
    """What the model wrote."""
    truth: frozenset[str]
    """Kinds of object in the image."""
    scenes: frozenset[str]
    """Scenes that the image shows."""
    typical: Typical
    """All scenes with their typical objects."""


def score_item(item: SceneItem, mentioned: frozenset[str]) -> ItemScore:
    """Find a caption's scenes, and the typical objects it mentions rightly or wrongly."""
    values = {scene: float(scene in item.scenes) for scene in item.typical}
    wrong_of: dict[str, bool] = {}
    for scene, objects in item.typical.items():
        for kind in objects:
            if kind in mentioned:
                wrong_of[kind] = kind not in item.truth
                values[f"{scene}/{kind}"] = float(wrong_of[kind])
    absent = ", ".join(kind for kind, wrong in wrong_of.items() if wrong)
    return ItemScore(
        id=item.id,
        cluster=item.image,
        status="scored" if item.caption.strip() else "empty",
        parsed=", ".join(wrong_of) + (f" · not there: {absent}" if absent else ""),
        values=values,
    )


def layout_of(scores: Sequence[ItemScore]) -> dict[str, list[str]]:
    """Scenes with the typical objects mentioned, from values "scene" and "scene/object"."""
    names = dict.fromkeys(name for score in scores for name in score.values)
    layout: dict[str, list[str]] = {name: [] for name in names if "/" not in name}
    for name in names:
        scene, sign, kind = name.partition("/")
        if sign:
            layout[scene].append(kind)
    return layout


def count_images(scores: Sequence[ItemScore], layout: Mapping[str, Sequence[str]]) -> ContextCounts:
    """Sums by image, images in order of first occurrence."""
    images: dict[str, int] = {}
    for score in scores:
        images.setdefault(score.cluster, len(images))
    widest = max(map(len, layout.values()), default=0)
    wrong, mentioned = (np.zeros((len(images), len(layout), widest)) for _ in range(2))
    inside = np.zeros((len(images), len(layout)))
    place = {
        f"{scene}/{kind}": (row, column)
        for row, (scene, kinds) in enumerate(layout.items())
        for column, kind in enumerate(kinds)
    }
    number = {scene: row for row, scene in enumerate(layout)}
    for score in scores:
        image = images[score.cluster]
        for name, value in score.values.items():
            if name in number:
                inside[image, number[name]] = value
            else:
                wrong[(image, *place[name])] += value
                mentioned[(image, *place[name])] += 1
    return ContextCounts(wrong, mentioned, inside)


def by_name(table: ContextTable[T], layout: Mapping[str, Sequence[str]]) -> dict[str, T]:
    """The table's rates under the names of the metrics."""
    rows = {
        "": table.mean,
        **{f"/{scene}": rates for scene, rates in zip(layout, table.contexts, strict=True)},
    }
    parts = ("h_a", "h_s", "over_generalisation")
    return {
        f"{part}{row}": rates[number]
        for number, part in enumerate(parts)
        for row, rates in rows.items()
    }
