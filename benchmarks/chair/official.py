"""CHAIR as the published scripts count it, rewritten: word by word, caption by caption.

It does the work that LisaAnne/Hallucination utils/chair.py and OPERA's chair.py do, with the
packages that they use (nltk, pattern), and rebuilds the set of words at every word as they do. It
is what Veridical's scorer is timed against and compared with; it is no part of the package.
"""

from collections.abc import Callable

import nltk
from nltk.corpus import wordnet
from nltk.stem import WordNetLemmatizer
from singular import singularize

from veridical.benchmarks.coco.vocabulary import vocabulary

_LEMMATISER = WordNetLemmatizer()
_PARTS = {"J": wordnet.ADJ, "V": wordnet.VERB, "N": wordnet.NOUN, "R": wordnet.ADV}


def original_words(tokens: list[str]) -> list[str]:
    """Every token in the singular by pattern."""
    return [singularize(token) for token in tokens]


def wordnet_words(tokens: list[str]) -> list[str]:
    """Every token's lemma by its part of speech."""
    tagged = nltk.pos_tag(tokens)
    return [
        _LEMMATISER.lemmatize(token, pos=_PARTS.get(tag[0], wordnet.NOUN)) for token, tag in tagged
    ]


def objhal_words(tokens: list[str]) -> list[str]:
    """Every token's lemma as a noun."""
    return [_LEMMATISER.lemmatize(token) for token in tokens]


NORMALISERS: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "original": (original_words, "chair"),
    "wordnet": (wordnet_words, "chair"),
    "objhal": (objhal_words, "rlhf_v"),
}
"""Variant → what makes words singular, and whose list is read."""


def caption_to_words(caption: str, variant: str) -> tuple[list[str], list[str], int]:
    """Words of objects in a caption, their kinds, and how many tokens there are."""
    normalise, source = NORMALISERS[variant]
    objects, pairs = vocabulary(source)
    synonyms = list(objects)
    words = normalise(nltk.word_tokenize(caption.lower()))
    joined = []
    place = 0
    while place < len(words):
        pair = pairs.get(tuple(words[place : place + 2]))
        joined.append(words[place] if pair is None else pair)
        place += 1 if pair is None else 2
    length = len(joined)
    if "toilet" in joined and "seat" in joined:
        joined = [word for word in joined if word != "seat"]
    places = [place for place, word in enumerate(joined) if word in set(synonyms)]
    found = [word for word in joined if word in set(synonyms)]
    return found, [objects[word] for word, _ in zip(found, places, strict=True)], length


def compute_chair(
    captions: list[tuple[str, str]], truth: dict[str, set[str]], variant: str
) -> dict[str, float]:
    """The four numbers that the scripts print, from (image, caption)."""
    hallucinating = hallucinated = mentions = found = there = tokens = 0
    for image, caption in captions:
        _, kinds, length = caption_to_words(caption, variant)
        absent = [kind for kind in kinds if kind not in truth[image]]
        hallucinating += bool(absent)
        hallucinated += len(absent)
        mentions += len(kinds)
        found += len(truth[image] & set(kinds))
        there += len(truth[image])
        tokens += length
    return {
        "chair_s": hallucinating / len(captions),
        "chair_i": hallucinated / mentions,
        "recall": found / there,
        "length": tokens / len(captions),
    }
