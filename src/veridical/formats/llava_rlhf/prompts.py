"""PPO prompts of LLaVA-RLHF (`llava_ppo50k-aokvqa12k-vqa10k.json`) ↔ `Prompt` and `Facts`.

A row has `id`, `image`, `conversations` (only its first turn is asked), `captions`,
`caption_type` (what kind of question, and its truth) and `length_bonus`.
"""

from collections.abc import Iterator, Mapping

from veridical.errors import RowError, gather_row_errors
from veridical.files import JsonObject
from veridical.formats.export import Export
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.llava_rlhf.facts import file_name
from veridical.formats.llava_rlhf.turns import (
    Turn,
    make_origin,
    read_origin,
    read_turns,
    row_image,
    written_turns,
)
from veridical.records import Facts, Prompt
from veridical.records.folders import Contents
from veridical.records.texts import shown

CAPTION_TYPES: Mapping[int, tuple[str, str | None]] = {
    1: ("general", None),
    2: ("multiple_choice", "A"),
    3: ("multiple_choice", "B"),
    4: ("multiple_choice", "C"),
    5: ("multiple_choice", "D"),
    6: ("yes_no", "No"),
    7: ("yes_no", "Yes"),
}
"""Task and truth by `caption_type`."""

_KNOWN = {"id", "image", "conversations", "captions", "caption_type", "length_bonus"}


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one prompt; its `captions`, where it has them, become facts of its image.

    Raises:
        RowError: All that is wrong with the row.
    """
    record_id = reader.id(row.get("id"))
    image = row_image(row, reader)
    turns: list[Turn] = []
    captions: tuple[str, ...] = ()
    with gather_row_errors(reader.faults):
        turns = read_turns(row, ends_with=None)
    kind, bonus = row.get("caption_type", 1), row.get("length_bonus")
    if isinstance(kind, bool) or not isinstance(kind, int) or kind not in CAPTION_TYPES:
        reader.check(f"`caption_type` must be a number from 1 to 7, got {kind!r}. Fix the row.")
    if bonus is not None and (
        isinstance(bonus, bool) or not isinstance(bonus, int | float) or not abs(bonus) < 1e9
    ):
        reader.check(f"`length_bonus` must be a number, got {bonus!r}. Fix the row.")
    with gather_row_errors(reader.faults):
        captions = _captions(row.get("captions"))
    reader.stop_on_faults()
    task, truth = CAPTION_TYPES[kind]
    later = [text for _, text in turns[1:]]
    prompt = Prompt(
        id=record_id,
        image=image,
        question=turns[0][1],
        task=task,
        reference=truth,
        image_id=str(row["image"]),
        length_bonus=bonus,
        origin=make_origin(row, _KNOWN, {"turns": later} if later else {}),
    )
    facts = (Facts(image_id=str(row["image"]), kind="caption", texts=captions),) if captions else ()
    return Contents(prompts=(prompt,), facts=facts)


def _captions(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or any(
        not isinstance(text, str) or not text.strip() for text in value
    ):
        raise RowError(f"`captions` must be a list of texts, got {shown(value)}. Fix the row.")
    return tuple(value)


def write(export: Export) -> None:
    """Write the prompts of a folder, with the captions of their images."""
    export.write_rows(_rows(export))


def _rows(export: Export) -> Iterator[JsonObject]:
    captions = {
        item.image_id: item.texts for item in export.contents.facts if item.kind == "caption"
    }
    for prompt in export.each(export.contents.prompts):
        with export.row(prompt.id):
            row = _row(prompt, captions.get(prompt.known_image, ()))
            row["image"] = export.copy_image(export.only_image(prompt), file_name(prompt))
            yield row


def _row(prompt: Prompt, captions: tuple[str, ...]) -> JsonObject:
    kind = _caption_type(prompt)
    if prompt.history:
        raise RowError(
            f"prompt {prompt.id!r} has earlier turns, which the format does not ask. Leave it out."
        )
    extras = read_origin(prompt.origin)
    row: JsonObject = {
        "id": extras.pop("id", prompt.id),
        "image": prompt.known_image,
        "conversations": written_turns([prompt.question, *extras.pop("turns", [""])]),
    }
    if captions:
        row["captions"] = list(captions)
    row["caption_type"] = kind
    if prompt.length_bonus is not None:
        row["length_bonus"] = prompt.length_bonus
    return row | extras


def _caption_type(prompt: Prompt) -> int:
    asked = (prompt.task, prompt.reference)
    kinds = [kind for kind, meaning in CAPTION_TYPES.items() if meaning == asked]
    if kinds:
        return kinds[0]
    if prompt.task not in {"yes_no", "multiple_choice"}:
        return 1
    raise RowError(
        f"prompt {prompt.id!r} is of task {prompt.task!r} with the reference"
        f" {prompt.reference!r}, for which the format has no `caption_type`: it has Yes and No, and"
        " A to D. Leave it out."
    )


def _detects(sample: Sample) -> bool:
    return "conversations" in sample.keys and bool(sample.keys & {"caption_type", "length_bonus"})


FORMAT = Format(
    describes="LLaVA-RLHF's prompts for PPO, JSON",
    read=read,
    detects=_detects,
    judged_by="human",
    takes_facts=True,
    ids_repeat=True,
    write=write,
    suffix=".json",
    cannot_hold=("system",),
)
"""The format."""
