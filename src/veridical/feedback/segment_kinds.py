"""Kinds of segments: a guess from the words, and statistics over corrections.

RLHF-V (arXiv 2312.00849, section 2) counts 2.65 corrected segments per response: objects 41.2 %,
positions 20.3 %, numbers 16.5 %, attributes 10.0 %, actions 5.3 %, other 6.8 %. Its data carries no
kinds; the guess fills that gap for statistics. It goes by short word lists, is English only, and is
never presented as a person's judgement.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from veridical.feedback.pairs import is_already_right
from veridical.feedback.segments import find_segments, segment_texts
from veridical.feedback.texts.words import count_words, find_words
from veridical.records import KINDS, Correction, Segment, SegmentKind


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NUMBERS = _set(
    "zero one two three four five six seven eight nine ten eleven twelve dozen dozens several few"
    " many multiple couple pair single numerous hundred hundreds no another both some"
)
_POSITIONS = _set(
    "left right top bottom upper lower middle center centre centered corner side above below under"
    " beneath over behind front near next beside between inside outside on in at background"
    " foreground far close edge across against around underneath nearby opposite toward towards"
    " into onto along facing"
)
_ATTRIBUTES = _set(
    "red orange yellow green blue purple violet pink brown black white gray grey beige golden gold"
    " silver dark light bright big small large little tiny huge tall short long wide narrow old"
    " young new round square striped spotted wooden metal plastic glass empty full open closed"
    " clean dirty wet dry beautiful colorful colourful sunny cloudy male female happy sad"
)
_ACTIONS = _set(
    "sit sits stand stands walk walks run runs ride rides hold holds wear wears eat eats look looks"
    " play plays watch watches drive drives fly flies jump jumps lie lies smile smiles talk talks"
)
_EMPTY_WORDS = _set(
    "a an the of and or but with to for from by as is are was were be been being it its this that"
    " these those there they he she his her their which who while has have had not can could may"
    " might appears appear seems least most more less than about approximately very also only"
)
_NOT_ACTIONS = _set(
    "thing things something anything nothing building ceiling morning evening king ring"
)


def guess_kind(rejected_text: str, chosen_text: str) -> SegmentKind:
    """Guess the kind of a segment from its words on both sides (English).

    The words that stand on one side only decide: a word that names a thing makes it "object", else
    number, position, attribute and action words decide, in this order; without any of them it is
    "other".
    """
    sides = [
        {word.text.lower() for word in find_words(text)} for text in (rejected_text, chosen_text)
    ]
    votes = {_kind_of_word(word) for word in sides[0] ^ sides[1]}
    order: tuple[SegmentKind, ...] = ("object", "number", "position", "attribute", "action")
    return next((kind for kind in order if kind in votes), "other")


def guess_kinds(rejected: str, chosen: str, segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Give every segment of kind "other" its guessed kind; kinds that somebody set are kept."""
    pairs = zip(
        segment_texts(rejected, segments, side="rejected"),
        segment_texts(chosen, segments, side="chosen"),
        strict=True,
    )
    return tuple(
        (
            segment.model_copy(update={"kind": guess_kind(*texts)})
            if segment.kind == "other"
            else segment
        )
        for segment, texts in zip(segments, pairs, strict=True)
    )


def _kind_of_word(word: str) -> SegmentKind:
    if word in _NUMBERS or word.isdecimal():
        return "number"
    if word in _POSITIONS:
        return "position"
    if word in _ATTRIBUTES:
        return "attribute"
    if word in _ACTIONS or (word.endswith("ing") and len(word) > 4 and word not in _NOT_ACTIONS):
        return "action"
    return "object" if word.isalpha() and len(word) > 1 and word not in _EMPTY_WORDS else "other"


class CorrectionStatistics(NamedTuple):
    """What a set of corrections looks like; every share rests on these counts."""

    corrections: int
    """How many corrections, those that found nothing to correct included."""
    already_right: int
    """How many of them found the response right already."""
    images: int
    """How many different images."""
    segments: int
    """How many segments in all."""
    segments_per_response: dict[int, int]
    """How many responses have 0, 1, 2 … segments."""
    kinds: dict[SegmentKind, int]
    """Segments by kind as the file says it."""
    guessed_kinds: dict[SegmentKind, int]
    """Segments by kind, those of kind "other" guessed from their words."""
    edits: dict[str, int]
    """Segments by edit: substitution, insertion, deletion."""
    rejected_words: list[int]
    """Words of each rejected response."""
    chosen_words: list[int]
    """Words of each chosen response."""
    changed_words: int
    """Words and punctuation signs of the rejected responses that were replaced or deleted."""
    sources: dict[str, int]
    """Corrections by who made them."""

    @property
    def changed_ratio(self) -> float:
        """Share of the rejected responses' words that were replaced or deleted; 0 without words."""
        return self.changed_words / total if (total := sum(self.rejected_words)) else 0.0


def correction_statistics(corrections: Iterable[Correction]) -> CorrectionStatistics:
    """Count segments, kinds, edits and words; segments are derived where a correction has none."""
    images: set[str] = set()
    per_response: Counter[int] = Counter()
    kinds: Counter[SegmentKind] = Counter()
    guessed: Counter[SegmentKind] = Counter()
    edits: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    rejected_words: list[int] = []
    chosen_words: list[int] = []
    changed_words = already_right = 0
    for row in corrections:
        right = is_already_right(row)
        already_right += right
        segments = () if right else row.segments or find_segments(row.rejected, row.chosen)
        images.update(ref.identity for ref in row.images)
        sources[row.source] += 1
        per_response[len(segments)] += 1
        kinds.update(segment.kind for segment in segments)
        guessed.update(segment.kind for segment in guess_kinds(row.rejected, row.chosen, segments))
        edits.update(_edit_of(segment) for segment in segments)
        rejected_words.append(count_words(row.rejected))
        chosen_words.append(count_words(row.chosen))
        changed_words += sum(
            count_words(t) for t in segment_texts(row.rejected, segments, side="rejected")
        )
    return CorrectionStatistics(
        corrections=len(rejected_words),
        already_right=already_right,
        images=len(images),
        segments=sum(number * count for number, count in per_response.items()),
        segments_per_response=dict(sorted(per_response.items())),
        kinds={kind: kinds[kind] for kind in KINDS},
        guessed_kinds={kind: guessed[kind] for kind in KINDS},
        edits={edit: edits[edit] for edit in ("substitution", "insertion", "deletion")},
        rejected_words=rejected_words,
        chosen_words=chosen_words,
        changed_words=changed_words,
        sources=dict(sources),
    )


def _edit_of(segment: Segment) -> str:
    if segment.rejected_span[0] == segment.rejected_span[1]:
        return "insertion"
    return "deletion" if segment.chosen_span[0] == segment.chosen_span[1] else "substitution"
