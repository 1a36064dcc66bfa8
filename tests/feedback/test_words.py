import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.feedback.texts.words import find_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A cat, 2 dogs.", ["A", "cat", ",", "2", "dogs", "."]),
        ("11:20", ["11", ":", "20"]),
        ("cafe\u0301 x", ["cafe\u0301", "x"]),  # e + combining acute stays one word
        ("👩🏽‍🚀🚀", ["👩🏽‍🚀", "🚀"]),  # skin colour and joiner stay with the astronaut
        ("❤️!", ["❤️", "!"]),  # variation selector
        ("🇩🇪🇫🇷", ["🇩🇪", "🇫🇷"]),  # flags are two letters each
        ("猫と犬", ["猫", "と", "犬"]),
        (" \u0301a\u200d b", ["\u0301", "a\u200d", "b"]),
        ("", []),
        ("\r\n \t", []),
    ],
)
def test_words_are_what_a_reader_sees_as_one_sign_or_word(text, words):
    assert [word.text for word in find_words(text)] == words


@given(st.text())
def test_words_are_in_order_and_leave_only_white_space_outside(text):
    last = 0
    for word in find_words(text):
        assert word.start >= last
        assert word.start < word.end
        assert text[word.start : word.end] == word.text
        assert not text[last : word.start].strip()
        last = word.end
    assert not text[last:].strip()
