"""Objects that a judge lists, as Object HalBench asks for them, reads them and makes them singular.

The official code makes the judge's names singular with spaCy's en_core_web_trf, which is on no
package index. It can be exchanged for anything that gives lemma and part of speech of each word.
"""

import importlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from veridical.benchmarks.coco.vocabulary import vocabulary
from veridical.errors import ConfigError
from veridical.judges.protocol import Case, Message
from veridical.judges.templates import FileTemplate, PromptFile

OFFICIAL_PROMPTS = {
    "9d732f9b73a3cc965bee6eb163b8e5248e58bd9d382eb583e9ece59933e2b580": (
        "RLHF-V, eval_gpt_obj_halbench.py"
    ),
}
"""Hash of the published prompt, with `{question}` and `{answer}` in it."""

SPACY_MODEL = "en_core_web_trf"
_NOUNS = frozenset({"NN", "NNS", "NNP", "NNPS"})


class TaggedWord(NamedTuple):
    """A word with what spaCy says of it."""

    lemma: str
    """Its basic form."""
    tag: str
    """Its part of speech in the Penn Treebank's terms."""


Analyse = Callable[[str], Sequence[TaggedWord]]
"""Tells lemma and part of speech of each word of a phrase."""


@dataclass(frozen=True)
class ExtractionTemplate(FileTemplate):
    """The judge's prompt: one system message with the places `{question}` and `{answer}`.

    The official code leaves the temperature to the endpoint, whose default is 1; 0 can be repeated.
    """

    def messages(self, case: Case) -> tuple[Message, ...]:
        """Fill it in as the official code does: the question first, then the answer."""
        text = self.prompt.text.replace("{question}", case.fields["question"])
        return (Message("system", text.replace("{answer}", case.fields["answer"])),)


def checked_prompt(prompt: PromptFile) -> PromptFile:
    """Refuse a prompt without its two places.

    Raises:
        ConfigError: One of them is missing.
    """
    missing = [place for place in ("{question}", "{answer}") if place not in prompt.text]
    if missing:
        raise ConfigError(f"The judge's template lacks {' and '.join(missing)}. Fix the template.")
    return prompt


def parse_extraction(text: str) -> tuple[str, ...] | None:
    r"""Read the judge's list as the official code does: the text as JSON, or its last line.

    Returns:
        The names; None where the official code would ask again.

    >>> parse_extraction('Here you go:\n["dog", "cat"]'), parse_extraction("dog, cat")
    (('dog', 'cat'), None)
    """
    for candidate in (text, text.strip().split("\n")[-1] if '["' in text else None):
        if candidate is None:
            continue
        try:
            value = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        # Of an object the official code takes the keys; a single text or number it would take apart
        # or choke on.
        return tuple(str(name) for name in value) if isinstance(value, (list, dict)) else None
    return None


def analysed_objects(names: Sequence[str], analyse: Analyse) -> tuple[str, ...]:
    """Make a judge's names singular as the official code does; each object once, in order.

    Args:
        names: What the judge listed.
        analyse: Tells lemma and part of speech.
    """
    pairs = vocabulary("rlhf_v").pairs
    found: dict[str, None] = {}
    for name in names:
        words = analyse(f"a {name}")
        found |= dict.fromkeys(
            _pairs_only([word.lemma for word in words], pairs) or _noun_runs(words)
        )
    return tuple(found)


def load_spacy() -> Analyse:
    """The official model.

    Raises:
        ConfigError: spaCy or the model is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("spacy", SPACY_MODEL)):
        raise ConfigError(
            f"The official variant makes names singular with spaCy's {SPACY_MODEL}, which is not"
            f" installed. Install spaCy and the model (`python -m spacy download {SPACY_MODEL}`),"
            " give rows whose `objs` are singular already, or take --variant veridical, which"
            " needs neither."
        )
    model = importlib.import_module("spacy").load(SPACY_MODEL)
    return lambda phrase: [TaggedWord(token.lemma_, token.tag_) for token in model(phrase)]


def _pairs_only(lemmas: Sequence[str], pairs: Mapping[tuple[str, str], str]) -> list[str]:
    found = []
    place = 0
    while place < len(lemmas):
        pair = pairs.get((lemmas[place], lemmas[place + 1])) if place + 1 < len(lemmas) else None
        if pair is not None:
            found.append(pair)
        place += 1 if pair is None else 2
    return found


def _noun_runs(words: Sequence[TaggedWord]) -> list[str]:
    runs: list[list[str]] = [[]]
    for word in words:
        if word.tag in _NOUNS:
            runs[-1].append(word.lemma)
        elif runs[-1]:
            runs.append([])
    return [" ".join(run) for run in runs if run]
