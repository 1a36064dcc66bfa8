"""Edits of a description: words changed with what grammar asks for, and the segments they give.

A changed number, colour or place takes article, noun form, "is"/"are" and "on"/"in" with it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from veridical.records import Segment, SegmentKind
from veridical.world.claims import Claim, Span, noun_words
from veridical.world.descriptions import Mention
from veridical.world.inventory import NUMBER_WORDS, PLACE_PHRASES, Place, with_article
from veridical.world.scenes import Group

_WORD = re.compile(r"[A-Za-z]+")
_VERBS = {"is": "are", "are": "is"}


class Edit(NamedTuple):
    """One replaced span of a text."""

    start: int
    """Where it starts, in code points."""
    end: int
    """Where it ends, half open; equal to `start` for an insertion."""
    text: str
    """What stands there afterwards."""
    kind: SegmentKind
    """What was wrong."""


class Corrected(NamedTuple):
    """A text after its edits."""

    text: str
    """The corrected text."""
    segments: tuple[Segment, ...]
    """The changed spans of both texts, in order."""


def apply_edits(text: str, edits: Sequence[Edit]) -> Corrected:
    """Apply edits that do not overlap; neighbours of one kind become one segment."""
    parts: list[str] = []
    segments: list[Segment] = []
    last = length = 0
    for edit in _merged(text, edits):
        kept = text[last : edit.start]
        start = length + len(kept)
        length = start + len(edit.text)
        parts += [kept, edit.text]
        segments.append(
            Segment(
                rejected_span=(edit.start, edit.end), chosen_span=(start, length), kind=edit.kind
            ),
        )
        last = edit.end
    return Corrected("".join([*parts, text[last:]]), tuple(segments))


def _merged(text: str, edits: Sequence[Edit]) -> list[Edit]:
    merged: list[Edit] = []
    for edit in sorted(edits):
        between = text[merged[-1].end : edit.start] if merged else "x"
        if not between.strip() and merged[-1].kind == edit.kind:
            merged[-1] = merged[-1]._replace(
                end=edit.end, text=merged[-1].text + between + edit.text
            )
        else:
            merged.append(edit)
    return merged


def restate(
    text: str,
    claim: Claim,
    mention: Mention,
    *,
    kind: SegmentKind | None = None,
    alone: bool = True,
) -> list[Edit]:
    """Change the words of a claim so that it states a mention; what it leaves open stays open.

    Args:
        text: The description.
        claim: The claim to change.
        mention: What it is to state.
        kind: Kind of all edits; None gives each word its own.
        alone: Whether the claim is its sentence's only one, so that the verb agrees with it.
    """
    edits: list[Edit] = []
    number = claim.number.value if claim.number else None
    was_plural = (
        number != 1
        if number
        else text[slice(*claim.noun_span)].lower() == noun_words(claim.noun)[1]
    )
    is_plural = mention.number != 1 if number else was_plural
    noun = noun_words(mention.noun)[int(is_plural)]
    if mention.noun != claim.noun:
        replace_word(edits, text, claim.noun_span, noun, kind or "object")
    elif is_plural != was_plural:
        replace_word(edits, text, claim.noun_span, noun, kind or "number")
    if claim.colour and claim.colour.value != mention.colour:
        replace_word(edits, text, claim.colour.span, mention.colour, kind or "attribute")
    if claim.number:
        word = text[slice(*claim.number.span)].lower()
        if number == mention.number and word not in ("a", "an"):
            wanted = word
        elif mention.number > 1:
            wanted = NUMBER_WORDS[mention.number]
        else:
            after = _next_word(text, claim.number.span[1])
            wanted = with_article(
                next((e.text for e in edits if (e.start, e.end) == after), text[slice(*after)])
            )
            wanted = wanted.split(" ")[0]
        replace_word(edits, text, claim.number.span, wanted, kind or "number")
    if alone and is_plural != was_plural:
        for match in _WORD.finditer(text, *claim.sentence):
            if match.group().lower() in _VERBS:
                replace_word(
                    edits, text, match.span(), "are" if is_plural else "is", kind or "number"
                )
    if claim.place and claim.place.value != mention.place:
        edits += _move(text, claim.place.span, mention.place, kind or "position")
    return edits


def state(group: Group) -> str:
    """Say one group in a plain sentence."""
    return (
        f"There {'is' if group.number == 1 else 'are'} {group.phrase} {PLACE_PHRASES[group.place]}."
    )


def as_stated(claim: Claim) -> Mention:
    """A claim as a mention; what it leaves open is filled with values that change no word."""
    number = int(claim.number.value) if claim.number else 1
    colour = claim.colour.value if claim.colour else "gray"
    place = claim.place.value if claim.place else "left"
    return Mention(claim.noun, colour, number, place)  # type: ignore[arg-type]


def _move(text: str, span: Span, place: Place, kind: SegmentKind) -> list[Edit]:
    edits: list[Edit] = []
    replace_word(edits, text, span, place, kind)
    preposition = re.search(r"\b(on|in)\s+the\s+$", text[: span[0]], re.IGNORECASE)
    if preposition:
        replace_word(edits, text, preposition.span(1), PLACE_PHRASES[place].split(" ")[0], kind)
    return edits


def _next_word(text: str, start: int) -> Span:
    match = _WORD.search(text, start)
    return match.span() if match else (start, start)


def replace_word(edits: list[Edit], text: str, span: Span, word: str, kind: SegmentKind) -> None:
    """Add an edit unless the word stands there already; a capital stays a capital."""
    old = text[slice(*span)]
    if old.lower() == word:
        return
    edits.append(Edit(*span, word[0].upper() + word[1:] if old[:1].isupper() else word, kind))
