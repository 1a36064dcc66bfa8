"""A pair's system message, turns and pictures as trainers write them."""

from veridical.records import Pair
from veridical.records.texts import IMAGE_MARKER

Said = tuple[str, str]
"""Who speaks (system, user or assistant) and what is said."""


def marked_turns(pair: Pair) -> list[str]:
    """What user and assistant say up to the question, with one `<image>` for each picture."""
    turns = [*pair.turns]
    if not any(IMAGE_MARKER in text for text in turns[::2]):
        turns[0] = IMAGE_MARKER * len(pair.images) + turns[0]
    return turns


def said_of(pair: Pair) -> list[Said]:
    """The system message, where there is one, and `marked_turns`."""
    system = [("system", pair.system)] if pair.system else []
    return [
        *system,
        *((("user", "assistant")[n % 2], text) for n, text in enumerate(marked_turns(pair))),
    ]
