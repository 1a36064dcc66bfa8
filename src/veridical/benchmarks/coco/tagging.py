"""Parts of speech exactly as nltk's averaged perceptron tags them, where the tag matters.

The tagger (Honnibal 2013) reads the two tags before a word, so a text is tagged from the left.
About half of all running words have one tag only, listed in the tagger's dictionary; after two of
those in a row nothing further left matters, and tagging can start there. The weights are nltk's
data package `averaged_perceptron_tagger_eng`, which is not part of this package.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veridical.errors import ConfigError, DataError, Fault, install_line
from veridical.files import hash_file, read_bytes

PACKAGE = "averaged_perceptron_tagger_eng"
"""Name of the data package."""

_START = ("-START-", "-START2-")
_END = ("-END-", "-END2-")
_Weights = Mapping[str, Mapping[str, float]]
_Row = NDArray[np.float64]


class Tagger:
    """Tags words of a text with the Penn Treebank's parts of speech."""

    def __init__(
        self, weights: _Weights, tagdict: Mapping[str, str], classes: Iterable[str], *, version: str
    ) -> None:
        """Take what was read.

        Args:
            weights: Feature → tag → weight.
            tagdict: Words that have one tag only.
            classes: All tags.
            version: What to call these weights next to a score.
        """
        self._weights = weights
        self._tagdict = tagdict
        self._classes = tuple(sorted(classes))
        self._places = {tag: place for place, tag in enumerate(self._classes)}
        self._rows: dict[str, _Row] = {}
        self.version = version

    def tags(self, tokens: Sequence[str], wanted: Sequence[int]) -> dict[int, str]:
        """Tags of some words of a text.

        Args:
            tokens: The whole text.
            wanted: Places of the words, in rising order.
        """
        context = (*_START, *tokens, *_END)
        known: dict[int, str] = {-1: _START[0], -2: _START[1]}
        for place in wanted:
            for here in range(self._first_needed(tokens, place, known), place + 1):
                if here not in known:
                    known[here] = self._tag(
                        here, tokens[here], context, known[here - 1], known[here - 2]
                    )
        return {place: known[place] for place in wanted}

    def _first_needed(self, tokens: Sequence[str], place: int, known: dict[int, str]) -> int:
        """Where to start so that the two tags before are known; dictionary tags are noted."""
        run = 0
        here = place - 1
        while run < 2:
            if here not in known and tokens[here] in self._tagdict:
                known[here] = self._tagdict[tokens[here]]
            run = run + 1 if here in known else 0
            here -= 1
        return max(here + 1, 0)

    def _tag(
        self, place: int, word: str, context: Sequence[str], before: str, before_that: str
    ) -> str:
        if word in self._tagdict:
            return self._tagdict[word]
        two_left, left, this, right, two_right = map(_normal, context[place : place + 5])
        features = (
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
            f"i-2 word {two_left}",
            f"i+1 word {right}",
            f"i+1 suffix {right[-3:]}",
            f"i+2 word {two_right}",
        )
        scores = np.zeros(len(self._classes))
        for feature in features:  # in nltk's order: sums of floats depend on it
            if feature in self._weights:
                scores += self._row(feature)
        # The last in the alphabet where two score the same.
        return self._classes[len(self._classes) - 1 - int(scores[::-1].argmax())]

    def _row(self, feature: str) -> _Row:
        """Weights of a feature, one per tag; kept, since few features make most of a text."""
        row = self._rows.get(feature)
        if row is None:
            weights = self._weights[feature]
            row = self._rows[feature] = np.zeros(len(self._classes))
            row[[self._places[tag] for tag in weights]] = list(weights.values())
        return row


@cache
def load_tagger() -> Tagger:
    """Read the tagger from where nltk keeps its data.

    Raises:
        ConfigError: It is nowhere there.
        DataError: The files are not what they should be.
    """
    folder = _find_folder()
    parts = []
    for name in ("weights", "tagdict", "classes"):
        path = folder / f"{PACKAGE}.{name}.json"
        try:
            parts.append(json.loads(read_bytes(path)))
        except (OSError, ValueError) as error:
            fault = Fault(
                path, None, f"cannot be read as JSON: {error}. Download `{PACKAGE}` again."
            )
            raise DataError([fault]) from error
    weights, tagdict, classes = parts
    digest = hash_file(folder / f"{PACKAGE}.weights.json")[:12]
    return Tagger(weights, tagdict, classes, version=f"{PACKAGE} {digest}")


def tagger_status() -> str:
    """One line for `veridical doctor`: where the tagger's data is, or how to get it."""
    folder = _data_folder()
    if folder is None:
        return f"not found; needed by `--variant wordnet` of chair. {_how_to_get_it()}"
    return str(folder)


def _how_to_get_it() -> str:
    return (
        f"Get it with `{install_line('nltk')}` and then `python -m nltk.downloader {PACKAGE}`;"
        " where it is elsewhere, name its folder in NLTK_DATA."
    )


def _find_folder() -> Path:
    folder = _data_folder()
    if folder is None:
        places = ", ".join(map(str, _places()))
        raise ConfigError(
            f"Words are tagged with nltk's data `{PACKAGE}`, which is not in {places}."
            f" {_how_to_get_it()} Or choose a variant that tags no words."
        )
    return folder


def _data_folder() -> Path | None:
    folders = (place / "taggers" / PACKAGE for place in _places())
    return next((folder for folder in folders if folder.is_dir()), None)


def _places() -> list[Path]:
    """Where nltk looks for its data."""
    named = [Path(place) for place in os.environ.get("NLTK_DATA", "").split(os.pathsep) if place]
    return [
        *named,
        Path.home() / "nltk_data",
        Path(sys.prefix) / "nltk_data",
        Path(sys.prefix) / "share" / "nltk_data",
        Path("/usr/share/nltk_data"),
        Path("/usr/local/share/nltk_data"),
        Path("/usr/local/lib/nltk_data"),
    ]


def _normal(word: str) -> str:
    if word in _START or word in _END:  # never a word of a text in lower case
        return word
    if "-" in word and word[0] != "-":
        return "!HYPHEN"
    if word.isdigit() and len(word) == 4:
        return "!YEAR"
    return "!DIGITS" if word[0].isdigit() else word.lower()
