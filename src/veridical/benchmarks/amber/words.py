"""AMBER's words: the nouns of a description, how alike two of them are, and which of them are true.

The official code finds nouns with nltk (tokens, tags, lemmas) and compares words with spaCy's
en_core_web_lg. Both are exchangeable here, since neither comes with this package: nouns may be
given with the rows or in a file, and alikeness as a table.
"""

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.amber.nltk_data import how_to_get_data, nltk_is_there
from veridical.errors import ConfigError
from veridical.records.manifests import installed_version
from veridical.scoring.rows import Faults, field, read_rows

FindNouns = Callable[[str], list[str]]
"""Nouns of a text, singular, in their order, repeated as often as they are said."""
Similarity = Callable[[str, str], float]
"""How alike two words are, in [0, 1]."""

SPACY_MODEL = "en_core_web_lg"
_WORD = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)*")
_ENDINGS = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("ies", "y"),
)
_BEFORE_NOUNS = {
    "a",
    "the",
    "this",
    "that",
    "one",
    "another",
    "each",
    "every",
    "empty",
    "trash",
    "garbage",
    "tin",
}
_IRREGULAR = {
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
}


class Judged(NamedTuple):
    """A description against the truth."""

    mentions: int
    """Nouns said that AMBER knows, each time they are said."""
    hallucinated: list[str]
    """Those of them that are not there."""
    covered: int
    """True words that were named."""
    truth: int
    """True words."""
    imagined: int
    """Words that people expect to be imagined here, and that were named."""
    traps: int
    """Words that people expect to be imagined here."""


class Lexicon(NamedTuple):
    """What AMBER knows of words."""

    related: Mapping[str, tuple[str, ...]]
    """Words that may stand for each word."""
    safe: frozenset[str]
    """Words that are never counted as imagined."""

    @property
    def known(self) -> frozenset[str]:
        """All words that count."""
        return frozenset(self.related) | {word for words in self.related.values() for word in words}


def judge_nouns(
    nouns: Sequence[str],
    truth: Sequence[str],
    traps: Sequence[str],
    lexicon: Lexicon,
    *,
    similarity: Similarity,
    threshold: float,
) -> Judged:
    """Compare nouns with what is there, as AMBER's inference.py does.

    A noun is looked up among the words related to true words, then among the true words, and the
    first that fits is named; what is nothing of the sort is looked up among the traps alike, and
    then by similarity in both.

    Args:
        nouns: Nouns that were said.
        truth: Words of what is there.
        traps: Words of what people expect to be imagined.
        lexicon: Known words.
        similarity: How alike two words are.
        threshold: Two words are the same where they are more alike than this.
    """
    known = lexicon.known
    said = [noun for noun in nouns if noun in known]
    true_words, trap_words = _with_related(truth, lexicon), _with_related(traps, lexicon)

    def like(noun: str, words: Sequence[tuple[str, int]]) -> int | None:
        return next((index for word, index in words if similarity(noun, word) > threshold), None)

    covered: set[int] = set()
    imagined: set[int] = set()
    hallucinated: list[str] = []
    for noun in said:
        if noun in lexicon.safe:
            continue
        found = _first(noun, true_words)
        if found is None:
            imagined |= {
                index
                for index in (_first(noun, trap_words), like(noun, trap_words))
                if index is not None
            }
            found = like(noun, true_words)
        if found is None:
            hallucinated.append(noun)
        else:
            covered.add(found)
    return Judged(len(said), hallucinated, len(covered), len(truth), len(imagined), len(traps))


def _with_related(words: Sequence[str], lexicon: Lexicon) -> list[tuple[str, int]]:
    """Every word that stands for one of the words, with its place; related words come first."""
    related = [
        (other, index) for index, word in enumerate(words) for other in lexicon.related[word]
    ]
    return [*related, *((word, index) for index, word in enumerate(words))]


def _first(noun: str, words: Sequence[tuple[str, int]]) -> int | None:
    return next((index for word, index in words if word == noun), None)


