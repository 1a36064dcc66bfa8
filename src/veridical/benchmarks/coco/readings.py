"""The ways to read objects out of a text: a variant's, or a list of words of the user's own."""

from pathlib import Path

from veridical.benchmarks.coco.careful import careful_reader
from veridical.benchmarks.coco.mentions import Mentions, Reader, official_reader
from veridical.benchmarks.coco.tagging import load_tagger
from veridical.benchmarks.coco.tokens import VERSION, tokenize
from veridical.benchmarks.coco.vocabulary import word_list_version
from veridical.encodings import decode_text
from veridical.scoring.reading.packed import read_plain_bytes
from veridical.scoring.rows import Faults


def reader_of(variant: str) -> Reader:
    """What reads texts in a variant of CHAIR."""
    if variant == "veridical":
        return careful_reader()
    return official_reader(
        "wordnet" if variant == "wordnet" else "objhal" if variant == "objhal" else "original"
    )


def reading_versions(variant: str) -> dict[str, str]:
    """What a reading of texts rests on."""
    normalisers = {
        "original": "pattern 3.6 singularize, as a table",
        "wordnet": "WordNet 3.0 lemmas as nltk 3.9.1 finds them, as a table",
        "objhal": "WordNet 3.0 noun lemmas as nltk 3.9.1 finds them, as a table",
        "veridical": "plurals of the listed words",
    }
    versions = {"words": word_list_version(), "normaliser": normalisers[variant]}
    if variant == "wordnet":
        versions["tagger"] = load_tagger().version
    return versions | {"tokenizer": "veridical" if variant == "veridical" else VERSION}


def read_own_words(path: Path, faults: Faults) -> dict[str, str]:
    """Word → kind of object, from lines like CHAIR's synonyms: "knife, knives, dagger".

    Nothing is made singular: a plural counts where it is listed. Up to three words in a row may
        stand for a kind.

    Args:
        path: The file.
        faults: Where to note words that stand for two kinds.
    """
    words: dict[str, str] = {}
    text = faults.gather(lambda: decode_text(path, read_plain_bytes(path)), otherwise="")
    for number, line in enumerate(text.splitlines(), start=1):
        names = [name.strip().lower() for name in line.split(",") if name.strip()]
        for name in names:
            if words.setdefault(name, names[0]) != names[0]:
                message = f"{name!r} stands for {words[name]!r} already. Keep one of them."
                faults.add_file(path, message, line=number)
    if text and not words:
        faults.add_file(
            path, "holds no words. Write a kind of object and its other names on each line."
        )
    return words


def own_words_reader(words: dict[str, str]) -> Reader:
    """A reader that finds the longest listed name at each place."""
    longest = max((len(name.split()) for name in words), default=1)

    def read(text: str) -> Mentions:
        tokens = tokenize(text.lower())
        found = []
        place = 0
        while place < len(tokens):
            sizes = range(min(longest, len(tokens) - place), 0, -1)
            name = next(
                (
                    name
                    for size in sizes
                    if (name := " ".join(tokens[place : place + size])) in words
                ),
                None,
            )
            if name is not None:
                found.append(name)
            place += len(name.split()) if name else 1
        return Mentions(found, [words[name] for name in found], len(tokens))

    return read
