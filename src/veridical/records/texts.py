"""Texts of prompts and responses: what is wrong with one, and when two say the same."""

import unicodedata
from collections.abc import Sequence
from itertools import count
from typing import Final

IMAGE_MARKER: Final = "<image>"
"""What stands in a user's turn of a record where a picture goes; see `records.prompts`."""

PLACEHOLDERS: Final = (
    "<image>",
    "<|image|>",
    "<|image_pad|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<image_soft_token>",
    "<start_of_image>",
    "<end_of_image>",
    "<IMG_CONTEXT>",
    "<|image_1|>",
)
"""What models put where the image goes. The chat template sets it; records have `IMAGE_MARKER`,
in user turns alone."""
_WITH_ANOTHER = ("<|vision_start|>", "<|vision_end|>", "<end_of_image>")

MAX_TEXT_CHARACTERS = 1_000_000
"""Longest text of a row; no model reads more."""


class Missing:
    """Stands for a field that a row does not have, as opposed to one that is null."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()
"""The one value of `Missing`."""


def text_fault(text: object, name: str, *, response: bool) -> str | None:
    """Say what is wrong with one text of a row; None if nothing is.

    Args:
        text: The text, or `MISSING`.
        name: The name of its field.
        response: Whether it is a response, which may hold no image placeholder.
    """
    if text is MISSING:
        return f"`{name}` is missing. Add it or leave the row out."
    if not isinstance(text, str):
        return f"`{name}` must be text, got {shown(text)}. Fix the row."
    if not text.strip():
        return f"`{name}` is empty, got {shown(text)}. Give a text or leave the row out."
    if len(text) > MAX_TEXT_CHARACTERS:
        return (
            f"`{name}` has {len(text):,} characters, at most {MAX_TEXT_CHARACTERS:,} are read."
            " Shorten it or leave the row out."
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return (
            f"`{name}` is not valid Unicode: half of a surrogate pair at {error.start}. Fix the"
            " text."
        )
    return placeholder_fault(text, name) if response else None


def placeholder_fault(text: str, name: str) -> str | None:
    """Say that a text holds an image placeholder; None if it does not."""
    found = next((sign for sign in PLACEHOLDERS if sign in text), None)
    if found is None:
        return None
    return f"`{name}` holds the image placeholder {found!r}, which stands for a picture. Remove it."


def marker_fault(turns: Sequence[str], images: int, *, system: str = "") -> str | None:
    """Say in what a record's markers do not fit its images; None if they do.

    Args:
        turns: What user and assistant say in turn, the user first.
        images: How many images there are.
        system: The system message.
    """
    for number, text in enumerate((system, *turns)):
        name = "the system message" if not number else f"turn {number}"
        if number % 2 == 0 and IMAGE_MARKER in text:
            return (
                f"{name} holds the marker {IMAGE_MARKER}, which stands for a picture, and only user"
                " turns show pictures: move it or take it out"
            )
    markers = sum(text.count(IMAGE_MARKER) for text in turns[::2])
    if markers in (0, images):
        return None
    return (
        f"{markers} {IMAGE_MARKER} markers in the user turns for {images} images: give one for each"
        " image where it stands, or none if all stand before the first turn"
    )


def number_pictures(turns: Sequence[str]) -> list[str]:
    """Turns for people to read: each marker says which picture stands there.

    >>> number_pictures(["What is <image>?", "A cat.", "And <image>?"])
    ['What is [picture 1]?', 'A cat.', 'And [picture 2]?']
    """
    numbers = count(1)
    return [
        "".join(
            piece if not place else f"[picture {next(numbers)}]{piece}"
            for place, piece in enumerate(text.split(IMAGE_MARKER))
        )
        for text in turns
    ]


def count_shown_images(turns: Sequence[str], images: int, *, first: int) -> int:
    """How many of a conversation's images its first turns show.

    Args:
        turns: What user and assistant say in turn, the user first.
        images: How many images the conversation has.
        first: How many turns count.
    """
    markers = [text.count(IMAGE_MARKER) for text in turns[::2]]
    return sum(markers[: (first + 1) // 2]) if any(markers) else images


def count_images(text: str) -> int:
    """How many images the placeholders in a text stand for."""
    return sum(text.count(sign) for sign in PLACEHOLDERS if sign not in _WITH_ANOTHER)


def without_placeholders(text: str) -> str:
    """A text without image placeholders and the blanks they leave at its ends."""
    bare = text
    for sign in PLACEHOLDERS:
        bare = bare.replace(sign, "")
    return bare.strip() if bare != text else text


def clean_text(text: str) -> str:
    r"""A text as it is learnt from: composed (NFC), without blanks at its ends.

    >>> clean_text(" A cafe\\u0301.\\n") == "A caf\\u00e9."
    True
    """
    return unicodedata.normalize("NFC", text).strip()


def same_text(first: str, second: str) -> bool:
    """Whether two texts differ in blanks or in the composition of letters at most.

    >>> same_text("A  dog. ", "A dog.")
    True
    """
    if first == second:
        return True
    one, two = (unicodedata.normalize("NFC", text).split() for text in (first, second))
    return one == two


def shown(value: object) -> str:
    """A value as messages show it: at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
