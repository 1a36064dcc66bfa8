"""Objects that a text mentions, without the known faults of the published readings.

Same kinds of object and the same list of words, read otherwise:

- every plural of a word counts, and no singular is lost ("bus", "men", "geese", "canoes", "vases",
  "ties");
- words that a missing blank or a stroke joins are parted ("a cat.The dog", "pizza/pizzas"); of
  words with hyphens the last names the thing ("mountain-bike" is a bike, "dog-friendly" and
  "zebra-striped" are neither), known pairs stay ("teddy-bear");
- what is said not to be there is no mention ("there is no dog", "without any cars or people");
- "orange" is a fruit only where it stands as a noun;
- phrases that hold the word for another thing are read whole ("bow of the ship", "ski slope",
  "train car", "computer mouse"; the list is `words.toml`), and only the toilet's own seat is left
  out.

Denial is read by a rule of thumb, not a parser. "No" and its like deny the noun among the next four
words of their phrase; "not" does so from the next "any", or from an "a" close by. A list continues
after "or", and after "and" or a comma where the next object has no article ("no dog and a cat"
denies the dog alone).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from veridical.benchmarks.coco.mentions import Mentions, Reader
from veridical.benchmarks.coco.vocabulary import object_words, word_table

_TOKEN = re.compile(
    r"[^\W\d_]+(?:['’][^\W\d_]+)*(?:-[^\W\d_]+(?:['’][^\W\d_]+)*)*|\d+|[.,;:!?()/\n]"
)
_POSSESSIVE = re.compile(r"['’]s$")
_IRREGULAR = {
    "child": ("children",),
    "goose": ("geese",),
    "mouse": ("mice", "mouses"),
    "ox": ("oxen", "oxes"),
    "person": ("persons", "people"),
}


@cache
def careful_reader() -> Reader:
    """The reader of the variant `veridical`."""
    table = word_table()["ours"]
    objects = object_words(table["added"])
    phrases = _phrases(table, objects)
    parts = {
        part
        for name in (*objects, *(" ".join(phrase) for phrase in phrases))
        for part in name.split()
    }
    forms = {plural: part for part in sorted(parts, reverse=True) for plural in _plurals(part)} | {
        part: part for part in parts
    }
    first_words = {phrase[0] for phrase in phrases}

    def is_object(word: str) -> bool:
        return forms.get(word, word) in objects

    def read(text: str) -> Mentions:
        tokens = list(_tokens(text.lower(), phrases))
        normal = [forms.get(token, token) for token in tokens]
        denial = Denial(is_object)
        found: list[str] = []
        place = 0
        while place < len(tokens):
            size = _phrase_length(normal, place, phrases) if normal[place] in first_words else 1
            word = phrases[tuple(normal[place : place + size])] if size > 1 else normal[place]
            named = word in objects and not (word == "orange" and _is_colour(tokens, place))
            if (
                not denial.denies(
                    tokens[place], tokens[place + size : place + size + 1], named=named
                )
                and named
            ):
                found.append(word)
            place += size
        return Mentions(
            found, [objects[word] for word in found], sum(token[0].isalnum() for token in tokens)
        )

    return read


def _phrase_length(words: Sequence[str], place: int, phrases: Mapping[tuple[str, ...], str]) -> int:
    """Words of the longest phrase that starts at a place; 1 where none does."""
    return next((size for size in (4, 3, 2) if tuple(words[place : place + size]) in phrases), 1)


def _tokens(text: str, phrases: Mapping[tuple[str, ...], str]) -> Iterator[str]:
    for token in _TOKEN.findall(text):
        rest, _, last = token.rpartition("-")
        before = rest.rpartition("-")[2]
        if before and (before, last) in phrases:
            yield before
        yield _POSSESSIVE.sub("", last)


def _is_colour(tokens: Sequence[str], place: int) -> bool:
    """Whether the word "orange" at a place means a colour."""
    if tokens[place] != "orange":
        return False  # "oranges" are fruit
    grammar = word_table()["ours"]["grammar"]
    before = tokens[place - 1] if place else ""
    after, then = (*tokens[place + 1 : place + 3], "", "")[:2]
    if before not in grammar["before_fruit"] or (
        after.isalnum() and after not in grammar["after_fruit"]
    ):
        return True
    return after in ("and", "or") and then in grammar["colours"]


def _phrases(table: Mapping[str, Any], objects: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Several words in a row → the word as which they are read; "" where they name nothing."""
    phrases = {name: name for name in objects if " " in name}
    of_animals = [word for word, kind in objects.items() if kind in table["animals"]]
    of_vehicles = [word for word, kind in objects.items() if kind in table["vehicles"]]
    for first in table["told_of_animals"]:
        phrases |= {f"{first} {word}": word for word in (*of_animals, *table["other_animals"])}
    for first in table["told_of_vehicles"]:
        phrases |= {f"{first} {word}": word for word in of_vehicles}
    phrases |= dict.fromkeys(table["nothing"], "")
    phrases |= dict(table["read_as"])
    return {tuple(phrase.split()): word for phrase, word in phrases.items()}


