"""Scenes: a context and two to four groups of objects, and their picture.

The picture is a grid of 3×3 cells of 40 pixels; each group stands in one cell, and its column is
its place. The same seed gives the same scene and the same pixels.
"""

import random
from collections.abc import Iterator
from functools import cache
from typing import Self

from PIL import Image
from pydantic import Field, model_validator

from veridical.records import Facts, Record
from veridical.seeding import child_random
from veridical.world.inventory import (
    COLOURS,
    CONTEXT_BY_NAME,
    CONTEXTS,
    OBJECT_BY_NOUN,
    OBJECTS,
    PLACE_PHRASES,
    PLACES,
    SIZES,
    Colour,
    Place,
    Size,
    number_phrase,
    with_article,
)
from veridical.world.sprites import rasterise, sprite

CELLS = 3
CELL_PIXELS = 40
IMAGE_PIXELS = CELLS * CELL_PIXELS
MAX_OBJECTS = 6

_IN_CONTEXT = 0.8
_NUMBER_WEIGHTS = (0.58, 0.27, 0.15)
_KIND_WEIGHTS = {2: 0.3, 3: 0.4, 4: 0.3}
_SPRITE_PIXELS: dict[Size, int] = {"small": 23, "large": 37}
_OFFSETS = {2: ((-9, 0), (9, 0)), 3: ((-9, 8), (9, 8), (0, -9))}
_GROUP_PIXELS = {2: 19, 3: 18}


class Group(Record):
    """All objects of one kind in a scene: same noun, colour and size, side by side in one cell."""

    noun: str
    """What it is, singular."""
    colour: Colour
    """Its colour."""
    number: int = Field(ge=1, le=3)
    """How many."""
    size: Size
    """Small or large; groups of two or three are always small."""
    row: int = Field(ge=0, lt=CELLS)
    """Row of its cell, from the top."""
    column: int = Field(ge=0, lt=CELLS)
    """Column of its cell, from the left."""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return PLACES[self.column]

    @property
    def phrase(self) -> str:
        """How descriptions name it, for instance "two red apples"."""
        return number_phrase(self.noun, self.number, self.colour)


class Scene(Record):
    """A context and its groups in reading order (left to right, then top to bottom)."""

    id: str
    """Unique among the scenes of a set; contains split and number."""
    context: str
    """Name of the context."""
    groups: tuple[Group, ...]
    """What is in the picture."""
    jitter: int = 0
    """Seed of the small displacements of the sprites."""
    pixels: int = Field(default=IMAGE_PIXELS, ge=8, le=IMAGE_PIXELS)
    """Resolution of its picture, pixels a side: it is taken at that and enlarged. The fewer, the
    less can be seen."""

    @model_validator(mode="after")
    def _cells_differ(self) -> Self:
        cells = [(group.row, group.column) for group in self.groups]
        if len(set(cells)) != len(cells):
            raise ValueError("two groups stand in one cell")
        return self

    @property
    def nouns(self) -> tuple[str, ...]:
        """The kinds of objects present."""
        return tuple(group.noun for group in self.groups)

    def group_of(self, noun: str) -> Group | None:
        """The group of a noun, or None where it is absent."""
        return next((group for group in self.groups if group.noun == noun), None)

    def typical_absent(self) -> tuple[str, ...]:
        """The context's typical objects that are not there, the most expected first."""
        present = set(self.nouns)
        return tuple(
            item.noun for item in CONTEXT_BY_NAME[self.context].objects if item.noun not in present
        )

    def facts(self) -> Facts:
        """The context and all groups, as an object list."""
        groups = (f"{group.phrase} {PLACE_PHRASES[group.place]}" for group in self.groups)
        texts = (with_article(self.context), *groups)
        return Facts(image_id=self.id, kind="objects", texts=texts)


