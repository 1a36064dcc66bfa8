"""Heaps that can be counted, and neighbours that stand close, the nearer in front of the other."""

import numpy as np
import pytest
from pydantic import ValidationError

from veridical.world.inventory import COLOURS, NUMBER_WORDS, OBJECTS
from veridical.world.scenes import (
    CELL_PIXELS,
    COVERED,
    IMAGE_PIXELS,
    Close,
    Group,
    Scene,
    render,
    sample_scene,
    sample_scenes,
    standing_sprites,
)
from veridical.world.sprites import visible_ink

SCENES = list(sample_scenes(0, "close", 300))
CLOSE = [scene for scene in SCENES if scene.close is not None]
CUP = Group(noun="cup", colour="red", number=1, size="large", row=1, column=1)
PAN = Group(noun="pan", colour="blue", number=1, size="large", row=1, column=2)
BEES = Group(noun="bee", colour="green", number=2, size="small", row=0, column=0)
PIGS = Group(noun="pig", colour="gray", number=3, size="small", row=2, column=0)


def kitchen(*groups, **fields):
    return Scene(id="k", context="kitchen", groups=groups, jitter=3, **fields)


def pixels_of(scene, index):
    """How many pixels of the picture show the colour of a group."""
    group = scene.groups[index]
    other = COLOURS[(COLOURS.index(group.colour) + 1) % len(COLOURS)]
    groups = list(scene.groups)
    groups[index] = group.model_copy(update={"colour": other})
    pictures = [
        np.asarray(render(each), dtype=int)
        for each in (scene, scene.model_copy(update={"groups": tuple(groups)}))
    ]
    return int((np.abs(pictures[0] - pictures[1]).max(-1) > 24).sum())


def test_about_a_quarter_of_the_scenes_have_two_close_groups_in_neighbouring_cells():
    assert 0.2 < len(CLOSE) / len(SCENES) < 0.3
    steps = set()
    for scene in CLOSE:
        behind, front = (scene.groups[n] for n in (scene.close.behind, scene.close.front))
        steps.add((front.column - behind.column, front.row - behind.row))
    assert steps == {(0, 1), (0, -1), (1, 0), (-1, 0)}


def test_the_nearer_one_covers_a_fifth_to_two_fifths_and_leaves_a_third_of_each_object():
    for scene in CLOSE:
        sprites = standing_sprites(scene)
        behind, front = sprites[scene.close.behind], sprites[scene.close.front]
        whole = visible_ink(behind, side=IMAGE_PIXELS)
        seen = visible_ink(behind, covers=front, side=IMAGE_PIXELS)
        assert COVERED[0] <= 1 - sum(seen) / sum(whole) <= COVERED[1]
        assert all(3 * left >= all_of_it for left, all_of_it in zip(seen, whole, strict=True))


def test_all_groups_of_all_scenes_are_seen():
    for scene in SCENES:
        for index, group in enumerate(scene.groups):
            assert pixels_of(scene, index) >= 14 * group.number


def test_the_nearer_one_is_drawn_over_the_other_and_both_stay_in_their_cells():
    for behind, front in ((0, 1), (1, 0)):
        apart = kitchen(CUP, PAN, BEES)
        close = kitchen(CUP, PAN, BEES, close=Close(behind=behind, front=front, pixels=20))
        # Half transparent edges fall on another ground.
        assert pixels_of(close, front) == pytest.approx(pixels_of(apart, front), abs=5)
        assert pixels_of(close, behind) < 0.9 * pixels_of(apart, behind)
        assert pixels_of(close, 2) == pixels_of(apart, 2)
    for scene in CLOSE:
        for group, sprites in zip(scene.groups, standing_sprites(scene), strict=True):
            left = min(one.x for one in sprites)
            right = max(one.x + one.image.width for one in sprites)
            top = min(one.y for one in sprites)
            bottom = max(one.y + one.image.height for one in sprites)
            assert (left + right) / 2 // CELL_PIXELS == group.column
            assert (top + bottom) / 2 // CELL_PIXELS == group.row


@pytest.mark.parametrize("number", NUMBER_WORDS)
def test_at_least_three_fifths_of_each_object_of_a_heap_are_seen(number):
    for item in OBJECTS:
        heap = Group(noun=item.noun, colour="red", number=number, size="small", row=1, column=1)
        (sprites,) = standing_sprites(kitchen(heap))
        alone = [visible_ink([one], side=IMAGE_PIXELS)[0] for one in sprites]
        seen = visible_ink(sprites, side=IMAGE_PIXELS)
        assert min(left / ink for left, ink in zip(seen, alone, strict=True)) > 0.6


def test_a_scene_is_the_same_but_for_what_stands_close():
    for scene in CLOSE[:30]:
        split, number = scene.id.rsplit("-", 1)
        again = sample_scene(0, split, int(number))
        assert again == scene == Scene.model_validate_json(scene.model_dump_json())
        apart = scene.with_groups(scene.groups)
        assert apart.close is None
        assert apart == scene.model_copy(update={"close": None})


def test_a_scene_of_before_reads_and_draws_as_it_did():
    """Neither the field nor the layouts of four and five change what was drawn without them."""
    scene = kitchen(CUP, BEES, PIGS)
    written = scene.model_dump(mode="json")
    del written["close"]
    assert Scene.model_validate(written) == scene
    middles = [
        [(one.x + one.image.width // 2, one.y + one.image.height // 2) for one in sprites]
        for sprites in standing_sprites(scene)
    ]
    assert middles == [[(59, 61)], [(13, 19), (29, 22)], [(12, 110), (27, 110), (18, 92)]]


@pytest.mark.parametrize(
    ("close", "message"),
    [
        (Close(behind=0, front=2, pixels=20), "must stand in neighbouring cells"),
        (Close(behind=0, front=0, pixels=20), "must stand in neighbouring cells"),
        (Close(behind=0, front=3, pixels=20), "names a group that is not there"),
    ],
)
def test_only_neighbours_can_stand_close(close, message):
    with pytest.raises(ValidationError, match=message):
        kitchen(CUP, PAN, BEES, close=close)
