"""Segments: what changed between a response and its correction, found, applied, checked.

Laws (tests hold them for any Unicode text):
- putting the chosen texts of the segments into `rejected` gives `chosen`, and the way back gives
  `rejected`;
- a span begins and ends on word boundaries; the white space around a change is not part of it where
  it did not change.

The comparison is made on words, so it does not depend on a tokenizer (`feedback.masks` carries the
spans over to tokens). It is made without `difflib`'s "autojunk", which from 200 elements on ignores
the frequent ones, and so changes what counts as corrected in longer texts only.
"""

from collections.abc import Sequence
from typing import NamedTuple

from veridical.feedback.texts.matching import Edit, find_edits
from veridical.feedback.texts.words import Word, ends_sentence, find_words
from veridical.records import Segment


class _Kept(NamedTuple):
    """A stretch that both texts have, and its place in each; the last is the end of the texts."""

    rejected_start: int
    rejected_end: int
    chosen_start: int
    chosen_end: int
    words: int
    """How many words it has."""


class _Change(NamedTuple):
    """A changed span of each text."""

    rejected_start: int
    rejected_end: int
    chosen_start: int
    chosen_end: int
    kept_before: int


def find_segments(rejected: str, chosen: str, *, min_match: int = 1) -> tuple[Segment, ...]:
    """Find the changed spans between a response and its correction.

    Args:
        rejected: The response as the model gave it.
        chosen: The response after correction.
        min_match: Changes with fewer unchanged words (or punctuation signs) than this between them
            become one segment. 1 keeps exactly what changed; 3 is the smoothing of RLHF-V's
            released code.

    Returns:
        Segments in order, of kind "other" (see `feedback.segment_kinds`); empty for equal texts.
        A pure insertion has an empty `rejected_span`, a pure deletion an empty `chosen_span`.
    """
    if min_match < 1:
        raise ValueError(f"min_match must be at least 1, got {min_match}.")
    a, b = find_words(rejected), find_words(chosen)
    edits = find_edits([word.text for word in a], [word.text for word in b])
    edits = _slide_edits(edits, a, b)
    end = _Kept(len(rejected), len(rejected), len(chosen), len(chosen), 0)
    changes = _changes_between(rejected, chosen, [*_kept(edits, a, b, rejected, chosen), end])
    merged: list[_Change] = []
    for change in changes:
        if merged and change.kept_before - merged[-1].kept_before < min_match:
            merged[-1] = change._replace(
                rejected_start=merged[-1].rejected_start, chosen_start=merged[-1].chosen_start
            )
        else:
            merged.append(change)
    return tuple(
        Segment(
            rejected_span=(change.rejected_start, change.rejected_end),
            chosen_span=(change.chosen_start, change.chosen_end),
        )
        for change in merged
    )


def segment_texts(text: str, segments: Sequence[Segment], *, side: str) -> tuple[str, ...]:
    """The text of each segment's span on one side ("rejected" or "chosen")."""
    return tuple(text[start:end] for start, end in _spans(segments, side))


def apply_segments(rejected: str, segments: Sequence[Segment], replacements: Sequence[str]) -> str:
    """Put replacements into the rejected text; those of the chosen text give the chosen text."""
    return _rebuild(rejected, _spans(segments, "rejected"), replacements)


def revert_segments(chosen: str, segments: Sequence[Segment], originals: Sequence[str]) -> str:
    """Put the original words back into the chosen text; gives the rejected text."""
    return _rebuild(chosen, _spans(segments, "chosen"), originals)


def check_segments(rejected: str, chosen: str, segments: Sequence[Segment]) -> list[str]:
    """Say what is wrong with given segments; an empty list means that they rebuild both texts.

    Segments may be wider than need be (people mark whole phrases); text outside of them must be
    unchanged.
    """
    faults: list[str] = []
    for side, text in (("rejected", rejected), ("chosen", chosen)):
        last_end = 0
        for number, (start, end) in enumerate(_spans(segments, side), start=1):
            if end > len(text):
                faults.append(
                    f"segment {number} ends at {end} of the {side} text, which has {len(text)} code"
                    " points. Offsets are Unicode code points, not bytes or UTF-16 units."
                )
            elif start < last_end:
                faults.append(
                    f"segment {number} starts at {start} of the {side} text, before segment"
                    f" {number - 1} ends ({last_end}). Put segments in order, without overlap."
                )
            last_end = max(last_end, end)
    if faults:
        return faults
    last_a = last_b = 0
    ends = Segment(rejected_span=(len(rejected),) * 2, chosen_span=(len(chosen),) * 2)
    for number, segment in enumerate([*segments, ends], start=1):
        kept, other = (
            rejected[last_a : segment.rejected_span[0]],
            chosen[last_b : segment.chosen_span[0]],
        )
        if kept != other:
            where = (
                f"before segment {number}" if number <= len(segments) else "after the last segment"
            )
            faults.append(
                f"the text {where} differs: {_shown(kept)} (rejected) against {_shown(other)}"
                " (chosen). Give that change a segment, or leave segments out to have them"
                " derived."
            )
        last_a, last_b = segment.rejected_span[1], segment.chosen_span[1]
    return faults


