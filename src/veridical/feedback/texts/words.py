"""Cut a text into words and punctuation, in code points, never through what is read as one sign.

A combining mark stays with its letter, an emoji with its skin colour, joiner and variation
selector, a flag with both of its letters; ideographs and kana, which are written without spaces,
stand alone. White space belongs to no word.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_JOINER = "\u200d"
_ASCII_WORDS = re.compile(r"\w+|[^\w\s]")
_SENTENCE_ENDS = frozenset(".!?。！？…")


class Word(NamedTuple):
    """A word or one punctuation sign, with its place in the text."""

    text: str
    """The word as it stands."""
    start: int
    """First code point."""
    end: int
    """One past the last code point."""


def find_words(text: str) -> list[Word]:
    """Find words and punctuation signs in order; all code points outside of them are blanks."""
    if text.isascii():  # the same by a faster way
        return [Word(found[0], *found.span()) for found in _ASCII_WORDS.finditer(text)]
    bounds: list[tuple[int, int]] = []
    start = 0
    previous = "space"
    for place, sign in enumerate(text):
        kind = _kind_of(sign)
        if kind == "extend":
            grows = previous != "space"
            kind = ("glue" if sign == _JOINER else previous) if grows else "sign"
        else:
            grows = previous == "glue" or (kind == previous and kind in ("letter", "flag"))
            if grows and kind == "flag":
                kind = "sign"  # two letters make a flag; a third one begins the next
        if not grows:
            if previous != "space":
                bounds.append((start, place))
            start = place
        elif previous == "glue" and kind == "space":
            bounds.append((start, place))
        previous = kind
    if previous != "space":
        bounds.append((start, len(text)))
    return [Word(text[a:b], a, b) for a, b in bounds]


def count_words(text: str) -> int:
    """How many words and punctuation signs `find_words` finds."""
    return len(_ASCII_WORDS.findall(text)) if text.isascii() else len(find_words(text))


def ends_sentence(word: Word) -> bool:
    """Whether the word is a sign that closes a sentence."""
    return word.text[0] in _SENTENCE_ENDS


@lru_cache(maxsize=4096)
def _kind_of(sign: str) -> str:
    if sign.isspace():
        return "space"
    if sign.isascii():
        return "letter" if sign.isalnum() or sign == "_" else "sign"
    code = ord(sign)
    category = unicodedata.category(sign)
    if (
        category[0] == "M"
        or sign == _JOINER
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
    ):
        return "extend"
    if 0x1F1E6 <= code <= 0x1F1FF:
        return "flag"
    if category == "Lo" and (
        0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or code >= 0x20000
    ):
        return "sign"
    return "letter" if sign.isalnum() else "sign"
