"""The ways to read objects out of a text, by the name of their variant, and what each rests on."""

from veridical.benchmarks.coco.careful import careful_reader
from veridical.benchmarks.coco.mentions import Reader, official_reader
from veridical.benchmarks.coco.tagging import load_tagger
from veridical.benchmarks.coco.tokens import VERSION
from veridical.benchmarks.coco.vocabulary import word_list_version


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
