"""Minimal edits that make a description true, and the corrected segments they give.

A wrong number, colour, place or context word is replaced, with what grammar asks for (article, noun
form, "is"/"are", "on"/"in"). A sentence that says only what is not there is deleted with the space
that joins it, or its object gives way to one that the description left out. A sentence that mixes
true and absent objects is said anew.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from veridical.records import Segment, SegmentKind
from veridical.world.claims import Claim, Span, noun_words, sentence_spans
from veridical.world.descriptions import Mention
from veridical.world.inventory import NUMBER_WORDS, PLACE_PHRASES, Place, with_article
from veridical.world.judge import FaultKind, SceneFault, Verdict
from veridical.world.scenes import Group, Scene

SEGMENT_KIND: dict[FaultKind, SegmentKind] = {
    "object": "object",
    "number": "number",
    "colour": "attribute",
    "place": "position",
    "context": "other",
}
"""The judge's kinds in the words of RLHF-V (arXiv 2312.00849, section 2)."""

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


def plan_edits(
    scene: Scene,
    text: str,
    verdict: Verdict,
    *,
    notices: Callable[[], bool],
    replaces: Callable[[], bool],
) -> list[Edit]:
    """Decide how a description is made true.

    Args:
        scene: The truth.
        text: The description.
        verdict: What the judge finds in it.
        notices: Asked once for each fault and each repetition: whether the person sees it.
        replaces: Asked once for each absent object: whether it gives way to an object that was left
            out (where there is one) instead of being deleted.

    Returns:
        Edits without overlap; none where the person notices nothing.
    """
    seen = [fault for fault in verdict.faults if notices()]
    repetitions = [claim for claim in _repetitions(verdict) if notices()]
    left_out = [group for group in scene.groups if group.noun in verdict.missed]
    deleted: dict[Span, SegmentKind] = {}
    edits: list[Edit] = []
    for sentence in dict.fromkeys(claim.sentence for claim in verdict.claims.groups):
        claims = [claim for claim in verdict.claims.groups if claim.sentence == sentence]
        faults = [fault for fault in seen if fault.claim in claims]
        dropped = {claim: "other" for claim in claims if claim in repetitions}
        changes: list[Edit] = []
        for claim in claims:
            own = [fault for fault in faults if fault.claim == claim]
            if claim in dropped or not own:
                continue
            if own[0].kind != "object":
                changes += _mend(text, claim, own, alone=len(claims) == 1)
            elif left_out and len(claims) == 1 and replaces():
                changes += restate(text, claim, _mention(left_out.pop(0)), kind="object")
            else:
                dropped[claim] = "object"
        if len(dropped) == len(claims):
            deleted[sentence] = "object" if "object" in dropped.values() else "other"
        elif dropped or (
            any(edit.kind == "position" for edit in changes) and _shares_place(claims)
        ):
            edits.append(
                _say_anew(scene, sentence, [claim for claim in claims if claim not in dropped])
            )
        else:
            edits += changes
    edits += _deletions(text, deleted)
    gone = [(edit.start, edit.end) for edit in edits]
    for fault in seen:
        if fault.claim is None and not any(start <= fault.span[0] < end for start, end in gone):
            edits += _rename_context(text, fault)
    return sorted(edits)


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
        _replace_word(edits, text, claim.noun_span, noun, kind or "object")
    elif is_plural != was_plural:
        _replace_word(edits, text, claim.noun_span, noun, kind or "number")
    if claim.colour and claim.colour.value != mention.colour:
        _replace_word(edits, text, claim.colour.span, mention.colour, kind or "attribute")
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
        _replace_word(edits, text, claim.number.span, wanted, kind or "number")
    if alone and is_plural != was_plural:
        for match in _WORD.finditer(text, *claim.sentence):
            if match.group().lower() in _VERBS:
                _replace_word(
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


def _repetitions(verdict: Verdict) -> list[Claim]:
    """Repeated claims about a noun, all but the truest (the first of equals)."""
    wrong = dict.fromkeys(verdict.claims.groups, 0)
    for fault in verdict.faults:
        if fault.claim is not None:
            wrong[fault.claim] += 1
    found = []
    for noun in verdict.covered:
        claims = [claim for claim in verdict.claims.groups if claim.noun == noun]
        best = min(claims, key=lambda claim: wrong[claim])
        found += [claim for claim in claims if claim != best]
    return found


def _mend(text: str, claim: Claim, faults: list[SceneFault], *, alone: bool) -> list[Edit]:
    truth = {fault.kind: fault.truth for fault in faults}
    mention = as_stated(claim)
    mention = Mention(
        **mention._asdict()
        | {kind: value for kind, value in truth.items() if kind in Mention._fields}
    )
    return restate(text, claim, mention, alone=alone)


def as_stated(claim: Claim) -> Mention:
    """A claim as a mention; what it leaves open is filled with values that change no word."""
    number = int(claim.number.value) if claim.number else 1
    colour = claim.colour.value if claim.colour else "gray"
    place = claim.place.value if claim.place else "left"
    return Mention(claim.noun, colour, number, place)  # type: ignore[arg-type]


def _mention(group: Group) -> Mention:
    return Mention(group.noun, group.colour, group.number, group.place)


def _shares_place(claims: list[Claim]) -> bool:
    spans = [claim.place.span for claim in claims if claim.place]
    return len(set(spans)) < len(spans)


def _say_anew(scene: Scene, sentence: Span, claims: list[Claim]) -> Edit:
    groups = [scene.group_of(claim.noun) for claim in claims]
    return Edit(
        *sentence, " ".join(state(group) for group in groups if group is not None), "object"
    )


def _deletions(text: str, deleted: dict[Span, SegmentKind]) -> list[Edit]:
    """Delete sentences with the space before them, or after them at the start of the text."""
    sentences = sentence_spans(text)
    edits = []
    leading = True
    for number, span in enumerate(sentences):
        if span not in deleted:
            leading = False
            continue
        start, end = span
        if not leading:
            start = sentences[number - 1][1]
        elif number + 1 < len(sentences):
            end = sentences[number + 1][0]
        edits.append(Edit(start, end, "", deleted[span]))
    return edits


def _rename_context(text: str, fault: SceneFault) -> list[Edit]:
    edits: list[Edit] = []
    truth = str(fault.truth)
    _replace_word(edits, text, fault.span, truth, "other")
    article = re.search(r"\b(an?)\s+$", text[: fault.span[0]], re.IGNORECASE)
    if article:
        _replace_word(edits, text, article.span(1), with_article(truth).split(" ")[0], "other")
    return edits


def _move(text: str, span: Span, place: Place, kind: SegmentKind) -> list[Edit]:
    edits: list[Edit] = []
    _replace_word(edits, text, span, place, kind)
    preposition = re.search(r"\b(on|in)\s+the\s+$", text[: span[0]], re.IGNORECASE)
    if preposition:
        _replace_word(edits, text, preposition.span(1), PLACE_PHRASES[place].split(" ")[0], kind)
    return edits


def _next_word(text: str, start: int) -> Span:
    match = _WORD.search(text, start)
    return match.span() if match else (start, start)


def _replace_word(edits: list[Edit], text: str, span: Span, word: str, kind: SegmentKind) -> None:
    """Add an edit unless the word stands there already; a capital stays a capital."""
    old = text[slice(*span)]
    if old.lower() == word:
        return
    edits.append(Edit(*span, word[0].upper() + word[1:] if old[:1].isupper() else word, kind))
