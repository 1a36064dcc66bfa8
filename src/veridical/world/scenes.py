"""Scenes: a context and two to four groups of objects, and their picture.

The picture is a grid of 3×3 cells of 40 pixels; each group stands in one cell, and its column is
its place. In about a quarter of the scenes two groups in neighbouring cells stand close together,
and the nearer one covers part of the other. The same seed gives the same scene and the same pixels.
"""

import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Self

from PIL import Image
from pydantic import Field, model_validator

from veridical.records import Facts, Record
from veridical.seeding import child_random
from veridical.world.inventory import (
    COLOURS,
    CONTEXT_BY_NAME,
    CONTEXTS,
    NUMBER_WORDS,
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
from veridical.world.sprites import Standing, background, heap, moved, visible_ink

CELLS = 3
CELL_PIXELS = 40
IMAGE_PIXELS = CELLS * CELL_PIXELS
MAX_OBJECTS = 9

_IN_CONTEXT = 0.8
_NUMBER_WEIGHTS = (0.50, 0.22, 0.13, 0.09, 0.06)
_KIND_WEIGHTS = {2: 0.3, 3: 0.4, 4: 0.3}
_CLOSE = 0.6
"""Probability that two groups stand close, where two can."""
COVERED = (0.2, 0.4)
"""Share of a group's ink that one in front of it covers, least and most."""
_SEEN_OF_EACH = 1 / 3
"""Share of the ink of each object behind that stays visible, so that they can be counted."""
_DISTANCES = range(10, 29)
"""How far two close groups are moved together: the middle of each stays in its cell."""


class Group(Record):
    """All objects of one kind in a scene: same noun, colour and size, side by side in one cell."""

    noun: str
    """What it is, singular."""
    colour: Colour
    """Its colour."""
    number: int = Field(ge=1, le=len(NUMBER_WORDS))
    """How many."""
    size: Size
    """Small or large; groups of several are always small."""
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


class Close(Record):
    """Two groups in neighbouring cells that stand close together, one in front of the other."""

    behind: int = Field(ge=0)
    """Index of the group that is partly covered."""
    front: int = Field(ge=0)
    """Index of the nearer group, which covers part of it."""
    pixels: int = Field(ge=0, lt=_DISTANCES.stop)
    """How far both together are moved towards each other, each by half."""


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
    close: Close | None = None
    """Which two groups stand close together, None where each stands in the middle of its cell."""

    @model_validator(mode="after")
    def _cells_differ(self) -> Self:
        cells = [(group.row, group.column) for group in self.groups]
        if len(set(cells)) != len(cells):
            raise ValueError("two groups stand in one cell")
        return self

    @model_validator(mode="after")
    def _close_ones_are_neighbours(self) -> Self:
        if self.close is None:
            return self
        if max(self.close.behind, self.close.front) >= len(self.groups):
            raise ValueError(f"`close` names a group that is not there: {self.close}")
        if not _are_neighbours(self, self.close.behind, self.close.front):
            raise ValueError("groups that stand close together must stand in neighbouring cells")
        return self

    @property
    def nouns(self) -> tuple[str, ...]:
        """The kinds of objects present."""
        return tuple(group.noun for group in self.groups)

    def group_of(self, noun: str) -> Group | None:
        """The group of a noun, or None where it is absent."""
        return next((group for group in self.groups if group.noun == noun), None)

    def with_groups(self, groups: Iterable[Group]) -> Self:
        """The same scene with other groups, unchecked, each in the middle of its cell."""
        return self.model_copy(update={"groups": tuple(groups), "close": None})

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
    scene = Scene(
        id=f"{split}-{number}",
        context=context.name,
        groups=tuple(groups),
        jitter=jitter,
        pixels=pixels,
    )
    # Of its own chance: all else stays as it is drawn without.
    close = _sample_close(scene, child_random(seed, "close", split, number))
    return scene.model_copy(update={"close": close})


def sample_scenes(
    seed: int, split: str, count: int, *, start: int = 0, pixels: int = IMAGE_PIXELS
) -> Iterator[Scene]:
    """Sample `count` scenes of a split, from number `start` on, pictures `pixels` wide."""
    return (
        sample_scene(seed, split, number, pixels=pixels) for number in range(start, start + count)
    )


def _sample_numbers(rng: random.Random, kinds: int) -> list[int]:
    while True:
        numbers = rng.choices(list(NUMBER_WORDS), _NUMBER_WEIGHTS, k=kinds)
        if 2 <= sum(numbers) <= MAX_OBJECTS:
            return numbers


def _sample_close(scene: Scene, rng: random.Random) -> Close | None:
    """Find a pair of neighbours where the nearer covers enough of the other, and not too much."""
    count = range(len(scene.groups))
    pairs = [(one, two) for one in count for two in count if _are_neighbours(scene, one, two)]
    if not pairs or rng.random() >= _CLOSE:
        return None
    standing = standing_sprites(scene)
    rng.shuffle(pairs)
    for behind, front in pairs:
        found = _cover(scene, standing, behind, front, share=rng.uniform(*COVERED))
        if found is not None:
            return found
    return None


def _cover(
    scene: Scene, standing: list[list[Standing]], behind: int, front: int, *, share: float
) -> Close | None:
    """Move two groups together until the nearer one covers a share of the other's ink."""
    step = _step(scene, front, behind)
    whole = visible_ink(standing[behind], side=IMAGE_PIXELS)

    def seen(pixels: int) -> list[int]:
        nearer = moved(standing[front], step, pixels)
        return visible_ink(standing[behind], covers=nearer, side=IMAGE_PIXELS)

    def covered(pixels: int) -> float:
        return 1 - sum(seen(pixels)) / sum(whole)

    # The closer, the more is covered, as a rule; where a gap makes an exception, it is checked.
    place = bisect_left(_DISTANCES, share, key=covered)
    if place == len(_DISTANCES):
        return None
    pixels = _DISTANCES[place]
    least = min(part / of for part, of in zip(seen(pixels), whole, strict=True))
    if COVERED[0] <= covered(pixels) <= COVERED[1] and least >= _SEEN_OF_EACH:
        return Close(behind=behind, front=front, pixels=pixels)
    return None


def _are_neighbours(scene: Scene, one: int, two: int) -> bool:
    return sorted(map(abs, _step(scene, one, two))) == [0, 1]


def _step(scene: Scene, start: int, end: int) -> tuple[int, int]:
    """Columns and rows from the cell of one group to that of another."""
    here, there = scene.groups[start], scene.groups[end]
    return there.column - here.column, there.row - here.row


def render(scene: Scene) -> Image.Image:
    """Draw a scene: an RGB image of 120×120 pixels, enlarged where the scene's own are fewer."""
    picture = background(scene.context, side=IMAGE_PIXELS).copy()
    nearest = scene.close.front if scene.close else None
    groups = standing_sprites(scene)
    for number in sorted(range(len(groups)), key=lambda number: number == nearest):
        for one in groups[number]:
            picture.paste(one.image, (one.x, one.y), one.image)
    if scene.pixels < IMAGE_PIXELS:
        small = picture.resize((scene.pixels, scene.pixels), Image.Resampling.BOX)
        return small.resize(picture.size, Image.Resampling.BICUBIC)
    return picture


def standing_sprites(scene: Scene) -> list[list[Standing]]:
    """The sprites of each group where they stand, the later ones of a group in front.

    They stand about the middle of their cell as the scene's jitter has them, close ones moved
    together.
    """
    rng = random.Random(scene.jitter)
    groups = [_sprites_of(group, rng) for group in scene.groups]
    if scene.close is not None:
        behind, front, pixels = scene.close.behind, scene.close.front, scene.close.pixels
        half = pixels // 2
        groups[behind] = moved(groups[behind], _step(scene, behind, front), half)
        groups[front] = moved(groups[front], _step(scene, front, behind), pixels - half)
    return groups


def _sprites_of(group: Group, rng: random.Random) -> list[Standing]:
    x, y = (int(CELL_PIXELS * (cell + 0.5)) for cell in (group.column, group.row))
    return heap(group.noun, group.colour, group.size, number=group.number, middle=(x, y), rng=rng)
