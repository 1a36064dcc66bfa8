"""Rows that tools for annotators export: one response with judgements, or two to choose from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from veridical.formats.format import RowReader
from veridical.formats.markers import place_markers
from veridical.formats.pairs import PairFields, read_pair
from veridical.formats.text import first_of
from veridical.records import Comparison, Prompt, Response
from veridical.records.folders import Contents, join_contents
from veridical.records.texts import MISSING, clean_text, text_fault

PAIRS = (
    ("response_1", "response_2"),
    ("response1", "response2"),
    ("response-1", "response-2"),
    ("completion_1", "completion_2"),
)
"""What tools call two responses that are compared."""
_SINGLE = ("response", "text", "completion", "answer")


class Shown(NamedTuple):
    """What a row shows to annotators."""

    id: str
    """The row's id."""
    image: object
    """The picture."""
    question: object
    """What was asked."""
    responses: tuple[object, ...]
    """One response, or two."""
    names: tuple[str, ...]
    """What the row calls them."""
    models: tuple[str, ...]
    """Who answered, in their order."""


class Judged(NamedTuple):
    """What an annotator said."""

    annotator: str
    """Who."""
    seconds: float | None
    """How long it took, where that is known."""
    said: object
    """A corrected text, or "first", "second" or "tie"."""
    own: Mapping[str, Any] = {}
    """Fields of our own records, of a correction."""


def shown_of(data: Mapping[str, Any], row_id: str) -> Shown:
    """What the fields of a row show."""
    pair = next((names for names in PAIRS if set(names) <= data.keys()), None)
    single = next(
        (n for n in ("response", "text", "completion", "answer") if n in data), "response"
    )
    names = pair or (single,)
    model = str(data.get("model") or "")
    return Shown(
        row_id,
        data.get("image"),
        first_of(data, "question", "prompt", "instruction"),
        tuple(data.get(name, MISSING) for name in names),
        names,
        tuple(str(data.get(f"model_{n}") or model) for n in range(1, len(names) + 1)),
    )


def read_judged(shown: Shown, judged: list[Judged], reader: RowReader) -> Contents:
    """Records of a row: a correction for each corrected text, or comparisons and their prompt.

    Raises:
        RowError: All that is wrong with the row.
    """
    if not judged:
        reader.leave_out("rows that nobody judged")
        return Contents()
    if len(shown.responses) == 1:
        return join_contents([_correction(shown, one, judged, reader) for one in judged])
    for name, text in zip(shown.names, shown.responses, strict=True):
        reader.check(text_fault(text, name, response=True))
    reader.check(text_fault(shown.question, "question", response=False))
    image = reader.image(shown.image)
    reader.stop_on_faults()
    (question,) = place_markers([str(shown.question)], 1)
    ids = (f"{shown.id}/1", f"{shown.id}/2")
    responses = tuple(
        Response(id=name, prompt_id=shown.id, text=clean_text(str(text)), model=model)
        for name, text, model in zip(ids, shown.responses, shown.models, strict=True)
    )
    comparisons = tuple(
        Comparison.model_validate(
            {
                "id": _id(shown, number, judged),
                "prompt_id": shown.id,
                "source": reader.judged_by,
                "annotator": one.annotator,
                "seconds": one.seconds,
                "response_ids": ids,
                "preferred": one.said,
            }
        )
        for number, one in enumerate(judged, start=1)
    )
    prompt = Prompt(id=shown.id, image=image, question=question, task="general")
    return Contents(prompts=(prompt,), responses=responses, comparisons=comparisons)


def _id(shown: Shown, number: int, judged: list[Judged]) -> str:
    return shown.id if len(judged) == 1 else f"{shown.id}/{number}"


def _correction(shown: Shown, one: Judged, judged: list[Judged], reader: RowReader) -> Contents:
    number = judged.index(one) + 1
    own = {"annotator": one.annotator, "seconds": one.seconds, **one.own}
    pair = PairFields(
        id=_id(shown, number, judged),
        image=shown.image,
        question=shown.question,
        chosen=one.said,
        rejected=shown.responses[0],
        own={name: value for name, value in own.items() if value not in (None, "")},
        names=("question", "corrected", shown.names[0]),
        origin=str(one.own.get("origin", "")),
        history=tuple(tuple(pair) for pair in one.own.get("history", ())),
        system=str(one.own.get("system", "")),
        placed="history" in one.own,
    )
    return read_pair(pair, reader, already_right=True)