def _spans(segments: Sequence[Segment], side: str) -> list[tuple[int, int]]:
    if side not in ("rejected", "chosen"):
        raise ValueError(f'side must be "rejected" or "chosen", got {side!r}.')
    return [
        segment.rejected_span if side == "rejected" else segment.chosen_span for segment in segments
    ]


def _rebuild(text: str, spans: Sequence[tuple[int, int]], replacements: Sequence[str]) -> str:
    if len(spans) != len(replacements):
        raise ValueError(
            f"There are {len(spans)} segments and {len(replacements)} texts to put in; give one for"
            " each."
        )
    parts = []
    last = 0
    for (start, end), replacement in zip(spans, replacements, strict=True):
        parts += [text[last:start], replacement]
        last = end
    return "".join([*parts, text[last:]])


def _kept(
    edits: list[Edit], a: list[Word], b: list[Word], rejected: str, chosen: str
) -> list[_Kept]:
    """What is kept between edits: whole where even the blanks are the same, else word by word."""
    kept = []
    i = j = 0
    for edit in [*edits, Edit(len(a), len(a), len(b), len(b))]:
        if edit.a_start > i:
            first, last = (a[i], b[j]), (a[edit.a_start - 1], b[edit.b_start - 1])
            spans = (first[0].start, last[0].end, first[1].start, last[1].end)
            if rejected[spans[0] : spans[1]] == chosen[spans[2] : spans[3]]:
                kept.append(_Kept(*spans, edit.a_start - i))
            else:
                words = zip(a[i : edit.a_start], b[j : edit.b_start], strict=True)
                kept += [_Kept(x.start, x.end, y.start, y.end, 1) for x, y in words]
        i, j = edit.a_end, edit.b_end
    return kept


def _changes_between(rejected: str, chosen: str, kept: list[_Kept]) -> list[_Change]:
    """The changes between kept words, less the white space that both sides share at the ends."""
    changes = []
    last_a = last_b = words = 0
    for item in kept:
        a_start, a_end, b_start, b_end = last_a, item.rejected_start, last_b, item.chosen_start
        last_a, last_b = item.rejected_end, item.chosen_end
        number, words = words, words + item.words
        if rejected[a_start:a_end] == chosen[b_start:b_end]:
            continue
        # The end first: a deleted word then takes the space before it along, as tokenizers do.
        while a_end > a_start and b_end > b_start and rejected[a_end - 1] == chosen[b_end - 1]:
            if not rejected[a_end - 1].isspace():
                break
            a_end, b_end = a_end - 1, b_end - 1
        while a_start < a_end and b_start < b_end and rejected[a_start] == chosen[b_start]:
            if not rejected[a_start].isspace():
                break
            a_start, b_start = a_start + 1, b_start + 1
        changes.append(_Change(a_start, a_end, b_start, b_end, number))
    return changes


def _slide_edits(edits: list[Edit], a: list[Word], b: list[Word]) -> list[Edit]:
    """Move pure insertions and deletions to sentence borders where several places are possible.

    "A dog. [A cat.] A bird." and "A dog. A [cat. A] bird." are the same change; the first is what
    was meant.
    """
    slid: list[Edit] = []
    for number, edit in enumerate(edits):
        before = edit.a_start - (slid[-1].a_end if slid else 0)
        after = (edits[number + 1].a_start if number + 1 < len(edits) else len(a)) - edit.a_end
        # One unchanged word must stay between neighbours, lest two changes become one.
        room_before = before - 1 if slid else before
        room_after = after - 1 if number + 1 < len(edits) else after
        if edit.a_start == edit.a_end:
            shift = _best_shift(b, edit.b_start, edit.b_end, room_before, room_after)
        elif edit.b_start == edit.b_end:
            shift = _best_shift(a, edit.a_start, edit.a_end, room_before, room_after)
        else:
            shift = 0
        slid.append(Edit(*(place + shift for place in edit)))
    return slid


def _best_shift(words: list[Word], start: int, end: int, room_before: int, room_after: int) -> int:
    """How far to move an edit to the nearest place where it begins and ends at sentence borders."""
    best, best_borders = 0, _borders(words, start, end, 0)
    back = forward = 0
    while best_borders < 2:
        can_back = back < room_before and (
            words[start - back - 1].text == words[end - back - 1].text
        )
        can_forward = forward < room_after and (
            words[start + forward].text == words[end + forward].text
        )
        if not can_back and not can_forward:
            break
        for possible, shift in ((can_back, -back - 1), (can_forward, forward + 1)):
            if possible and _borders(words, start, end, shift) > best_borders:
                best, best_borders = shift, _borders(words, start, end, shift)
        back += can_back
        forward += can_forward
        room_before = room_before if can_back else back
        room_after = room_after if can_forward else forward
    return best


def _borders(words: list[Word], start: int, end: int, shift: int) -> int:
    return _border(words, start + shift) + _border(words, end + shift)


def _border(words: list[Word], place: int) -> int:
    return int(place == 0 or place == len(words) or ends_sentence(words[place - 1]))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")
