"""The words for COCO's 80 kinds of objects, and which pairs of words are read as one."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

from veridical.files import JsonObject, hash_bytes

Source = Literal["chair", "rlhf_v"]
"""Whose reading of the list: CHAIR's own or RLHF-V's."""


class Vocabulary(NamedTuple):
    """What is looked for in a text, all of it in lower case and singular."""

    objects: Mapping[str, str]
    """Word, or two words with a blank between them → kind of object."""
    pairs: Mapping[tuple[str, str], str]
    """Two words in a row → the word as which they are read."""


def vocabulary(source: Source) -> Vocabulary:
    """The words as published code reads them."""
    table = word_table()
    objects = object_words(table[source].get("added", {}))
    pairs = {word: word for word in objects if word.count(" ") == 1}
    pairs.update({word: word for word in table["pairs"]["nothing"]})
    pairs.update(_told(table["pairs"]["told_of_animals"], table["pairs"]["animals"]))
    pairs.update(_told(table["pairs"]["told_of_vehicles"], table["pairs"]["vehicles"]))
    pairs.update(table["pairs"]["read_as"])
    for word in table[source]["no_pairs"]:
        del pairs[word]
    for word in table[source]["never_found"]:
        del objects[word]
    return Vocabulary(objects, {(first, second): word for (first, second), word in _split(pairs)})


def object_words(added: Mapping[str, list[str]]) -> dict[str, str]:
    """Word → kind of object: the whole list, and words that a reading adds to it."""
    kinds = word_table()["objects"].items()
    objects = {word: kind for kind, words in kinds for word in (kind, *words)}
    return objects | {word: kind for kind, words in added.items() for word in words}


@cache
def object_kinds() -> frozenset[str]:
    """The names of COCO's 80 kinds of objects."""
    return frozenset(word_table()["objects"])


@cache
def word_table() -> JsonObject:
    """The file `words.toml`."""
    return tomllib.loads(_read("words.toml").decode())


@cache
def word_list_version() -> str:
    """What to call the list of words next to a score: the first digits of its hash."""
    return hash_bytes(_read("words.toml"))[:12]


@cache
def word_forms(normaliser: str) -> dict[str, str]:
    """Forms of the words → the word that a normaliser makes of them; other forms are not ours.

    Args:
        normaliser: "pattern", or a part of speech of WordNet's: "noun", "verb", "adjective",
            "adverb".
    """
    table: dict[str, dict[str, str]] = json.loads(_read("forms.json"))
    return {form: word for word, forms in table[normaliser].items() for form in forms.split()}


def _told(first: Iterable[str], second: list[str]) -> dict[str, str]:
    return {f"{one} {other}": other for one in first for other in second}


def _split(pairs: Mapping[str, str]) -> Iterable[tuple[tuple[str, str], str]]:
    for words, word in pairs.items():
        first, _, second = words.partition(" ")
        yield (first, second), word


def _read(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()
