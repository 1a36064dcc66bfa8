"""Tags of some words are those that tagging the whole text from the left gives them."""

import json
import random

import pytest

from veridical.benchmarks.coco.tagging import PACKAGE, Tagger, load_tagger, tagger_status
from veridical.errors import ConfigError, DataError

WORDS = ["the", "men", "ride", "two-tone", "bikes", "near", "1998", "7th", "st.", ",", "a", "cats"]
TAGS = ["DT", "IN", "JJ", "NN", "NNS", "VB", "VBP"]


def naive_tags(weights, tagdict, tokens):
    """The published procedure, word by word."""

    def normal(word):
        if "-" in word and word[0] != "-":
            return "!HYPHEN"
        if word.isdigit() and len(word) == 4:
            return "!YEAR"
        return "!DIGITS" if word[0].isdigit() else word.lower()

    context = ["-START-", "-START2-", *map(normal, tokens), "-END-", "-END2-"]
    found, before, before_that = [], "-START-", "-START2-"
    for place, word in enumerate(tokens):
        tag = tagdict.get(word)
        if tag is None:
            left2, left, this, right, right2 = context[place : place + 5]
            names = [
                "bias",
                f"i suffix {word[-3:]}",
                f"i pref1 {word[0]}",
                f"i-1 tag {before}",
                f"i-2 tag {before_that}",
                f"i tag+i-2 tag {before} {before_that}",
                f"i word {this}",
                f"i-1 tag+i word {before} {this}",
                f"i-1 word {left}",
                f"i-1 suffix {left[-3:]}",
                f"i-2 word {left2}",
                f"i+1 word {right}",
                f"i+1 suffix {right[-3:]}",
                f"i+2 word {right2}",
            ]
            scores = {
                one: sum(weights.get(name, {}).get(one, 0.0) for name in names) for one in TAGS
            }
            tag = max(TAGS, key=lambda one: (scores[one], one))
        found.append(tag)
        before_that, before = before, tag
    return found


def random_tagger(seed):
    """Weights in eighths for the features of random texts: ties occur and sums are exact."""
    draw = random.Random(seed)
    normals = [*WORDS, "!HYPHEN", "!YEAR", "!DIGITS", "-START-", "-START2-", "-END-", "-END2-"]
    features = [
        "bias",
        *(f"i suffix {word[-3:]}" for word in WORDS),
        *(f"i pref1 {word[0]}" for word in WORDS),
    ]
    features += [
        f"{place} word {word}" for place in ("i", "i-1", "i-2", "i+1", "i+2") for word in normals
    ]
    features += [f"{place} suffix {word[-3:]}" for place in ("i-1", "i+1") for word in normals]
    features += [
        f"{place} tag {tag}" for place in ("i-1", "i-2") for tag in (*TAGS, "-START-", "-START2-")
    ]
    features += [f"i tag+i-2 tag {one} {two}" for one in TAGS for two in TAGS]
    weights = {
        name: {tag: draw.randint(-16, 16) / 8 for tag in draw.sample(TAGS, 4)}
        for name in features
        if draw.random() < 0.7
    }
    tagdict = {word: draw.choice(TAGS) for word in ("the", "near", "a", ",")}
    return weights, tagdict


@pytest.mark.parametrize("seed", range(20))
def test_tags_of_some_words_are_those_of_the_whole_text(seed):
    weights, tagdict = random_tagger(seed)
    tagger = Tagger(weights, tagdict, TAGS, version="random")
    draw = random.Random(seed)
    for _ in range(20):
        tokens = [draw.choice(WORDS) for _ in range(draw.randint(1, 25))]
        naive = naive_tags(weights, tagdict, tokens)
        wanted = sorted(draw.sample(range(len(tokens)), draw.randint(0, len(tokens))))
        assert tagger.tags(tokens, wanted) == {place: naive[place] for place in wanted}


@pytest.fixture
def _no_tagger(monkeypatch, tmp_path):
    load_tagger.cache_clear()
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    load_tagger.cache_clear()


@pytest.mark.usefixtures("_no_tagger")
def test_without_the_data_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr("veridical.benchmarks.coco.tagging.sys.prefix", str(tmp_path))
    with pytest.raises(ConfigError, match=f"nltk.downloader {PACKAGE}.*NLTK_DATA"):
        load_tagger()


@pytest.mark.usefixtures("_no_tagger")
def test_broken_data_is_named(tmp_path):
    folder = tmp_path / "taggers" / PACKAGE
    folder.mkdir(parents=True)
    (folder / f"{PACKAGE}.weights.json").write_text("{")
    with pytest.raises(DataError, match=r"weights\.json.*Download"):
        load_tagger()


@pytest.mark.usefixtures("_no_tagger")
def test_a_tagger_is_read_from_nltks_files(tmp_path):
    folder = tmp_path / "taggers" / PACKAGE
    folder.mkdir(parents=True)
    weights, tagdict = random_tagger(0)
    for name, value in (("weights", weights), ("tagdict", tagdict), ("classes", TAGS)):
        (folder / f"{PACKAGE}.{name}.json").write_text(json.dumps(value))
    tagger = load_tagger()
    assert tagger.tags(["the", "men"], [0, 1])[0] == tagdict["the"]
    assert tagger.version.startswith(PACKAGE)


def test_doctor_can_say_where_the_data_is_or_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    said = tagger_status()
    assert said.startswith("not found; needed by `--variant wordnet` of chair. Get it with")
    assert f"python -m nltk.downloader {PACKAGE}" in said
    (tmp_path / "taggers" / PACKAGE).mkdir(parents=True)
    assert tagger_status() == str(tmp_path / "taggers" / PACKAGE)
