"""Our own reading: the known faults of the published ones, each with its opposite."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.benchmarks.coco.careful import careful_reader
from veridical.benchmarks.coco.vocabulary import object_kinds


def words(text):
    return careful_reader()(text).words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # every plural and singular
        (
            "A bus, two buses, ties and canoes, knives, vases.",
            ["bus", "bus", "tie", "canoe", "knife", "vase"],
        ),
        (
            "Men, policemen, geese, oxen, mice and people",
            ["man", "policeman", "goose", "oxen", "mouse", "people"],
        ),
        ("Two motor bikes and a cheesecake", ["motor bike", "cheesecake"]),
        # joined words
        ("A cat.The dog", ["cat", "dog"]),
        ("pizza/pizzas", ["pizza", "pizza"]),
        ("A teddy-bear on a mountain-bike", ["teddy bear", "bike"]),
        ("A dog-friendly, man-made lake and a zebra-striped bench", ["bench"]),
        ("The person's dog’s bowl", ["person", "dog", "bowl"]),
        # colours
        ("An orange cat by orange walls", ["cat"]),
        ("The walls are orange.", []),
        ("An orange and white cat", ["cat"]),
        (
            "An orange on a table, oranges, a slice of orange",
            ["orange", "table", "orange", "orange"],
        ),
        # phrases
        ("The bow of the ship", ["ship"]),
        ("A train car on a ski slope", ["train"]),
        ("A glass of red wine", ["wine glass"]),
        ("A computer mouse, a turkey sandwich", ["mouse", "sandwich"]),
        ("Baby goats and a mother duck", ["goat", "duck"]),
        ("The seat of the toilet, and another seat", ["toilet", "seat"]),
        ("Surf boards, a hand bag", ["surfboard", "handbag"]),
    ],
)
def test_known_faults_are_none(text, found):
    assert words(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("There is no dog.", []),
        ("There are no visible red sports cars here, only a bench.", ["bench"]),
        ("No people in the car", ["car"]),
        ("No dogs, cats, or birds, but a horse", ["horse"]),
        ("No dog and a cat", ["cat"]),
        ("A street without any cars or people and a bus", ["bus"]),
        ("Neither a cat nor a dog", []),
        ("The image does not show a dog. A cat sits.", ["cat"]),
        ("There isn't a person, he cannot see any knives.", []),
        ("Not only a dog but a cat", ["dog", "cat"]),
        ("The dog is no longer on the couch", ["dog", "couch"]),
        ("The dog is not on the couch", ["dog", "couch"]),
        ("A man with no hat and a dog", ["man", "dog"]),
    ],
)
def test_what_is_denied_is_not_mentioned(text, found):
    assert words(text) == found


def test_length_counts_words_and_no_signs():
    assert careful_reader()("A dog, a cat.").length == 4


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read(text):
    mentions = careful_reader()(text)
    assert len(mentions.words) == len(mentions.objects)
    assert set(mentions.objects) <= object_kinds()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(sorted(object_kinds() - {"orange"})), min_size=1, max_size=6))
def test_every_kind_is_found_by_its_name_in_any_list(kinds):
    assert careful_reader()("; ".join(f"a {kind}" for kind in kinds)).objects == kinds
