"""The bodies of judgements, closed to unknown fields, and the checks that need the item's texts.

Sides are "left" and "right" as they were shown; `canonical` turns them into the item's own first
and second response. All offsets are Unicode code points of the text as shown.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from veridical.errors import VeridicalError
from veridical.feedback.texts.line_ends import changes
from veridical.files import JsonObject
from veridical.records import SegmentKind
from veridical.validation import findings

Side = Literal["left", "right"]
MAX_TEXT = 20_000
"""Longest text that a judgement may hold, in code points."""


class JudgementFault(VeridicalError, ValueError):  # noqa: N818 (it is gathered and shown beside its field)
    """What is wrong with a judgement; shown beside the field, nothing is kept."""

    def __init__(self, message: str, *, field: str = "") -> None:
        self.field = field
        super().__init__(message)


def _storable(text: str) -> str:
    fault = text_fault(text)
    if fault is not None:
        raise ValueError(f"the text {fault}")
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_storable)]
Note = Annotated[str, Field(max_length=2_000), AfterValidator(_storable)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mark(_Body):
    """A hallucinated stretch of a shown text."""

    side: Side = "left"
    start: int = Field(ge=0)
    end: int = Field(ge=1)
    kind: SegmentKind = "other"
    note: Note = ""


class KindedChange(_Body):
    """A changed segment as the page showed it, with the kind that was chosen."""

    rejected_span: tuple[int, int]
    chosen_span: tuple[int, int]
    kind: SegmentKind
    note: Note = ""


class SuspectVerdict(_Body):
    """What was said of a segment that a model or a detector had marked beforehand."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    accepted: bool


class CompareBody(_Body):
    """Which response hallucinates more, then which is more helpful."""

    task: Literal["compare"] = "compare"
    hallucinates_more: Literal["left", "right", "both_equally", "neither"]
    more_helpful: Literal["left", "right", "equal"]
    marks: tuple[Mark, ...] = Field(default=(), max_length=200)
    note: Note = ""


class CorrectBody(_Body):
    """The corrected text with a kind for each change, or that there is nothing to correct."""

    task: Literal["correct"] = "correct"
    text: Text
    nothing_wrong: bool = False
    changes: tuple[KindedChange, ...] = Field(default=(), max_length=500)
    suspects: tuple[SuspectVerdict, ...] = Field(default=(), max_length=200)
    note: Note = ""


class RateBody(_Body):
    """A score from 0 to 6 as MMHal-Bench counts: below 3 hallucinates."""

    task: Literal["rate"] = "rate"
    score: int = Field(ge=0, le=6, strict=True)
    note: Note = ""


class MarkBody(_Body):
    """Every hallucinated stretch with its kind, or that there is none."""

    task: Literal["mark"] = "mark"
    nothing_wrong: bool = False
    marks: tuple[Mark, ...] = Field(default=(), max_length=200)
    suspects: tuple[SuspectVerdict, ...] = Field(default=(), max_length=200)
    note: Note = ""


Body = CompareBody | CorrectBody | RateBody | MarkBody
_BODIES: dict[str, type[Body]] = {
    "compare": CompareBody,
    "correct": CorrectBody,
    "rate": RateBody,
    "mark": MarkBody,
}


class Shown(NamedTuple):
    """What was on the page: the texts in the order of their sides."""

    task: str
    texts: tuple[str, ...]


def read_body(shown: Shown, values: JsonObject) -> Body:
    """Check a judgement against what was shown.

    Raises:
        JudgementFault: It is not complete or does not fit the texts.
    """
    try:
        body = _BODIES[shown.task].model_validate(values)
    except ValidationError as error:
        first = findings(error)[0]
        raise JudgementFault(
            f"`{first.where or 'judgement'}`: {first.text}", field=first.where.partition(".")[0]
        ) from error
    if isinstance(body, CorrectBody):
        _check_correction(shown.texts[0], body)
    elif isinstance(body, (MarkBody, CompareBody)):
        _check_marks(shown.texts, body.marks)
    if isinstance(body, MarkBody) and bool(body.marks) == body.nothing_wrong:
        raise JudgementFault(
            "Mark what is hallucinated, or say that nothing is wrong.", field="marks"
        )
    return body


def _check_correction(source: str, body: CorrectBody) -> None:
    if body.nothing_wrong:
        if body.text != source or body.changes:
            raise JudgementFault("Nothing wrong, but the text was changed.", field="text")
        return
    if not body.text.strip():
        raise JudgementFault(
            "The text is empty. Skip the item if nothing of it holds.", field="text"
        )
    found = changes(source, body.text)
    if not found:
        raise JudgementFault(
            "The text is unchanged. Correct it, or say that nothing is wrong.", field="text"
        )
    spans = [(change.rejected_span, change.chosen_span) for change in body.changes]
    if spans != [(segment.rejected_span, segment.chosen_span) for segment in found]:
        raise JudgementFault(
            "The list of changes is older than the text. Wait a moment and submit again.",
            field="changes",
        )


def _check_marks(texts: Sequence[str], marks: Sequence[Mark]) -> None:
    for mark in marks:
        number = 0 if mark.side == "left" else 1
        if number >= len(texts) or not mark.start < mark.end <= len(texts[number]):
            raise JudgementFault("A mark lies outside of the text.", field="marks")
    for side in ("left", "right"):
        spans = sorted((mark.start, mark.end) for mark in marks if mark.side == side)
        if any(after[0] < before[1] for before, after in pairwise(spans)):
            raise JudgementFault("Two marks overlap. Remove one of them.", field="marks")


_OTHER = {"left": "right", "right": "left"}


def canonical(values: JsonObject, *, flipped: bool) -> JsonObject:
    """The body as it would be, had the item's first response stood on the left."""
    if values.get("task") != "compare" or not flipped:
        return values
    turned = dict(values)
    for name in ("hallucinates_more", "more_helpful"):
        turned[name] = _OTHER.get(values[name], values[name])
    turned["marks"] = [mark | {"side": _OTHER[mark["side"]]} for mark in values["marks"]]
    return turned


def text_fault(text: str) -> str | None:
    """Say why a text cannot be kept, or None: no database takes NUL, no JSON half a character."""
    if "\x00" in text:
        return "holds a zero byte. Remove it."
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        return "holds half of a surrogate pair. Save the text as UTF-8."
    return None