def sample_scene(seed: int, split: str, number: int, *, pixels: int = IMAGE_PIXELS) -> Scene:
    """Draw the scene of a number in a split; splits never share a seed.

    Args:
        seed: Root seed of the world.
        split: Name of the set: "train", "validation", "test" …
        number: Which scene of the set.
        pixels: Resolution of its picture; changes nothing else.
    """
    rng = child_random(seed, "scene", split, number)
    context = rng.choice(CONTEXTS)
    kinds = rng.choices(list(_KIND_WEIGHTS), list(_KIND_WEIGHTS.values()))[0]
    typical = [item.noun for item in context.objects]
    others = [item.noun for item in OBJECTS if item.noun not in typical]
    nouns: list[str] = []
    while len(nouns) < kinds:
        noun = rng.choice(typical if rng.random() < _IN_CONTEXT else others)
        if noun not in nouns:
            nouns.append(noun)
    cells = rng.sample([(row, column) for row in range(CELLS) for column in range(CELLS)], kinds)
    numbers = _sample_numbers(rng, kinds)
    groups = [
        Group(
            noun=noun,
            colour=rng.choice(COLOURS),
            number=count,
            size=rng.choice(SIZES) if count == 1 else "small",
            row=row,
            column=column,
        )
        for noun, count, (row, column) in zip(nouns, numbers, cells, strict=True)
    ]
    groups.sort(key=lambda group: (group.column, group.row))
    jitter = rng.getrandbits(31)
    return Scene(
        id=f"{split}-{number}",
        context=context.name,
        groups=tuple(groups),
        jitter=jitter,
        pixels=pixels,
    )


def sample_scenes(
    seed: int, split: str, count: int, *, start: int = 0, pixels: int = IMAGE_PIXELS
) -> Iterator[Scene]:
    """Sample `count` scenes of a split, from number `start` on, pictures `pixels` wide."""
    return (
        sample_scene(seed, split, number, pixels=pixels) for number in range(start, start + count)
    )


def _sample_numbers(rng: random.Random, kinds: int) -> list[int]:
    while True:
        numbers = rng.choices((1, 2, 3), _NUMBER_WEIGHTS, k=kinds)
        if 2 <= sum(numbers) <= MAX_OBJECTS:
            return numbers


def render(scene: Scene) -> Image.Image:
    """Draw a scene: an RGB image of 120×120 pixels, enlarged where the scene's own are fewer."""
    picture = _background(scene.context).copy()
    rng = random.Random(scene.jitter)
    for group in scene.groups:
        pixels = _GROUP_PIXELS.get(group.number, _SPRITE_PIXELS[group.size])
        drawn = sprite(group.noun, group.colour, size=pixels)
        for offset_x, offset_y in _OFFSETS.get(group.number, ((0, 0),)):
            slack = 1 if pixels > 30 else 2
            x = (
                group.column * CELL_PIXELS
                + CELL_PIXELS // 2
                + offset_x
                + rng.randint(-slack, slack)
            )
            y = group.row * CELL_PIXELS + CELL_PIXELS // 2 + offset_y + rng.randint(-slack, slack)
            picture.paste(drawn, (x - drawn.width // 2, y - drawn.height // 2), drawn)
    if scene.pixels < IMAGE_PIXELS:
        small = picture.resize((scene.pixels, scene.pixels), Image.Resampling.BOX)
        return small.resize(picture.size, Image.Resampling.BICUBIC)
    return picture


@cache
def _background(context_name: str) -> Image.Image:
    context = CONTEXT_BY_NAME[context_name]
    horizon = 54
    stripes = "".join(
        f'<rect x="{x}" y="{horizon}" width="1" height="{IMAGE_PIXELS - horizon}" fill="#000"'
        ' opacity="0.05"/>'
        for x in range(6 + CONTEXTS.index(context), IMAGE_PIXELS, 12 + 2 * CONTEXTS.index(context))
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {IMAGE_PIXELS} {IMAGE_PIXELS}"><rect'
        f' width="{IMAGE_PIXELS}" height="{horizon}" fill="{context.upper}"/><rect y="{horizon}"'
        f' width="{IMAGE_PIXELS}" height="{IMAGE_PIXELS - horizon}"'
        f' fill="{context.lower}"/>{stripes}</svg>'
    )
    return rasterise(svg, width=IMAGE_PIXELS).convert("RGB")


def typical_place(noun: str) -> Place:
    """Where a machine captioner expects an object."""
    return OBJECT_BY_NOUN[noun].typical_place
