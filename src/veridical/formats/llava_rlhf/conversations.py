"""Conversations of fine-tuning, as LLaVA and LLaVA-RLHF have them ↔ `Conversation`.

A row has `id`, `image` (or none) and `conversations`. Rows in the wider spelling of others are read
as chat: a list of pictures (LLaVA-NeXT, InternVL), a system message, `user` and `assistant`.
"""

from collections.abc import Iterator

from veridical.errors import RowError
from veridical.files import JsonObject
from veridical.formats import chat
from veridical.formats.export import Export
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.llava_rlhf.turns import (
    ROLES,
    make_origin,
    read_origin,
    read_turns,
    row_image,
    written_turns,
)
from veridical.formats.messages import ASSISTANT, USER
from veridical.formats.sources import Row
from veridical.formats.trainers.turns import place_all_markers
from veridical.records import Conversation, Turn
from veridical.records.folders import Contents

_NOT_ALONE = {"chosen", "rejected", "rejected_response", "messages", "images"}
_PREFERENCE = "rejected_"


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one conversation.

    Raises:
        RowError: All that is wrong with the row.
    """
    if _is_wider(row.peek()):
        return chat.read(row, reader)
    record_id = reader.id(row.get("id"))
    image = row_image(row, reader) if row.get("image") is not None else None
    try:
        turns = read_turns(row, ends_with="gpt", has_image=image is not None)
    except RowError as error:
        reader.check(*error.messages)
        turns = []
    empty = [n for n, (role, text) in enumerate(turns, start=1) if role == "gpt" and not text]
    if empty:
        reader.check(
            f"turn {empty[0]} of `conversations`, an answer, is empty. Give a text or leave the row"
            " out."
        )
    reader.stop_on_faults()
    conversation = Conversation(
        id=record_id,
        image=image,
        turns=tuple(Turn(role=ROLES[role], text=text) for role, text in turns),
        source=reader.judged_by,
        origin=make_origin(
            row,
            {"id", "image", "conversations"},
            {"image": row["image"]} if image is not None else {},
        ),
    )
    return Contents(conversations=(conversation,))


def _is_wider(row: Row) -> bool:
    """Whether a row is spelled as others spell it."""
    turns = row.get("conversations")
    turns = turns if isinstance(turns, list) else []
    named = [turn.get("from") for turn in turns if isinstance(turn, dict)]
    others = ("system", USER[0], ASSISTANT[0])
    return isinstance(row.get("image"), list) or any(name in named for name in others)


def write(export: Export) -> None:
    """Write the conversations of a folder."""
    export.write_rows(_rows(export))


def _rows(export: Export) -> Iterator[JsonObject]:
    for conversation in export.each(export.contents.conversations):
        with export.row(conversation.id):
            extras = read_origin(conversation.origin)
            named = extras.pop("image", None)
            row: JsonObject = {"id": extras.pop("id", conversation.id)}
            images, texts = conversation.images, [turn.text for turn in conversation.turns]
            if len(images) > 1:
                row["image"] = [export.copy_image(image) for image in images]
                texts = place_all_markers(texts, len(images))
            elif images:
                name = named if isinstance(named, str) else None
                row["image"] = export.copy_image(images[0], name)
            row["conversations"] = written_turns(texts, marker=len(images) == 1)
            yield row | extras


def _detects(sample: Sample) -> bool:
    return (
        "conversations" in sample.keys
        and not sample.keys & _NOT_ALONE
        and not any(key.startswith(_PREFERENCE) for key in sample.keys)
    )


FORMAT = Format(
    describes="LLaVA's conversations for fine-tuning, JSON",
    read=read,
    detects=_detects,
    judged_by="model",
    ids_repeat=True,
    write=write,
    suffix=".json",
    cannot_hold=("system",),
)
"""The format."""
