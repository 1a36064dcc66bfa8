"""How far two sets of spans of one text overlap, in code points and in words.

By words a space more or less makes no difference.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache

from veridical.feedback.texts.words import Word, find_words
from veridical.files import JsonObject

Span = tuple[int, int]


def covered(spans: Iterable[Span]) -> set[int]:
    """The places that spans cover; an insertion covers the place after which it stands."""
    places: set[int] = set()
    for start, end in spans:
        places.update(range(start, end) if end > start else (start,))
    return places


def span_f1(first: Iterable[Span], second: Iterable[Span]) -> float:
    """F1 of the code points that two sets of spans cover; 1 where both are empty."""
    one, other = covered(first), covered(second)
    if not one and not other:
        return 1.0
    return 2 * len(one & other) / (len(one) + len(other))


def word_flags(text: str, spans: Iterable[Span]) -> tuple[bool, ...]:
    """For each word whether a span touches it; an insertion touches the word before it."""
    return _flags(text, tuple((start, end) for start, end in spans))


@lru_cache(maxsize=20_000)
def _flags(text: str, spans: tuple[Span, ...]) -> tuple[bool, ...]:
    words = _words(text)
    flags = [False] * len(words)
    for start, end in spans:
        first, last = (start, end) if start < end else (max(start, 1) - 1, max(start, 1))
        place = bisect_right(words, first, key=lambda word: word.end)
        while place < len(words) and words[place].start < last:
            flags[place] = True
            place += 1
    return tuple(flags)


@lru_cache(maxsize=20_000)
def _words(text: str) -> tuple[Word, ...]:
    return tuple(find_words(text))


def word_f1(text: str, first: Iterable[Span], second: Iterable[Span]) -> float:
    """F1 of the words that two sets of spans touch; 1 where both touch none."""
    one, other = word_flags(text, first), word_flags(text, second)
    total = sum(one) + sum(other)
    common = sum(a and b for a, b in zip(one, other, strict=True))
    return 2 * common / total if total else 1.0


def kind_matches(first: JsonObject, second: JsonObject) -> Iterator[bool]:
    """For each pair of overlapping segments of two judgements whether their kinds are the same."""
    for one in _kinded(first):
        for other in _kinded(second):
            (a, b), (c, d) = one[0], other[0]
            if max(a, c) < min(b, d) or (a, b) == (c, d):
                yield one[1] == other[1]


def _kinded(body: JsonObject) -> list[tuple[Span, str]]:
    if "changes" in body:
        return [(tuple(one["rejected_span"]), one["kind"]) for one in body["changes"]]
    return [((one["start"], one["end"]), one["kind"]) for one in body.get("marks", ())]
