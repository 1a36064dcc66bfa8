"""What a machine captioner says: typical errors, anywhere in the text, where the picture is why."""

import random
from collections import Counter

import pytest

from veridical.studies.image_free import cut_last_sentence
from veridical.world.claims import sentence_spans
from veridical.world.descriptions import (
    Mention,
    NoiseModel,
    caption_with_noise,
    noisy_mentions,
    true_mentions,
)
from veridical.world.judge import judge_description
from veridical.world.scenes import Group, Scene, sample_scenes

NEVER = NoiseModel(substituted=0, added_by_typical=(0,) * 5, number=0, colour=0, place=0)
SNAIL = Group(noun="snail", colour="green", number=1, size="small", row=0, column=0)
LARGE_BREAD = Group(noun="bread", colour="blue", number=1, size="large", row=1, column=1)
CUPS = Group(noun="cup", colour="red", number=3, size="small", row=2, column=2)


def kitchen(*groups):
    return Scene(id="k", context="kitchen", groups=groups)


def said(scene, **always):
    return noisy_mentions(scene, random.Random(0), noise=NEVER._replace(**always))


def test_without_noise_a_caption_is_true():
    for scene in sample_scenes(0, "captions", 50):
        assert said(scene) == true_mentions(scene)


@pytest.mark.parametrize(
    ("groups", "always", "expected"),
    [
        # The most expected absent object, in the colour and at the place of the strange one.
        ((SNAIL, CUPS), {"substituted": 1}, {0: Mention("knife", "green", 1, "left")}),
        # Three or more of an expected object.
        ((SNAIL, CUPS), {"number": 1}, {1: Mention("cup", "red", 2, "right")}),
        (
            (SNAIL, CUPS.model_copy(update={"number": 5})),
            {"number": 1},
            {1: Mention("cup", "red", 4, "right")},
        ),
        ((SNAIL, CUPS.model_copy(update={"number": 2})), {"number": 1}, {}),
        # Green is near blue, a cup's typical colour.
        (
            (SNAIL, CUPS.model_copy(update={"colour": "green"})),
            {"colour": 1},
            {1: Mention("cup", "blue", 3, "right")},
        ),
        # A knife is expected on the right, an apple in the middle.
        (
            (
                Group(noun="apple", colour="red", number=1, size="small", row=1, column=0),
                Group(noun="knife", colour="red", number=1, size="small", row=1, column=1),
            ),
            {"place": 1},
            {0: Mention("apple", "red", 1, "middle"), 1: Mention("knife", "red", 1, "right")},
        ),
    ],
)
def test_each_kind_of_error_where_the_picture_invites_it(groups, always, expected):
    scene = kitchen(*groups)
    mentions = said(scene, **always)
    assert mentions == [expected.get(n, true) for n, true in enumerate(true_mentions(scene))]
    enlarged = kitchen(
        *(one.model_copy(update={"size": "large", "number": 1}) for one in scene.groups)
    )
    assert said(enlarged, **always) == true_mentions(enlarged)


def test_what_is_added_stands_next_to_the_last_large_object():
    scene = kitchen(SNAIL, LARGE_BREAD, CUPS)
    mentions = said(scene, added_by_typical=(1,) * 5)
    assert mentions[2] == Mention("knife", "gray", 1, "middle")
    assert [*mentions[:2], *mentions[3:]] == true_mentions(scene)
    small = kitchen(SNAIL, CUPS)
    assert said(small, added_by_typical=(1,) * 5) == true_mentions(small)


def test_faults_stand_anywhere_so_that_cutting_the_end_does_not_help():
    places, faulty, left = Counter(), 0, 0
    for scene in sample_scenes(0, "anywhere", 600):
        text = caption_with_noise(scene, random.Random(scene.jitter))
        spans = sentence_spans(text)
        verdict = judge_description(scene, text)
        for fault in verdict.faults:
            number = next(n for n, (_, end) in enumerate(spans) if fault.span[0] < end)
            places["first" if number == 1 else "last" if number == len(spans) - 1 else "inner"] += 1
        faulty += verdict.hallucinates
        left += judge_description(scene, cut_last_sentence(text)).hallucinates
    assert min(places.values()) / places.total() > 0.15
    assert max(places.values()) / places.total() < 0.55
    assert left / faulty > 0.65
