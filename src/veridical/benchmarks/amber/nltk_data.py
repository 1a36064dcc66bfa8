"""Whether nltk's data is there, which AMBER's noun finder reads, and how to get it."""

import importlib
import importlib.util
from typing import Any

from veridical.errors import install_line

_DATA = {
    "punkt_tab": "tokenizers",
    "averaged_perceptron_tagger_eng": "taggers",
    "wordnet": "corpora",
}
"""What the noun finder reads of nltk's data, and where it lies."""


def nltk_is_there() -> bool:
    """Whether nltk is installed with the data that AMBER's noun finder needs."""
    if importlib.util.find_spec("nltk") is None:
        return False
    nltk = importlib.import_module("nltk")
    return all(_has(nltk, f"{folder}/{name}") for name, folder in _DATA.items())


def how_to_get_data() -> str:
    """What to do where nltk's data is not there."""
    return (
        f"AMBER's noun finder and CHAIR's `wordnet` need it: `{install_line('nltk')}`, then"
        f" `python -m nltk.downloader {' '.join(_DATA)}`, or name its folder in NLTK_DATA"
    )


def _has(nltk: Any, name: str) -> bool:
    for form in (name, f"{name}.zip"):
        try:
            nltk.data.find(form)
        except LookupError:
            continue
        return True
    return False
