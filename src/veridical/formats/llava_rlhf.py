"""Rows of LLaVA-RLHF's public files ↔ records (arXiv 2309.14525; the files lie on the hub under `zhiqings`).

- *Human preferences* (`llava_7b_v1_preference.json`): `id`, `image`, `conversations` whose last
  turn is a placeholder, `output_1`, `output_2`, `preference` (1 or 2, no ties), `hallucination`.
- *PPO prompts* (`llava_ppo50k-aokvqa12k-vqa10k.json`): `id`, `image`, `conversations` of which only
  the first turn is asked, `captions`, `caption_type` (what kind of question, and its truth),
  `length_bonus`.
- *Conversations* (fine-tuning, policy initialisation): `id`, `image` (or none), `conversations`.

What a record has no field for stands as JSON in its `origin`, and comes back on the way out. The
marker `<image>` is put before the first question, wherever it stood, as the original's trainers do.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from veridical.formats.fields import clean_question, text_fault
from veridical.records import (
    Comparison,
    Conversation,
    Facts,
    ImageRef,
    Prompt,
    Response,
    Source,
    Turn,
)
from veridical.records.images import RowFault, gather_row_errors

ORIGIN = "llava-rlhf"
"""What the origin of imported records begins with."""
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

_MARKER = "<image>\n"
_ROLES: Mapping[str, Literal["user", "assistant"]] = {"human": "user", "gpt": "assistant"}


class Contents(NamedTuple):
    """The records of a row, or of a whole data set."""

    prompts: tuple[Prompt, ...] = ()
    """What was asked."""
    responses: tuple[Response, ...] = ()
    """What was answered."""
    comparisons: tuple[Comparison, ...] = ()
    """What people preferred."""
    conversations: tuple[Conversation, ...] = ()
    """What fine-tuning learns from."""
    facts: tuple[Facts, ...] = ()
    """What is known true."""


def read_preference(
    row: Mapping[str, Any], *, record_id: str, image: ImageRef, judged_by: Source
) -> Contents:
    """Read one human preference.

    Raises:
        RowFault: All that is wrong with the row.
    """
    messages: list[str] = []
    turns: list[tuple[str, str]] = []
    with gather_row_errors(messages):
        turns = _turns(row.get("conversations"), ends_with="gpt")
    outputs: list[tuple[str, str]] = []
    extras: dict[str, Any] = {}
    for name in ("output_1", "output_2"):
        value = row.get(name)
        output = dict(value) if isinstance(value, Mapping) else {}
        text = output.pop("value", None)
        fault = text_fault(text, f"{name}.value", response=True)
        messages += [fault] if fault is not None else []
        outputs.append((str(text), str(output.pop("from", ""))))
        extras |= {name: output} if output else {}
    if not messages and outputs[0][0] == outputs[1][0]:
        messages.append(
            f"`output_1` equals `output_2`, got {outputs[0][0][:40]!r} twice: such a pair teaches"
            " nothing. Leave the row out."
        )
    preference, hallucination = row.get("preference"), row.get("hallucination")
    if isinstance(preference, bool) or preference not in (1, 2):
        messages.append(
            f"`preference` must be 1 or 2, got {preference!r}: the format knows no tie and no other"
            " label. Mend the label or leave the row out."
        )
    if hallucination is not None and not isinstance(hallucination, bool):
        messages.append(
            f"`hallucination` must be true or false, got {hallucination!r}. Mend the row."
        )
    if messages:
        raise RowFault(*messages)
    known = {"id", "image", "conversations", "output_1", "output_2", "preference", "hallucination"}
    prompt = Prompt(
        id=record_id,
        image=image,
        question=turns[-2][1],
        task="general",
        reference=turns[-1][1] or None,
        image_id=str(row["image"]),
        history=_exchanges(turns[:-2]),
        origin=_origin(row, known, extras),
    )
    ids = (f"{record_id}/1", f"{record_id}/2")
    responses = tuple(
        Response(id=name, prompt_id=record_id, text=text, model=model)
        for name, (text, model) in zip(ids, outputs, strict=True)
    )
    comparison = Comparison(
        id=record_id,
        prompt_id=record_id,
        source=judged_by,
        response_ids=ids,
        preferred="first" if preference == 1 else "second",
        hallucination=hallucination,
    )
    return Contents((prompt,), responses, (comparison,))


def write_preference(
    comparison: Comparison, prompt: Prompt, first: Response, second: Response
) -> dict[str, Any]:
    """Write one comparison as the original's row.

    Raises:
        RowFault: It is a tie, which the format cannot say.
    """
    if comparison.preferred == "tie":
        raise RowFault(
            f"comparison {comparison.id!r} is a tie, which the format cannot say. Leave it out."
        )
    extras = read_origin(prompt.origin)
    turns = [turn for pair in prompt.history for turn in pair]
    row: dict[str, Any] = {
        "id": extras.pop("id", prompt.id),
        "image": prompt.known_image,
        "conversations": _written([*turns, prompt.question, prompt.reference or ""]),
    }
    for name, response in (("output_1", first), ("output_2", second)):
        row[name] = {"from": response.model, "value": response.text} | extras.pop(name, {})
    row["preference"] = 1 if comparison.preferred == "first" else 2
    if comparison.hallucination is not None:
        row["hallucination"] = comparison.hallucination
    return row | extras


def read_prompt(row: Mapping[str, Any], *, record_id: str, image: ImageRef) -> Contents:
    """Read one PPO prompt; its `captions`, where it has them, become facts of its image.

    Raises:
        RowFault: All that is wrong with the row.
    """
    messages: list[str] = []
    turns: list[tuple[str, str]] = []
    with gather_row_errors(messages):
        turns = _turns(row.get("conversations"), ends_with=None)
    kind, bonus = row.get("caption_type", 1), row.get("length_bonus")
    if isinstance(kind, bool) or not isinstance(kind, int) or kind not in CAPTION_TYPES:
        messages.append(f"`caption_type` must be a number from 1 to 7, got {kind!r}. Mend the row.")
    if bonus is not None and (
        isinstance(bonus, bool) or not isinstance(bonus, int | float) or not abs(bonus) < 1e9
    ):
        messages.append(f"`length_bonus` must be a number, got {bonus!r}. Mend the row.")
    with gather_row_errors(messages):
        captions = _captions(row.get("captions"))
    if messages:
        raise RowFault(*messages)
    task, truth = CAPTION_TYPES[kind]
    later = turns[1:]
    prompt = Prompt(
        id=record_id,
        image=image,
        question=turns[0][1],
        task=task,
        reference=truth,
        image_id=str(row["image"]),
        length_bonus=bonus,
        origin=_origin(
            row,
            {"id", "image", "conversations", "captions", "caption_type", "length_bonus"},
            {"turns": [text for _, text in later]} if later else {},
        ),
    )
    facts = (Facts(image_id=str(row["image"]), kind="caption", texts=captions),) if captions else ()
    return Contents((prompt,), facts=facts)


def write_prompt(prompt: Prompt, captions: tuple[str, ...]) -> dict[str, Any]:
    """Write one prompt as the original's row.

    Raises:
        RowFault: The original has no `caption_type` for its task and reference, or drops its
            earlier turns.
    """
    kinds = [
        kind for kind, said in CAPTION_TYPES.items() if said == (prompt.task, prompt.reference)
    ]
    if not kinds and prompt.task not in {"yes_no", "multiple_choice"}:
        kinds = [1]
    if not kinds:
        raise RowFault(
            f"prompt {prompt.id!r} is of task {prompt.task!r} with the reference"
            f" {prompt.reference!r}, for which the format has no `caption_type`: it knows Yes and"
            " No, and A to D. Leave it out."
        )
    if prompt.history:
        raise RowFault(
            f"prompt {prompt.id!r} has earlier turns, which the format does not ask. Leave it out."
        )
    extras = read_origin(prompt.origin)
    row: dict[str, Any] = {
        "id": extras.pop("id", prompt.id),
        "image": prompt.known_image,
        "conversations": _written([prompt.question, *extras.pop("turns", [""])]),
    }
    if captions:
        row["captions"] = list(captions)
    row["caption_type"] = kinds[0]
    if prompt.length_bonus is not None:
        row["length_bonus"] = prompt.length_bonus
    return row | extras


def read_conversation(
    row: Mapping[str, Any], *, record_id: str, image: ImageRef | None, judged_by: Source
) -> Contents:
    """Read one conversation of fine-tuning.

    Raises:
        RowFault: All that is wrong with the row.
    """
    turns = _turns(row.get("conversations"), ends_with="gpt")
    empty = [
        number
        for number, (role, text) in enumerate(turns, start=1)
        if role == "gpt" and not text.strip()
    ]
    if empty:
        raise RowFault(
            f"turn {empty[0]} of `conversations`, an answer, is empty. Give a text or leave the row"
            " out."
        )
    conversation = Conversation(
        id=record_id,
        image=image,
        turns=tuple(Turn(role=_ROLES[role], text=text) for role, text in turns),
        source=judged_by,
        origin=_origin(
            row,
            {"id", "image", "conversations"},
            {"image": row["image"]} if image is not None else {},
        ),
    )
    return Contents(conversations=(conversation,))


def write_conversation(conversation: Conversation, image: str | None) -> dict[str, Any]:
    """Write one conversation as the original's row; `image` is the name of its image's file."""
    extras = read_origin(conversation.origin)
    row: dict[str, Any] = {"id": extras.pop("id", conversation.id)}
    if image is not None:
        row["image"] = image
    extras.pop("image", None)
    texts = [turn.text for turn in conversation.turns]
    row["conversations"] = _written(texts, marker=image is not None)
    return row | extras


def read_origin(origin: str) -> dict[str, Any]:
    """What an imported record's origin keeps of its row; nothing for records of other origin."""
    head, _, text = origin.partition(" ")
    try:
        kept = json.loads(text) if head == ORIGIN else {}
    except (ValueError, RecursionError):
        kept = {}  # somebody else's words behind our name
    return kept if isinstance(kept, dict) else {}


