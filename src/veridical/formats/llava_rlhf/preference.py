"""Human preferences of LLaVA-RLHF (`llava_7b_v1_preference.json`) ↔ `Comparison`.

A row has `id`, `image`, `conversations` whose last turn is a placeholder, `output_1`, `output_2`,
`preference` (1 or 2, no ties) and `hallucination`.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from veridical.errors import RowError, gather_row_errors
from veridical.files import JsonObject
from veridical.formats.export import Export
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.llava_rlhf.facts import file_name
from veridical.formats.llava_rlhf.turns import (
    Turn,
    exchanges,
    make_origin,
    read_origin,
    read_turns,
    row_image,
    written_turns,
)
from veridical.records import Comparison, Prompt, Response
from veridical.records.folders import Contents
from veridical.records.texts import MISSING, clean_text, same_text, shown, text_fault

R = TypeVar("R")

_OUTPUTS = ("output_1", "output_2")
_KNOWN = {"id", "image", "conversations", *_OUTPUTS, "preference", "hallucination"}


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one preference.

    Raises:
        RowError: All that is wrong with the row.
    """
    record_id = reader.id(row.get("id"))
    image = row_image(row, reader)
    turns: list[Turn] = []
    with gather_row_errors(reader.faults):
        turns = read_turns(row, ends_with="gpt")
    outputs = [_output(row, name, reader) for name in _OUTPUTS]
    texts = [text for text, _, _ in outputs]
    if not reader.faults and same_text(*texts):
        reader.check(
            f"`output_1` equals `output_2`, got {shown(texts[0])} twice: such a pair teaches"
            " nothing. Leave the row out."
        )
    _check_labels(row, reader)
    reader.stop_on_faults()
    extras = {name: rest for name, (_, _, rest) in zip(_OUTPUTS, outputs, strict=True) if rest}
    prompt = Prompt(
        id=record_id,
        image=image,
        question=turns[-2][1],
        task="general",
        reference=turns[-1][1] or None,
        image_id=str(row["image"]),
        history=exchanges(turns[:-2]),
        origin=make_origin(row, _KNOWN, extras),
    )
    ids = (f"{record_id}/1", f"{record_id}/2")
    responses = tuple(
        Response(id=name, prompt_id=record_id, text=clean_text(text), model=model)
        for name, (text, model, _) in zip(ids, outputs, strict=True)
    )
    comparison = Comparison(
        id=record_id,
        prompt_id=record_id,
        source=reader.judged_by,
        response_ids=ids,
        preferred="first" if row["preference"] == 1 else "second",
        hallucination=row.get("hallucination"),
    )
    return Contents(prompts=(prompt,), responses=responses, comparisons=(comparison,))


def _output(row: RowFields, name: str, reader: RowReader) -> tuple[str, str, JsonObject]:
    """Text and model of an output, and what else it says."""
    value = row.get(name, MISSING)
    rest = dict(value) if isinstance(value, Mapping) else {}
    text = MISSING if value is MISSING else rest.pop("value", None)
    reader.check(text_fault(text, name if value is MISSING else f"{name}.value", response=True))
    return str(text), str(rest.pop("from", "")), rest


def _check_labels(row: RowFields, reader: RowReader) -> None:
    preference, hallucination = row.get("preference", MISSING), row.get("hallucination")
    if preference is MISSING:
        reader.check("`preference` is missing. Add it or leave the row out.")
    elif isinstance(preference, bool) or preference not in (1, 2):
        reader.check(
            f"`preference` must be 1 or 2, got {preference!r}: the format has no tie and no other"
            " label. Fix the label or leave the row out."
        )
    if hallucination is not None and not isinstance(hallucination, bool):
        reader.check(f"`hallucination` must be true or false, got {hallucination!r}. Fix the row.")


def write(export: Export) -> None:
    """Write the comparisons of a folder."""
    export.write_rows(_rows(export))


def _rows(export: Export) -> Iterator[JsonObject]:
    prompts = {record.id: record for record in export.contents.prompts}
    responses = {record.id: record for record in export.contents.responses}
    for comparison in export.each(export.contents.comparisons):
        with export.row(comparison.id):
            if comparison.preferred == "tie":
                raise RowError(
                    f"comparison {comparison.id!r} is a tie, which the format cannot say. Leave it"
                    " out."
                )
            prompt = _known(prompts, comparison.prompt_id, "prompt")
            shown_first, second = (
                _known(responses, name, "response") for name in comparison.response_ids
            )
            row = _row(comparison, prompt, shown_first, second)
            row["image"] = export.copy_image(export.only_image(prompt), file_name(prompt))
            yield row


def _known(records: dict[str, R], name: str, what: str) -> R:
    if name not in records:
        raise RowError(f"there is no {what} {name!r} in the folder. Add it.")
    return records[name]


def _row(comparison: Comparison, prompt: Prompt, first: Response, second: Response) -> JsonObject:
    extras = read_origin(prompt.origin)
    turns = [turn for pair in prompt.history for turn in pair]
    row: JsonObject = {
        "id": extras.pop("id", prompt.id),
        "image": prompt.known_image,
        "conversations": written_turns([*turns, prompt.question, prompt.reference or ""]),
    }
    for name, response in zip(_OUTPUTS, (first, second), strict=True):
        row[name] = {"from": response.model, "value": response.text} | extras.pop(name, {})
    row["preference"] = 1 if comparison.preferred == "first" else 2
    if comparison.hallucination is not None:
        row["hallucination"] = comparison.hallucination
    return row | extras


def _detects(sample: Sample) -> bool:
    return {"output_1", "output_2", "preference"} <= sample.keys


FORMAT = Format(
    describes="LLaVA-RLHF's human preferences, JSON",
    read=read,
    detects=_detects,
    judged_by="human",
    takes_facts=True,
    ids_repeat=True,
    write=write,
    suffix=".json",
    cannot_hold=("annotator", "seconds", "sample", "temperature", "system"),
)
"""The format."""
