"""From changed spans to changed tokens: the mask of dense DPO (RLHF-V, arXiv 2312.00849, Eq. 5).

Ours (`changed_token_masks`) carries segments over through the tokenizer's offsets. The original
release's (`original_changed_tokens`) compares token ids and passes over nearly every correction
that only deletes or only inserts; it is kept, exactly, for comparison.
"""

import difflib
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

from veridical.records import Segment

OneSided = Literal["mark", "anchor", "ignore"]
"""What a pure insertion or deletion marks, see `changed_token_masks`."""


class ChangedMasks(NamedTuple):
    """Which tokens were corrected, for both responses; True = changed."""

    rejected: list[bool]
    """One per token of the rejected response."""
    chosen: list[bool]
    """One per token of the chosen response."""


def changed_token_masks(
    rejected_offsets: Sequence[tuple[int, int]],
    chosen_offsets: Sequence[tuple[int, int]],
    segments: Sequence[Segment],
    *,
    one_sided: OneSided = "anchor",
) -> ChangedMasks:
    """Mark the tokens that a correction touched.

    A token is changed if its range shares a code point with a changed span. End tokens and other
    special tokens have ranges of no width; they are changed only as a seam.

    Args:
        rejected_offsets: Range (start, end) of each token in the rejected response, in code points.
        chosen_offsets: The same for the chosen response.
        segments: The changed spans.
        one_sided: What a pure insertion or deletion marks. "anchor": also the *seam* on the side
            that has nothing, which is the token right after the edit, or the end token: where the
            model has to continue as corrected instead of adding what was deleted. "mark": only the
            side that has words. "ignore": nothing, as in the original release.

    Returns:
        Masks. With "anchor" every segment marks at least one token on each side that has any token.
    """
    if one_sided not in ("mark", "anchor", "ignore"):
        raise ValueError(f'one_sided must be "mark", "anchor" or "ignore", got {one_sided!r}.')
    masks = ChangedMasks([False] * len(rejected_offsets), [False] * len(chosen_offsets))
    for segment in segments:
        sides = (
            (masks.rejected, rejected_offsets, segment.rejected_span),
            (masks.chosen, chosen_offsets, segment.chosen_span),
        )
        if one_sided == "ignore" and any(start == end for _, _, (start, end) in sides):
            continue
        for mask, offsets, (start, end) in sides:
            touched = [
                t for t, (first, last) in enumerate(offsets) if max(first, start) < min(last, end)
            ]
            # A span can have no token although it has text: some tokenizers drop white space.
            if not touched and one_sided == "anchor" and offsets:
                touched = [_seam_token(offsets, end)]
            for t in touched:
                mask[t] = True
    return masks


def _seam_token(offsets: Sequence[tuple[int, int]], place: int) -> int:
    """The first token that reaches beyond a place in the text, else the end token."""
    last_with_text = -1
    for t, (start, end) in enumerate(offsets):
        if start < end:
            if end > place:
                return t
            last_with_text = t
    return min(last_with_text + 1, len(offsets) - 1)


ORIGINAL_SUFFIX = ("suffix 1", "suffix 2", "suffix 3", "suffix 4")
"""Stands for the four tokens that the template of RLHF-V's release puts after every response (line
break, two of "###", space). They are equal on both sides and long enough to survive the rule of
`min_match`: without them a deletion at the end would look like a replacement of the end token."""


def original_changed_tokens(
    rejected_ids: Sequence[Hashable], chosen_ids: Sequence[Hashable], *, min_match: int = 3
) -> ChangedMasks:
    """Mark changed tokens as RLHF-V's released training code does, shortcomings included.

    Matching blocks of the two id sequences (Ratcliff-Obershelp, with Python's "autojunk") that are
    shorter than `min_match` count as changed; a changed region marks its tokens only if it has
    tokens on *both* sides, so that the tokens of a deleted sentence weigh 1, as unchanged ones do.
    The release compares whole sequences; give it those to reproduce it: prompt without the token
    that opens the sequence, response, and what its template puts after every response
    (`ORIGINAL_SUFFIX`).

    Args:
        rejected_ids: Token ids of the rejected sequence.
        chosen_ids: Token ids of the chosen sequence.
        min_match: Shortest run of equal tokens that counts as unchanged.
    """
    matcher = difflib.SequenceMatcher(None, rejected_ids, chosen_ids)
    masks = ChangedMasks([False] * len(rejected_ids), [False] * len(chosen_ids))
    end_a = end_b = 0
    for a, b, size in matcher.get_matching_blocks():
        if 0 < size < min_match:
            continue
        if end_a < a and end_b < b:
            masks.rejected[end_a:a] = [True] * (a - end_a)
            masks.chosen[end_b:b] = [True] * (b - end_b)
        end_a, end_b = a + size, b + size
    return masks
