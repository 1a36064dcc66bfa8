"""Judgements: what people, simulated people or models say of responses; pairs made of them."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from veridical.records.base import Record, Source
from veridical.records.prompts import Asked

SegmentKind = Literal["object", "position", "number", "attribute", "action", "other"]
"""The kinds of hallucinated segments that RLHF-V (arXiv 2312.00849, section 2) counts."""
KINDS: tuple[SegmentKind, ...] = get_args(SegmentKind)


class Segment(Record):
    """One corrected span in code points, half open; a deletion has an empty `chosen_span`."""

    rejected_span: tuple[int, int]
    """Where the span lies in the original response."""
    chosen_span: tuple[int, int]
    """Where its replacement lies in the corrected response."""
    kind: SegmentKind = "other"
    """What was wrong."""
    note: str = ""
    """A remark of the annotator."""

    @model_validator(mode="after")
    def _spans_are_ordered(self) -> Self:
        for name in ("rejected_span", "chosen_span"):
            start, end = getattr(self, name)
            if not 0 <= start <= end:
                raise ValueError(f"{name} must be 0 <= start <= end, got [{start}, {end}]")
        return self


class _Judgement(Record):
    id: str
    """Unique in its file."""
    prompt_id: str
    """The prompt whose response(s) were judged."""
    source: Source
    """Human, simulated or model."""
    annotator: str = ""
    """Who judged; a pseudonym."""
    seconds: float | None = Field(default=None, ge=0)
    """Time spent on the judgement in seconds, where measured."""


class Correction(Asked, _Judgement):
    """A response and its minimally corrected version, with the segments that changed (RLHF-V).

    A correction file stands alone, so it repeats what was asked. Both texts answer the question,
    after the earlier turns. Equal texts say that the response was right already: recorded, counted,
    and not learnt from.
    """

    type: Literal["correction"] = "correction"
    """Distinguishes the kinds of judgements."""
    rejected: str
    """The response as the model gave it."""
    chosen: str
    """The response after correction."""
    segments: tuple[Segment, ...] = ()
    """The changed spans in order; empty means: derive them from the two texts."""
    origin: str = ""
    """Where the row comes from: dataset, model that answered."""


class Comparison(_Judgement):
    """Which of two responses hallucinates less (LLaVA-RLHF)."""

    type: Literal["comparison"] = "comparison"
    """Distinguishes the kinds of judgements."""
    response_ids: tuple[str, str]
    """The two responses in the order in which they were shown."""
    preferred: Literal["first", "second", "tie"]
    """Which one is better."""
    hallucination: bool | None = None
    """Whether hallucinations decided it, rather than helpfulness; None where nobody noted it."""


class Rating(_Judgement):
    """A score of one response, 0–6 as in MMHal-Bench (arXiv 2309.14525); below 3 hallucinates."""

    type: Literal["rating"] = "rating"
    """Distinguishes the kinds of judgements."""
    response_id: str
    """The response that was rated."""
    score: int = Field(ge=0, le=6)
    """0 (hallucination, not informative) … 6 (very informative, no hallucination)."""
    reason: str = ""
    """Why, in a few words."""


class Mark(Record):
    """A hallucinated span of a response."""

    response_id: str
    """The response."""
    span: tuple[int, int]
    """Where it lies, in code points, half open."""
    text: str = Field(min_length=1)
    """What stands there."""
    kind: SegmentKind = "other"
    """What is wrong."""

    @model_validator(mode="after")
    def _span_holds_the_text(self) -> Self:
        start, end = self.span
        if start < 0 or end - start != len(self.text):
            raise ValueError(
                f"span must be as long as the text, {len(self.text)} from 0 on, got [{start},"
                f" {end}]"
            )
        return self


class Marking(_Judgement):
    """Hallucinated spans of one or more responses to a prompt, marked and not corrected.

    No mark says that nothing is wrong, as in MHumanEval (arXiv 2312.00849). A marking does not say
    what would be right, so training makes nothing of it; benchmarks and detectors do.
    """

    type: Literal["marking"] = "marking"
    """Distinguishes the kinds of judgements."""
    response_ids: tuple[str, ...] = Field(min_length=1)
    """The responses that were read, in the order in which they were shown."""
    segments: tuple[Mark, ...] = ()
    """What is wrong in them; empty where nothing is."""


class Pair(Asked):
    """Two responses to one prompt, one of them preferred: what preference training reads.

    Its id is that of the judgement that it was made of.
    """

    chosen: str
    """The preferred response."""
    rejected: str
    """The other one."""
    segments: tuple[Segment, ...] = ()
    """The changed spans in order; never empty for a pair made of a correction."""
    source: Source
    """Who judged: human, simulated or model."""
    origin: str = ""
    """Dataset and model that the row comes from."""


Judgement = Annotated[Comparison | Correction | Rating | Marking, Field(discriminator="type")]
