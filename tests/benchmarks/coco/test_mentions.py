"""Objects in texts as published code finds them, faults included."""

import pytest

from official_data import DATA, needs_data
from veridical.benchmarks.coco.mentions import official_reader
from veridical.benchmarks.coco.vocabulary import object_kinds, vocabulary, word_forms


def words(reading, text):
    return official_reader(reading)(text).words


@pytest.mark.parametrize(
    ("text", "original", "objhal"),
    [
        ("A man on a bike.", ["man", "bike"], ["man", "bike"]),
        (
            "The bus is one of two buses.",
            ["bus"],
            ["bus", "bus"],
        ),  # pattern makes "bu" of the first
        ("Ties and canoes", [], ["tie", "canoe"]),
        (
            "Men and women",
            ["man", "woman"],
            ["woman"],
        ),  # WordNet leaves "men", which is not in the list
        ("Vases", ["vase"], []),  # WordNet makes "vas" of it
        ("Two motor bikes and a cheesecake", [], ["motor bike", "cheesecake"]),
        ("A dining table", ["table"], ["dining table"]),
        (
            "A coffee table with a remote control",
            ["table", "remote"],
            ["coffee table", "remote control"],
        ),
        ("His brother, a pedestrian", [], ["brother", "pedestrian"]),
        ("A baby elephant and a baby", ["elephant", "baby"], ["elephant", "baby"]),
        ("A passenger train on a train track", ["train"], ["train"]),
        ("Home plate", [], []),
        ("Wine glasses by a glass of wine", ["wine glass"], ["wine glass"]),
        ("The toilet beside the seat, a seat", ["toilet"], ["toilet"]),
        ("A seat", ["seat"], ["seat"]),
        ("A cat.The dog", ["dog"], ["dog"]),
        ("pizza/pizzas", [], []),
        ("There is no dog.", ["dog"], ["dog"]),
        ("An iPhone", [], []),
        ("", [], []),
    ],
)
def test_two_published_readings(text, original, objhal):
    assert words("original", text) == original
    assert words("objhal", text) == objhal


def test_kinds_and_length():
    mentions = official_reader("original")("Two hot dogs, a puppy.")
    assert mentions.words == ["hot dog", "puppy"]
    assert mentions.objects == ["hot dog", "dog"]
    assert mentions.length == 6  # two · hot dog · , · a · puppy · .


@needs_data
def test_parts_of_speech_decide_in_the_reading_of_opera(monkeypatch):
    monkeypatch.setenv("NLTK_DATA", str(DATA / "nltk_data"))
    assert words("wordnet", "She ties her shoes.") == ["tie"]  # a verb, and still a tie
    assert words("wordnet", "Geese") == []  # tagged as a verb, and so not made singular


def test_the_list_has_cocos_80_kinds_each_its_own_word():
    assert len(object_kinds()) == 80
    for source in ("chair", "rlhf_v"):
        objects = vocabulary(source).objects
        assert all(objects[kind] == kind for kind in object_kinds())


@needs_data
@pytest.mark.parametrize(
    ("source", "file", "strip"),
    [
        ("chair", "chair/synonyms.txt", False),
        ("rlhf_v", "object_halbench/synonyms_refine.txt", True),
    ],
)
def test_the_lists_are_the_published_ones(source, file, strip):
    published = {}
    for line in (DATA / file).read_text().splitlines():
        names = line.strip().split(", ")
        names = [name.strip() for name in names] if strip else names
        published |= dict.fromkeys(names, names[0])
    # No lower-case text without its blanks holds these.
    published = {
        name: kind for name, kind in published.items() if name == name.strip().lower() and name
    }
    assert dict(vocabulary(source).objects) == published


def test_forms_lead_to_words_that_are_looked_for():
    parts = {
        part
        for source in ("chair", "rlhf_v")
        for word in vocabulary(source).objects
        for part in word.split()
    }
    parts |= {
        part for source in ("chair", "rlhf_v") for pair in vocabulary(source).pairs for part in pair
    }
    for normaliser in ("pattern", "noun", "verb", "adjective", "adverb"):
        assert set(word_forms(normaliser).values()) <= parts
    assert word_forms("pattern")["people"] == "person"
    assert "bus" not in word_forms("pattern")
