"""Judgements of the database as records."""

from typing import Any, NamedTuple

from veridical.feedback.texts.line_ends import RestoredCorrection, raw_span
from veridical.files import JsonObject
from veridical.records import (
    Comparison,
    Correction,
    Mark,
    Marking,
    Prompt,
    Rating,
    Segment,
)
from veridical.records.prompts import asked_fields
from veridical.studio.lead.agreement import preferred
from veridical.studio.lead.judged import Judged


class ItemExport(NamedTuple):
    """An item as the export sees it."""

    prompt: Prompt
    """Its prompt, images as they lie in the exported folder."""
    responses: list[Any]
    """Rows of its responses, in the item's own order."""


def correction_of(row: Judged, one: ItemExport) -> Correction:
    """A correction of the response as it was imported."""
    given = one.responses[0]
    body = row.body
    segments = [
        Segment(
            rejected_span=tuple(change["rejected_span"]),
            chosen_span=tuple(change["chosen_span"]),
            kind=change["kind"],
            note=change["note"],
        )
        for change in body["changes"]
    ]
    restored = RestoredCorrection(given.raw, body["text"], segments)
    return Correction(
        **_shared(row, one),
        **asked_fields(one.prompt),
        rejected=restored.rejected,
        chosen=restored.chosen,
        segments=restored.segments,
        origin=str(given.record.get("model", "")),
    )


def comparison_of(row: Judged, one: ItemExport) -> Comparison:
    """A comparison of the responses in the order in which they were shown."""
    first, second = (str(given.record["id"]) for given in one.responses)
    verdict = preferred(row.body)
    shown = (second, first) if row.flipped else (first, second)
    names: JsonObject = {"left": "first", "right": "second", "tie": "tie"}
    if row.flipped:
        names |= {"left": "second", "right": "first"}
    return Comparison(
        **_shared(row, one),
        response_ids=shown,
        preferred=names[verdict],
        hallucination=row.body["hallucinates_more"] in ("left", "right"),
    )


def rating_of(row: Judged, one: ItemExport) -> Rating:
    """A rating, 0 to 6."""
    return Rating(
        **_shared(row, one),
        response_id=str(one.responses[0].record["id"]),
        score=row.body["score"],
        reason=row.body["note"],
    )


def marking_of(row: Judged, one: ItemExport) -> Marking:
    """Marked segments of the responses as they were imported."""
    segments = []
    for mark in row.body["marks"]:
        given = one.responses[0 if mark["side"] == "left" else 1]
        start, end = raw_span(given.raw, mark["start"], mark["end"])
        segments.append(
            Mark(
                response_id=str(given.record["id"]),
                span=(start, end),
                text=given.raw[start:end],
                kind=mark["kind"],
            )
        )
    names = tuple(str(given.record["id"]) for given in one.responses)
    return Marking(**_shared(row, one), response_ids=names, segments=tuple(segments))


def _shared(row: Judged, one: ItemExport) -> JsonObject:
    return {
        "id": row.id,
        "prompt_id": one.prompt.id,
        "source": row.source,
        "annotator": row.person,
        "seconds": row.seconds,
    }
