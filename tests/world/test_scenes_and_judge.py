"""Scenes draw the same pixels from the same seed; the judge finds exactly the planted faults."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from veridical.seeding import child_random
from veridical.world.claims import parse_claims
from veridical.world.descriptions import describe, describe_mentions, true_mentions
from veridical.world.inventory import (
    COLOURS,
    CONTEXT_OF_NOUN,
    CONTEXTS,
    NUMBER_WORDS,
    OBJECTS,
    PLACES,
)
from veridical.world.judge import judge_description
from veridical.world.scenes import (
    IMAGE_PIXELS,
    MAX_OBJECTS,
    Group,
    Scene,
    render,
    sample_scene,
    sample_scenes,
)
from veridical.world.sprites import sprite


def pixels(scene):
    image = render(scene)
    assert (image.mode, image.size) == ("RGB", (IMAGE_PIXELS, IMAGE_PIXELS))
    return hashlib.sha256(image.tobytes()).hexdigest()


def test_same_seed_same_pixels_and_other_seed_others():
    scene = sample_scene(0, "pixels", 7)
    assert pixels(scene) == pixels(sample_scene(0, "pixels", 7))
    assert pixels(scene) == pixels(Scene.model_validate_json(scene.model_dump_json()))
    assert len({pixels(each) for each in sample_scenes(0, "pixels", 50)}) == 50
    assert pixels(scene) != pixels(sample_scene(1, "pixels", 7))


@pytest.mark.parametrize("item", OBJECTS, ids=lambda item: item.noun)
def test_every_object_draws_in_every_colour(item):
    drawn = [sprite(item.noun, colour, size=37) for colour in COLOURS]
    for image in drawn:
        assert max(image.size) == 37
        opaque = sum(1 for value in image.getchannel("A").tobytes() if value > 128)
        assert opaque > 60
    assert len({image.tobytes() for image in drawn}) == len(COLOURS)


def test_splits_never_share_a_scene():
    def content(scene):
        return scene.model_dump_json(exclude={"id"})

    splits = {
        split: {content(s) for s in sample_scenes(0, split, 300)}
        for split in ("train", "validation", "test")
    }
    ids = [scene.id for split in splits for scene in sample_scenes(0, split, 300)]
    assert len(set(ids)) == 900
    assert not splits["train"] & splits["test"]
    assert not splits["train"] & splits["validation"]
    assert not splits["validation"] & splits["test"]


def test_scenes_keep_their_bounds_and_their_context():
    scenes = list(sample_scenes(0, "bounds", 500))
    typical = total = 0
    for scene in scenes:
        assert 2 <= len(scene.groups) <= 4
        assert all(group.size == "small" for group in scene.groups if group.number > 1)
        assert 2 <= sum(group.number for group in scene.groups) <= MAX_OBJECTS
        assert len(set(scene.nouns)) == len(scene.nouns)
        places = [PLACES.index(group.place) for group in scene.groups]
        assert places == sorted(places)
        typical += sum(CONTEXT_OF_NOUN[noun] == scene.context for noun in scene.nouns)
        total += len(scene.nouns)
    assert 0.7 < typical / total < 0.85
    assert {scene.context for scene in scenes} == {context.name for context in CONTEXTS}
    numbers = Counter(group.number for scene in scenes for group in scene.groups)
    assert sorted(numbers, key=numbers.__getitem__, reverse=True) == list(NUMBER_WORDS)
    assert numbers[max(NUMBER_WORDS)] > 0.03 * numbers.total()


def test_a_true_description_reads_back_as_the_scene():
    for scene in sample_scenes(0, "round-trip", 300):
        text = describe(scene, child_random(0, scene.id))
        claims = parse_claims(text)
        assert [word.value for word in claims.contexts] == [scene.context]
        read = [(c.noun, c.number.value, c.colour.value, c.place.value) for c in claims.groups]
        assert read == [(g.noun, g.number, g.colour, g.place) for g in scene.groups]
        for claim in claims.groups:
            assert text[slice(*claim.colour.span)] == claim.colour.value
        verdict = judge_description(scene, text)
        assert not verdict.hallucinates
        assert (verdict.covered, verdict.missed, verdict.repeated) == (scene.nouns, (), 0)
        assert verdict.details == 3 * len(scene.groups)


def test_the_judge_finds_exactly_the_faults_that_were_put_in():
    for scene in sample_scenes(0, "injected", 300):
        rng = child_random(0, scene.id)
        expected = []
        mentions = []
        for mention in true_mentions(scene):
            kind = rng.choice(("object", "number", "colour", "place", None, None))
            if kind == "object":
                absent = [item.noun for item in OBJECTS if item.noun not in scene.nouns]
                mention = mention._replace(noun=rng.choice(absent))
                expected.append((kind, mention.noun))
            elif kind is not None:
                values = {"number": tuple(NUMBER_WORDS), "colour": COLOURS, "place": PLACES}[kind]
                wrong = rng.choice([value for value in values if value != getattr(mention, kind)])
                mention = mention._replace(**{kind: wrong})
                expected.append((kind, wrong))
            mentions.append(mention)
        text = describe_mentions(scene.context, mentions, rng)
        verdict = judge_description(scene, text)
        assert [(fault.kind, fault.said) for fault in verdict.faults] == expected
        for fault in verdict.faults:
            word = text[slice(*fault.span)].lower()
            if fault.kind == "number":
                assert word in (NUMBER_WORDS[fault.said], "a")
            elif fault.kind != "object":
                assert word == fault.said


def test_a_detail_counts_once_where_it_is_told_truly_of_what_is_there():
    group = Group(noun="apple", colour="red", number=2, size="small", row=0, column=0)
    scene = Scene(id="made-up-0", context="kitchen", groups=(group,))

    def told(text):
        return judge_description(scene, text).details

    assert group.place == "left"
    assert told("There are two red apples on the left.") == 3
    assert told("There are two blue apples on the left. There are two apples.") == 2
    assert told("There are some apples.") == told("There are two red cups on the left.") == 0


def test_what_is_denied_is_not_claimed():
    scene = sample_scene(0, "denied", 0)
    absent = scene.typical_absent()[0]
    assert not judge_description(scene, f"There is no {absent} in the picture.").hallucinates
    assert (
        judge_description(scene, f"There is no cow here, but a {absent}.").hallucinates
        or absent == "cow"
    )


def test_fewer_pixels_blur_the_picture_and_change_nothing_else():
    full, small = (sample_scene(0, "blur", 1, pixels=pixels) for pixels in (120, 24))
    assert small.model_copy(update={"pixels": 120}) == full == sample_scene(0, "blur", 1)
    sharp, blurred = (np.asarray(render(scene), dtype=float) for scene in (full, small))
    assert sharp.shape == blurred.shape
    # What is left is what a picture of 24×24 pixels holds: the means of its 5×5 blocks.
    blocks = [picture.reshape(24, 5, 24, 5, 3).mean(axis=(1, 3)) for picture in (sharp, blurred)]
    assert np.abs(blocks[0] - blocks[1]).mean() < 6
    assert np.abs(np.diff(blurred, axis=1)).mean() < 0.8 * np.abs(np.diff(sharp, axis=1)).mean()
