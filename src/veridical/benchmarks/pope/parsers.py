"""How published code reads yes or no out of an answer.

The official parser (RUCAIBox/POPE `evaluate.py`) takes the text before the first full stop, drops
commas, splits at blanks and says "no" where a word is "No", "no" or "not"; all else is "yes".
"""

from collections.abc import Callable

from veridical.scoring.vqa_text import strip_punctuation
from veridical.scoring.yes_no import Answer, strict_answer


def official_answer(text: str) -> Answer:
    """Read an answer as the official code does.

    >>> official_answer("NO"), official_answer("I am not sure"), official_answer("")
    ('yes', 'no', 'yes')
    """
    words = text.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"} & set(words) else "yes"


def vlmevalkit_answer(text: str) -> Answer:
    """Read an answer as VLMEvalKit does: one of yes and no after VQA's rules; else unknown.

    >>> vlmevalkit_answer("NO!"), vlmevalkit_answer("**No**"), vlmevalkit_answer("Yes. No cat")
    ('no', 'unknown', 'unknown')
    """
    said = {"yes", "no"} & set(strip_punctuation(text.lower()).split())
    if len(said) != 1:
        return "unknown"
    return "yes" if "yes" in said else "no"


def lmms_answer(text: str) -> Answer:
    """Read an answer as lmms-eval does: nothing but yes or no, not even a full stop.

    >>> lmms_answer(" NO"), lmms_answer("No.")
    ('no', 'unknown')
    """
    said = text.lower().strip()
    return "yes" if said == "yes" else "no" if said == "no" else "unknown"


PARSERS: dict[str, Callable[[str], Answer]] = {
    "official": official_answer,
    "strict": strict_answer,
    "vlmevalkit": vlmevalkit_answer,
    "lmms-eval": lmms_answer,
}
"""How each variant reads an answer."""