def _plurals(word: str) -> tuple[str, ...]:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("man"):
        return (f"{word[:-3]}men",)
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return (f"{word}es", f"{word}ses") if word.endswith("us") else (f"{word}es",)
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return (f"{word[:-1]}ies",)
    if word.endswith(("f", "fe")):
        return (f"{word}s", f"{word.rstrip('fe')}ves")
    return (f"{word}s", f"{word}es") if word.endswith("o") else (f"{word}s",)


_NOT = re.compile(r"not|never|cannot|.*n['’]t")
_REACH = 4
"""Words after "no" among which its noun stands."""
_OBJECT_OF_NOT = 5
"""Words after "not" within which "a" begins what is denied ("does not seem to show a dog")."""

_GRAMMAR = word_table()["ours"]["grammar"]
_NONE, _CLAUSE_ENDS, _PHRASE_ENDS, _DETERMINERS = (
    frozenset(_GRAMMAR[name]) for name in ("none", "clause_ends", "phrase_ends", "determiners")
)


class Denial:
    """Follows a text word by word and knows whether an object is denied."""

    def __init__(self, is_object: Callable[[str], bool]) -> None:
        """Start a text.

        Args:
            is_object: Whether a word names an object.
        """
        self._is_object = is_object
        self._left = 0
        self._since_not: int | None = None
        self._in_list = False

    def denies(self, word: str, after: Sequence[str], *, named: bool) -> bool:
        """Take the next word and say whether it is denied.

        Args:
            word: The word, or a sign.
            after: What follows.
            named: Whether the word names an object here.
        """
        if named and self._left:
            self._left, self._in_list = 0, True
            return True
        self._left = max(0, self._left - 1)
        self._since_not = None if self._since_not is None else self._since_not + 1
        in_list, self._in_list = self._in_list, False
        following = after[0] if after else ""
        if in_list and self._list_goes_on(word, following):
            self._left, self._in_list = _REACH, word == ","
        elif word in _NONE:
            self._left = 0 if following == "longer" else _REACH
        elif _NOT.fullmatch(word):
            self._since_not = None if following == "only" else 0
        elif word in _CLAUSE_ENDS:
            self._left, self._since_not = 0, None
        elif word == "," or word in _PHRASE_ENDS or (word == "and" and following in _DETERMINERS):
            self._left = 0
        elif self._since_not is not None and (
            word == "any" or (word in ("a", "an") and self._since_not <= _OBJECT_OF_NOT)
        ):
            self._left, self._since_not = _REACH, None
        return False

    def _list_goes_on(self, word: str, following: str) -> bool:
        if word in ("or", "nor"):
            return True
        if word not in ("and", ","):
            return False
        return following in ("or", "nor") or (
            following not in _DETERMINERS and self._is_object(following)
        )
