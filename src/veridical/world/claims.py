"""What a text claims about a picture: a tolerant parser of the world's language.

Works on any text: words that are not a number, colour, noun or place are skipped. A claim is read
sentence by sentence; in one sentence each noun takes the number and colour words that stand between
it and the noun before, and the sentence's place (where there are several, the nearest one not yet
taken, looking forward first). A noun that is denied ("there is no knife") is not a claim.
"""

import re
from typing import NamedTuple

from veridical.world.inventory import (
    COLOURS,
    CONTEXT_BY_NAME,
    NOUN_BY_WORD,
    NUMBER_WORDS,
    OBJECT_BY_NOUN,
    PLACES,
)

Span = tuple[int, int]

_WORD = re.compile(r"[A-Za-z]+")
_SENTENCE = re.compile(r"[^.!?;]+[.!?;]?")
_NUMBERS: dict[str, int] = {word: number for number, word in NUMBER_WORDS.items()} | {
    "a": 1,
    "an": 1,
}
_DENIALS = ("no", "not", "without")


class Word(NamedTuple):
    """A value that a text states, and where."""

    value: str | int
    span: Span
    """Code points, half open."""


class Claim(NamedTuple):
    """One group of objects as a text states it; what is not stated is None."""

    noun: str
    """Singular noun."""
    noun_span: Span
    """Where the noun stands."""
    number: Word | None
    """How many (1–5)."""
    colour: Word | None
    """Which colour."""
    place: Word | None
    """left, middle or right; the span is that of this one word."""
    sentence: Span
    """The sentence, with its full stop, without the space around it."""


class Claims(NamedTuple):
    """All that a description claims."""

    contexts: tuple[Word, ...]
    """Names of contexts stated."""
    groups: tuple[Claim, ...]
    """Groups of objects stated, in the text's order."""


def parse_claims(text: str) -> Claims:
    """Read the claims of a description.

    >>> claims = parse_claims("This is a kitchen. There are two red apples on the left.")
    >>> claims.groups[0].noun, claims.groups[0].number.value, claims.groups[0].place.value
    ('apple', 2, 'left')
    """
    contexts: list[Word] = []
    groups: list[Claim] = []
    for span in sentence_spans(text):
        words = [Word(w.group().lower(), w.span()) for w in _WORD.finditer(text, *span)]
        contexts += [word for word in words if word.value in CONTEXT_BY_NAME]
        groups += _groups_of(words, span)
    return Claims(tuple(contexts), tuple(groups))


def sentence_spans(text: str) -> list[Span]:
    """Where the sentences of a text lie, each with its full stop, without the space around it."""
    spans = []
    for match in _SENTENCE.finditer(text):
        sentence = match.group().strip()
        if sentence:
            start = match.start() + len(match.group()) - len(match.group().lstrip())
            spans.append((start, start + len(sentence)))
    return spans


def _groups_of(words: list[Word], sentence: Span) -> list[Claim]:
    places = [word for word in words if word.value in PLACES]
    claims: list[Claim] = []
    number: Word | None = None
    colour: Word | None = None
    denied = False
    for word in words:
        value = str(word.value)
        if value in _DENIALS:
            denied = True
        elif value in _NUMBERS:
            number = Word(_NUMBERS[value], word.span)
        elif value in COLOURS:
            colour = word
        elif value in NOUN_BY_WORD:
            if not denied:
                noun = NOUN_BY_WORD[value]
                place = _take_place(places, word.span)
                claims.append(Claim(noun, word.span, number, colour, place, sentence))
            number = colour = None
            denied = False
    return claims


def _take_place(places: list[Word], noun_span: Span) -> Word | None:
    if not places:
        return None
    if len(places) == 1:
        return places[0]
    behind = [place for place in places if place.span[0] >= noun_span[1]]
    chosen = behind[0] if behind else places[-1]
    places.remove(chosen)
    return chosen


def noun_words(noun: str) -> tuple[str, str]:
    """Singular and plural of a noun."""
    item = OBJECT_BY_NOUN[noun]
    return item.noun, item.plural
