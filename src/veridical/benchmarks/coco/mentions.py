"""Objects that a text mentions, as the published versions of CHAIR find them.

All three take tokens, make them singular, read certain pairs of words as one, drop "seat" where
"toilet" is said, and keep what is in the list of words. They differ in how a word becomes singular:

    original  pattern's `singularize`                      (CHAIR, arXiv 1809.02156)
    wordnet   nltk's part of speech, then WordNet's lemma  (OPERA and most papers since)
    objhal    WordNet's lemma as a noun, refined word list  (RLHF-V, RLAIF-V)
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Literal, NamedTuple

from veridical.benchmarks.coco.tagging import load_tagger
from veridical.benchmarks.coco.tokens import tokenize
from veridical.benchmarks.coco.vocabulary import Vocabulary, vocabulary, word_forms

OfficialReading = Literal["original", "wordnet", "objhal"]


class Mentions(NamedTuple):
    """What a text mentions."""

    words: list[str]
    """Words that stand for objects, singular, in their order, each time they are said."""
    objects: list[str]
    """Their kinds of object."""
    length: int
    """Tokens of the text, signs included, two words that are read as one counted once."""


Reader = Callable[[str], Mentions]
"""Finds the objects that a text mentions."""
Normaliser = Callable[[Sequence[str]], list[str | None]]
"""Makes each token the word of the list that it is a form of; None where it is none."""


@cache
def official_reader(reading: OfficialReading) -> Reader:
    """A reader that gives what published code gives, faults included.

    Raises:
        ConfigError: The reading `wordnet` finds no tagger.
    """
    if reading == "original":
        return make_reader(vocabulary("chair"), by_table(word_forms("pattern")))
    if reading == "objhal":
        return make_reader(vocabulary("rlhf_v"), by_table(word_forms("noun")))
    return make_reader(vocabulary("chair"), by_part_of_speech())


def make_reader(words: Vocabulary, normalise: Normaliser) -> Reader:
    """Put a reader together from a list of words and a way to make tokens singular."""
    objects, pairs = words

    def read(text: str) -> Mentions:
        merged, length = _merge_pairs(normalise(tokenize(text.lower())), pairs)
        if "toilet" in merged and "seat" in merged:
            merged = [word for word in merged if word != "seat"]
        found = [word for word in merged if word in objects]
        return Mentions(found, [objects[word] for word in found], length)

    return read


def by_table(forms: Mapping[str, str]) -> Normaliser:
    """Words by their forms, whatever stands around them."""
    return lambda tokens: list(map(forms.get, tokens))


def by_part_of_speech() -> Normaliser:
    """Words by form and part of speech; a word with no part of speech counts as a noun."""
    tagger = load_tagger()
    noun = word_forms("noun")
    others = {"V": word_forms("verb"), "J": word_forms("adjective"), "R": word_forms("adverb")}
    tables = (noun, *others.values())
    known = {form for table in tables for form in table}
    ambiguous = {form for form in known if len({table.get(form) for table in tables}) > 1}

    def normalise(tokens: Sequence[str]) -> list[str | None]:
        normal = [noun.get(token) for token in tokens]
        if not ambiguous.isdisjoint(tokens):
            wanted = [place for place, token in enumerate(tokens) if token in ambiguous]
            for place, tag in tagger.tags(tokens, wanted).items():
                normal[place] = others.get(tag[0], noun).get(tokens[place])
        return normal

    return normalise


def _merge_pairs(
    normal: Sequence[str | None], pairs: Mapping[tuple[str, str], str]
) -> tuple[list[str], int]:
    """Read pairs as one word, from the left; also count what is left."""
    merged: list[str] = []
    joined = 0
    taken = -1  # place of a second word that is read with its first
    last = len(normal) - 1
    for place, word in enumerate(normal):
        if word is None or place == taken:
            continue
        following = normal[place + 1] if place < last else None
        pair = pairs.get((word, following)) if following is not None else None
        if pair is not None:
            joined += 1
            taken = place + 1
        merged.append(pair or word)
    return merged, len(normal) - joined