def nltk_nouns() -> FindNouns:
    """AMBER's own noun finder: nltk's tokens whose tag begins with NN, as lemmas; case is kept.

    Raises:
        ConfigError: nltk is not installed, or lacks its data.
    """
    if not nltk_is_there():
        raise ConfigError(
            f"nltk is not installed with its data: {how_to_get_data()}. Or choose --nouns lexicon,"
            " or give nouns with the rows."
        )
    nltk = importlib.import_module("nltk")
    lemmatize = importlib.import_module("nltk.stem").WordNetLemmatizer().lemmatize

    def find(text: str) -> list[str]:
        tagged = nltk.pos_tag(nltk.word_tokenize(text))
        return [lemmatize(word) for word, tag in tagged if tag.startswith("NN")]

    return find


def lexicon_nouns(known: frozenset[str]) -> FindNouns:
    """Words of AMBER's lexicon, in the singular; "watch" and "light" always count as nouns.

    "can" is one only after "a", "the" and the like: as a verb it stands in every other
    description.
    """

    @cache
    def singular(word: str) -> str:
        if word in known:
            return word
        forms = [_IRREGULAR.get(word, word)]
        forms += [word.removesuffix(end) + other for end, other in _ENDINGS if word.endswith(end)]
        return next((form for form in forms if form in known), word)

    def find(text: str) -> list[str]:
        words = _WORD.findall(text)
        pairs = zip(["", *words], words, strict=False)
        return [
            singular(word)
            for before, word in pairs
            if word != "can" or before.lower() in _BEFORE_NOUNS
        ]

    return find


def exact(first: str, second: str) -> float:
    """1 where two words are one."""
    return float(first == second)


def read_similarity(path: Path, faults: Faults) -> Similarity:
    """A table of rows `a`, `b`, `similarity`, good in both directions; what it lacks is unlike.

    Args:
        path: JSON array or JSON lines.
        faults: Where to note what is wrong.
    """
    table: dict[tuple[str, str], float] = {}
    for row in read_rows(path, faults):
        pair = (
            field(row, "a", str, faults, otherwise=""),
            field(row, "b", str, faults, otherwise=""),
        )
        table[pair] = table[pair[::-1]] = float(
            field(row, "similarity", float, faults, otherwise=0.0)
        )
    return lambda first, second: 1.0 if first == second else table.get((first, second), 0.0)


def spacy_is_there() -> bool:
    """Whether spaCy's en_core_web_lg is installed."""
    return (
        importlib.util.find_spec("spacy") is not None
        and importlib.util.find_spec(SPACY_MODEL) is not None
    )


def spacy_similarity() -> Similarity:
    """AMBER's own: the cosine of spaCy's word vectors.

    Raises:
        ConfigError: spaCy or its model is not installed.
    """
    if not spacy_is_there():
        raise ConfigError(
            f"spaCy's {SPACY_MODEL} is not installed. Install it (python -m spacy download"
            f" {SPACY_MODEL}), or choose --similarity exact, or give a table of similarities."
        )
    document = cache(importlib.import_module("spacy").load(SPACY_MODEL))

    @cache
    def similarity(first: str, second: str) -> float:
        return float(document(first).similarity(document(second)))

    return similarity


def word_versions(*, nouns: str, similarity: str) -> dict[str, str]:
    """What the words rest on: how nouns were found and compared, with versions."""
    found = {"nouns": nouns, "similarity": similarity}
    if nouns == "nltk":
        found["nltk"] = installed_version("nltk") or "unknown"
    if similarity == "spacy":
        found |= {
            "spacy": installed_version("spacy") or "unknown",
            "vectors": f"{SPACY_MODEL} {_model_version()}",
        }
    return found


def _model_version() -> str:
    return (
        installed_version(SPACY_MODEL)
        or installed_version(SPACY_MODEL.replace("_", "-"))
        or "unknown"
    )
