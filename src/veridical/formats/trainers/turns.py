"""A pair's system message, turns and pictures as trainers write them."""

from collections.abc import Sequence

from veridical.records import Pair
from veridical.records.texts import IMAGE_MARKER

Said = tuple[str, str]
"""Who speaks (system, user or assistant) and what is said."""


def place_all_markers(turns: Sequence[str], images: int) -> list[str]:
    """Turns with one `<image>` for each picture; without markers all stand before the first."""
    placed = [*turns]
    if not any(IMAGE_MARKER in text for text in placed[::2]):
        placed[0] = IMAGE_MARKER * images + placed[0]
    return placed


def marked_turns(pair: Pair) -> list[str]:
    """What user and assistant say up to the question, with one `<image>` for each picture."""
    return place_all_markers(pair.turns, len(pair.images))


def said_of(pair: Pair) -> list[Said]:
    """The system message, where there is one, and `marked_turns`."""
    system = [("system", pair.system)] if pair.system else []
    return [
        *system,
        *((("user", "assistant")[n % 2], text) for n, text in enumerate(marked_turns(pair))),
    ]
