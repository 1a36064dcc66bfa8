"""What all rows of LLaVA-RLHF have: turns, and an origin that keeps the rest of the row."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from veridical.errors import RowError, gather_row_errors
from veridical.files import JsonObject
from veridical.formats.format import RowFields, RowReader
from veridical.formats.text import clean_question
from veridical.records import ImageRef
from veridical.records.texts import MISSING, clean_text, count_images, shown, text_fault

ORIGIN = "llava-rlhf"
"""What the origin of imported records begins with."""
ROLES: Mapping[str, Literal["user", "assistant"]] = {"human": "user", "gpt": "assistant"}
"""Our names of the original's roles."""
MARKER = "<image>\n"
"""What stands before the first question about an image."""

Turn = tuple[str, str]
"""Role, in the original's words, and text."""


def row_image(row: RowFields, reader: RowReader) -> ImageRef:
    """Read the image that a row names."""
    value = row.get("image", MISSING)
    if value is MISSING:
        reader.check("`image` is missing. Add it or leave the row out.")
    elif not isinstance(value, str):
        reader.check(f"`image` must be the name of a file, got {shown(value)}. Fix the row.")
    else:
        return reader.image(value)
    return ImageRef(path="missing")


def read_turns(row: RowFields, *, ends_with: str | None, has_image: bool = True) -> list[Turn]:
    """Role and text of each turn: they alternate, begin with the human, ask about one image.

    Raises:
        RowError: All that is wrong with them.
    """
    value = row.get("conversations", MISSING)
    if value is MISSING:
        raise RowError("`conversations` is missing. Add it or leave the row out.")
    if not isinstance(value, list) or not value:
        raise RowError(f"`conversations` must be a list of turns, got {shown(value)}. Fix the row.")
    messages: list[str] = []
    markers = 0
    turns: list[Turn] = []
    for number, turn in enumerate(value, start=1):
        with gather_row_errors(messages):
            role, text = _turn(turn, number)
            if role == "human":
                markers += count_images(text)
                text = clean_question(text)
            if text.strip() or role == "human":
                fault = text_fault(text, f"conversations[{number}].value", response=True)
                messages += [fault] if fault is not None else []
            turns.append((role, text if role == "human" else clean_text(text)))
    if messages:
        raise RowError(*messages)
    _check_order([role for role, _ in turns], ends_with)
    _check_markers(markers, has_image=has_image)
    return turns


def _turn(turn: object, number: int) -> Turn:
    role, text = (turn.get("from"), turn.get("value")) if isinstance(turn, Mapping) else ("", "")
    if not isinstance(role, str) or role not in ROLES or not isinstance(text, str):
        raise RowError(
            f"turn {number} of `conversations` must be {{from: human or gpt, value: text}}, got"
            f" {shown(turn)}. Fix the row."
        )
    return str(role), text


def _check_order(roles: list[str], ends_with: str | None) -> None:
    expected = [("human", "gpt")[number % 2] for number in range(len(roles))]
    if roles != expected or roles[-1] != (ends_with or roles[-1]):
        end = f" and end with {ends_with}" if ends_with else ""
        raise RowError(
            f"`conversations` must begin with human, alternate{end}, got {', '.join(roles)}. Fix"
            " the row."
        )


def _check_markers(markers: int, *, has_image: bool) -> None:
    if markers and not has_image:
        raise RowError(
            "`conversations` asks about an image, and the row has none: it would teach answering"
            " blind. Name the image, or take the marker out."
        )
    if markers > 1:
        raise RowError(
            f"{markers} turns of `conversations` hold an image marker. One image per row is read."
        )


def exchanges(turns: list[Turn]) -> tuple[tuple[str, str], ...]:
    """Earlier questions with their answers.

    Raises:
        RowError: An answer is empty.
    """
    texts = [text for _, text in turns]
    if any(not text.strip() for text in texts):
        raise RowError(
            "an earlier answer in `conversations` is empty. Give a text or leave the row out."
        )
    return tuple(zip(texts[::2], texts[1::2], strict=True))


def written_turns(texts: list[str], *, marker: bool = True) -> list[dict[str, str]]:
    """Turns as the original's rows have them."""
    head = MARKER if marker else ""
    return [
        {"from": ("human", "gpt")[number % 2], "value": head + text if number == 0 else text}
        for number, text in enumerate(texts)
    ]


def make_origin(row: RowFields, known: set[str], extras: Mapping[str, Any]) -> str:
    """The origin of a record: all of its row that no field holds."""
    kept = {"id": row["id"]} if "id" in row else {}
    kept |= {name: value for name, value in row.items() if name not in known} | dict(extras)
    return f"{ORIGIN} {json.dumps(kept, ensure_ascii=False)}"


def read_origin(origin: str) -> JsonObject:
    """What an imported record's origin keeps of its row; nothing for records of other origin."""
    head, _, text = origin.partition(" ")
    try:
        kept = json.loads(text) if head == ORIGIN else {}
    except (ValueError, RecursionError):
        kept = {}  # somebody else's words after our name
    return kept if isinstance(kept, dict) else {}
