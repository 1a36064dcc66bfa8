"""What is in a dataset, counted: records, images, preferences, segments, lengths, who judged."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median
from types import MappingProxyType
from typing import NamedTuple

from veridical.feedback.segment_kinds import correction_statistics
from veridical.records import Comparison, Correction, Prompt, Rating
from veridical.records.folders import Contents

_LONGEST_TRUTH = len("Yes")


class DataStatistics(NamedTuple):
    """Counts over a dataset; empty sections are left out."""

    counts: Mapping[str, int] = MappingProxyType({})
    """How many records of each kind, and how many images they are about."""
    figures: Mapping[str, str] = MappingProxyType({})
    """Other numbers, as text with their unit."""
    sections: Mapping[str, Mapping[str, int]] = MappingProxyType({})
    """Counts by value under a heading, for instance "preferred" → first, second, tie."""
    words: Mapping[str, tuple[float, float, int]] = MappingProxyType({})
    """Mean, median and largest number of words of responses and facts."""

    def joined(self, other: "DataStatistics") -> "DataStatistics":
        """These statistics and others of the same dataset."""
        return DataStatistics(
            {**self.counts, **other.counts},
            {**self.figures, **other.figures},
            _summed(self.sections, other.sections),
            {**self.words, **other.words},
        )


def content_statistics(contents: Contents) -> DataStatistics:
    """Count what is not a judgement: prompts, responses, conversations, facts, images."""
    images = _images(contents)
    sections: dict[str, Counter[str]] = {
        "task": Counter(_task(row) for row in contents.prompts),
        "length bonus": Counter(
            f"{row.length_bonus:g}" for row in contents.prompts if row.length_bonus is not None
        ),
        "earlier turns": Counter(str(len(row.history)) for row in contents.prompts),
        "questions per conversation": Counter(
            str(len(row.turns) // 2) for row in contents.conversations
        ),
        "conversation": Counter(
            "about an image" if row.image else "about no image" for row in contents.conversations
        ),
        "facts of kind": Counter(item.kind for item in contents.facts),
        "statements of facts": Counter(str(len(item.texts)) for item in contents.facts),
    }
    answers = [
        turn.text
        for row in contents.conversations
        for turn in row.turns
        if turn.role == "assistant"
    ]
    texts = {
        "responses": [row.text for row in contents.responses],
        "answers": answers,
        "facts": [text for item in contents.facts for text in item.texts],
    }
    return DataStatistics(
        counts=contents.counts | ({"images": len(images)} if images else {}),
        sections=_sorted(sections),
        words={name: _spread(found) for name, found in texts.items() if found},
    )


def statistics_of_comparisons(
    comparisons: Iterable[Comparison], contents: Contents
) -> DataStatistics:
    """Count preferences: which side, decided by what, longer or shorter."""
    rows = list(comparisons)
    return DataStatistics(
        sections=_sorted(
            {
                "preferred": Counter(row.preferred for row in rows),
                "decided by": Counter(_decided_by(row) for row in rows),
                "the preferred response is": _lengths_of_preferred(rows, contents),
                "judged by": Counter(row.source for row in rows),
            }
        )
    )


def statistics_of_ratings(ratings: Iterable[Rating], contents: Contents) -> DataStatistics:
    """Count scores."""
    del contents
    rows = list(ratings)
    scores = [row.score for row in rows]
    return DataStatistics(
        figures={"mean score": f"{mean(scores):.2f} of 6 (n = {len(scores)})"} if scores else {},
        sections=_sorted(
            {
                "score": Counter(str(score) for score in scores),
                "judged by": Counter(row.source for row in rows),
            }
        ),
    )


def statistics_of_corrections(
    corrections: Iterable[Correction], contents: Contents
) -> DataStatistics:
    """Count segments, edits, kinds; and how many of the shown responses were wrong at all."""
    del contents
    found = correction_statistics(corrections)
    wrong = found.corrections - found.already_right
    figures = {
        "segments per response": f"{found.segments / max(found.corrections, 1):.2f}",
        "words changed": f"{found.changed_words:,} ({found.changed_ratio:.1%})",
        "responses that needed correction": (
            f"{wrong:,} of {found.corrections:,} ({wrong / max(found.corrections, 1):.1%})"
        ),
    }
    sections: dict[str, dict[str, int]] = {
        "judged by": dict(found.sources),
        "responses with segments": {
            str(number): count for number, count in found.segments_per_response.items()
        },
        "edit": found.edits,
        "kind": {str(kind): count for kind, count in found.kinds.items()},
    }
    if found.kinds["other"]:
        sections["kind, guessed from words"] = {
            str(kind): count for kind, count in found.guessed_kinds.items()
        }
    lengths = {
        "rejected responses": found.rejected_words,
        "chosen responses": found.chosen_words,
    }
    return DataStatistics(
        counts={"segments": found.segments},
        figures=figures,
        sections=sections,
        words={
            name: (mean(counts), median(counts), max(counts))
            for name, counts in lengths.items()
            if counts
        },
    )


def _summed(
    first: Mapping[str, Mapping[str, int]], second: Mapping[str, Mapping[str, int]]
) -> dict[str, Mapping[str, int]]:
    """Sections of both; a heading that both have counts the judgements of both."""
    shared = {
        name: Counter(first[name]) + Counter(second[name]) for name in first if name in second
    }
    return {**first, **second, **{name: dict(found) for name, found in shared.items()}}


def _images(contents: Contents) -> set[str]:
    found = {ref.identity for row in contents.conversations for ref in row.images}
    asked = (*contents.prompts, *contents.corrections)
    return found | {ref.identity for row in asked for ref in row.images}


def _sorted(sections: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(found.items())) for name, found in sections.items() if found}


def _decided_by(row: Comparison) -> str:
    if row.hallucination is None:
        return "not noted"
    return "hallucination" if row.hallucination else "helpfulness"


def _task(row: Prompt) -> str:
    short = row.reference is not None and len(row.reference) <= _LONGEST_TRUTH
    return (
        f"{row.task}, {row.reference}"
        if short and row.task in {"yes_no", "multiple_choice"}
        else row.task
    )


def _lengths_of_preferred(rows: Sequence[Comparison], contents: Contents) -> Counter[str]:
    """Whether the longer response wins: a bias that a reward model would learn."""
    words = {row.id: len(row.text.split()) for row in contents.responses}
    found: Counter[str] = Counter()
    for row in rows:
        lengths = [words.get(name) for name in row.response_ids]
        if row.preferred == "tie" or lengths[0] is None or lengths[1] is None:
            continue
        difference = (
            lengths[0] - lengths[1] if row.preferred == "first" else lengths[1] - lengths[0]
        )
        found["longer" if difference > 0 else "shorter" if difference < 0 else "as long"] += 1
    return found


def _spread(texts: Sequence[str]) -> tuple[float, float, int]:
    lengths = [len(text.split()) for text in texts]
    return mean(lengths), median(lengths), max(lengths)
