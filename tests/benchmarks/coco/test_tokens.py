"""Tokens: those of nltk 3.9.1, to the letter."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.benchmarks.coco.tokens import sentences, tokenize

GOLDEN = json.loads(Path(__file__).with_name("nltk_tokens.json").read_text(encoding="utf-8"))
"""Random texts with what nltk 3.9.1 made of them; written by benchmarks/chair/check.py."""


def test_random_texts_give_nltks_tokens():
    assert len(GOLDEN) == 400
    for text, tokens in GOLDEN:
        assert tokenize(text) == tokens, text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("...", ["..."]),
        ("a cat.", ["a", "cat", "."]),
        ("a cat.the dog", ["a", "cat.the", "dog"]),  # one word, in which no cat is found
        (
            "near st. paul. ok?",
            ["near", "st.", "paul", ".", "ok", "?"],
        ),  # an abbreviation ends no sentence
        (
            "it has 5. a dog",
            ["it", "has", "5.", "a", "dog"],
        ),  # nor does a number before a small letter
        (
            "a mr. s. dog (a pug.) runs.",
            ["a", "mr.", "s.", "dog", "(", "a", "pug", ".", ")", "runs", "."],
        ),
        (
            "the dog's toys, the dogs' toys",
            ["the", "dog", "'s", "toys", ",", "the", "dogs", "'", "toys"],
        ),
        ("he isn't, she cannot", ["he", "is", "n't", ",", "she", "can", "not"]),
        ('a "stop" sign', ["a", "``", "stop", "''", "sign"]),
        ("1,000 dogs,cats", ["1,000", "dogs", ",", "cats"]),
        ("'donut — here", ["'donut", "—", "here"]),  # nltk 3.10 would split the quote
        ("zebra-striped pizza/pizzas", ["zebra-striped", "pizza/pizzas"]),
    ],
)
def test_worked_examples(text, tokens):
    assert tokenize(text) == tokens


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='abc .,"-!?:;()\n5', max_size=60))
def test_nothing_is_lost_but_blanks_and_the_shape_of_quotes(text):
    kept = "".join(tokenize(text)).replace("``", '"').replace("''", '"')
    assert kept == "".join(text.split())


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab .!?)\n", max_size=40))
def test_sentences_hold_the_whole_text_in_order(text):
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
