"""Where pictures stand in the turns of a row: the row's markers → those that records have.

A record has no markers where all pictures stand before the first question, and otherwise one
`<image>` for each (see `records.prompts`).
"""

from collections.abc import Sequence

from veridical.errors import RowError
from veridical.formats.text import split_template, stated
from veridical.records.texts import (
    IMAGE_MARKER,
    PLACEHOLDERS,
    clean_text,
    count_images,
    without_placeholders,
)


def place_markers(turns: Sequence[str], images: int) -> tuple[str, ...]:
    """Turns with the markers that a record has for its pictures.

    Args:
        turns: What user and assistant say in turn, with the row's markers.
        images: How many pictures there are.

    Raises:
        RowError: Markers without a picture, or as many as do not fit.
    """
    counts = [0 if number % 2 else count_images(text) for number, text in enumerate(turns)]
    if sum(counts) > images:
        raise RowError(
            f"the question asks about {sum(counts)} images and the row has {images}: a question"
            " about an image that is not there teaches answering blind. Name the images, or take"
            " the markers out."
        )
    if 0 < sum(counts) < images:
        raise RowError(
            f"the row has {images} images and {sum(counts)} image markers, so that nothing says"
            " where the others go. Give one marker for each image, or none."
        )
    before_all = sum(counts) == (counts[0] if counts else 0) and (
        images == 1 or _stands_before(turns[0]) if turns else True
    )
    return tuple(
        clean_text(_bare(text) if number % 2 or before_all else _marked(text))
        if number % 2 == 0
        else text
        for number, text in enumerate(turns)
    )


def _stands_before(text: str) -> bool:
    """Whether nothing but pictures stands before the last marker of a text."""
    places = [(text.rfind(sign), sign) for sign in PLACEHOLDERS if sign in text]
    if not places:
        return True
    place, sign = max(places)
    return not without_placeholders(text[: place + len(sign)]).strip()


def _bare(text: str) -> str:
    return stated(without_placeholders(split_template(text).question).strip(), text)


def _marked(text: str) -> str:
    """A text whose placeholders of any model are the one marker of records."""
    marked = split_template(text).question
    for sign in PLACEHOLDERS:
        if sign != IMAGE_MARKER:
            marked = marked.replace(sign, "" if count_images(sign) == 0 else IMAGE_MARKER)
    return marked