def _origin(row: Mapping[str, Any], known: set[str], extras: Mapping[str, Any]) -> str:
    kept = {"id": row["id"]} if "id" in row else {}
    kept |= {name: value for name, value in row.items() if name not in known} | dict(extras)
    return f"{ORIGIN} {json.dumps(kept, ensure_ascii=False)}"


def _turns(value: Any, *, ends_with: str | None) -> list[tuple[str, str]]:
    """Role and text of each turn: they alternate and begin with the human; at most one asks about an image."""
    if not isinstance(value, list) or not value:
        raise RowFault(
            f"`conversations` must be a list of turns, got {repr(value)[:60]}. Mend the row."
        )
    messages: list[str] = []
    turns: list[tuple[str, str]] = []
    markers = 0
    for number, turn in enumerate(value, start=1):
        role, text = (
            (turn.get("from"), turn.get("value")) if isinstance(turn, Mapping) else (None, None)
        )
        if not isinstance(role, str) or role not in _ROLES or not isinstance(text, str):
            messages.append(
                f"turn {number} of `conversations` must be {{from: human or gpt, value: text}}, got"
                f" {repr(turn)[:60]}. Mend the row."
            )
            continue
        if role == "human":
            with gather_row_errors(messages):
                bare = clean_question(text)
                markers += bare != text
                text = bare
        if text.strip() or role == "human":
            fault = text_fault(text, f"conversations[{number}].value", response=True)
            messages += [fault] if fault is not None else []
        turns.append((role, text))
    if messages:
        raise RowFault(*messages)
    roles = [role for role, _ in turns]
    if roles != [("human", "gpt")[number % 2] for number in range(len(roles))] or roles[-1] != (
        ends_with or roles[-1]
    ):
        end = f" and end with {ends_with}" if ends_with else ""
        raise RowFault(
            f"`conversations` must begin with human, alternate{end}, got {', '.join(roles)}. Mend"
            " the row."
        )
    if markers > 1:
        raise RowFault(
            f"{markers} turns of `conversations` hold an image marker. One image a row is read."
        )
    return turns


def _exchanges(turns: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    texts = [text for _, text in turns]
    if any(not text.strip() for text in texts):
        raise RowFault(
            "an earlier answer in `conversations` is empty. Give a text or leave the row out."
        )
    return tuple(zip(texts[::2], texts[1::2], strict=True))


def _captions(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or any(
        not isinstance(text, str) or not text.strip() for text in value
    ):
        raise RowFault(f"`captions` must be a list of texts, got {repr(value)[:60]}. Mend the row.")
    return tuple(value)


def _written(texts: list[str], *, marker: bool = True) -> list[dict[str, str]]:
    head = _MARKER if marker else ""
    return [
        {"from": ("human", "gpt")[number % 2], "value": head + text if number == 0 else text}
        for number, text in enumerate(texts)
    ]
