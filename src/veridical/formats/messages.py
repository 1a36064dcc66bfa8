"""Chat messages in any of the spellings that trainers use → what was asked and what was said.

A message is {role, content} or {from, value}; its content is a text or a list of parts {type, …}.
Pictures stand in fields of the row, or in the parts themselves; a marker in a text says where one
goes. A record has no markers where all pictures stand before the first question, and otherwise one
`<image>` for each (see `records.prompts`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from veridical.errors import RowError
from veridical.formats.format import RowFields
from veridical.formats.markers import place_markers
from veridical.formats.sources.row_images import row_images
from veridical.formats.text import split_template
from veridical.records.texts import (
    IMAGE_MARKER,
    MISSING,
    clean_text,
    shown,
)

USER = ("user", "human")
"""Names of who asks."""
ASSISTANT = ("assistant", "gpt", "model", "chatbot")
"""Names of who answers."""


class Message(NamedTuple):
    """What one side says."""

    role: str
    """Who speaks, in the row's words."""
    text: str
    """What is said, with the row's markers of pictures."""
    images: tuple[object, ...] = ()
    """Pictures that stand in the message itself."""


class Talk(NamedTuple):
    """A conversation as records have it."""

    system: str
    """The system message."""
    turns: tuple[str, ...]
    """What user and assistant say in turn; the user begins."""
    images: tuple[object, ...]
    """Pictures in order: bytes, paths, or {"bytes": …, "path": …}."""

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """What was asked and answered before the last question."""
        return tuple(zip(self.turns[:-1:2], self.turns[1::2], strict=False))


def read_messages(value: object, name: str) -> list[Message]:
    """Messages of a field.

    Raises:
        RowError: The field is missing, or holds something else.
    """
    if value is MISSING:
        raise RowError(f"`{name}` is missing. Add it or leave the row out.")
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise RowError(f"`{name}` must be a list of messages, got {shown(value)}. Fix the row.")
    return [_message(turn, name) for item in value for turn in _turns(item)]


def _turns(item: object) -> list[object]:
    """The messages of an exchange {human, assistant}; anything else as it is."""
    if not isinstance(item, Mapping) or "role" in item or "from" in item:
        return [item]
    sides = [next((n for n in names if n in item), "") for names in (USER, ASSISTANT)]
    if not all(sides):
        return [item]
    roles = ("user", "assistant")
    return [{"role": r, "content": item[n]} for r, n in zip(roles, sides, strict=True)]


_SAID = {"role", "from", "content", "value", *USER, *ASSISTANT}


def note_other_fields(row: RowFields, names: Sequence[str]) -> None:
    """Note what messages hold beside who speaks and what is said: weights of the loss, tools."""
    for name in names:
        value = row.peek().get(name)
        for item in value if isinstance(value, list) else ():
            for key in item.keys() - _SAID if isinstance(item, Mapping) else ():
                learnt = item.get("role") in ASSISTANT
                usual = key in ("loss", "loss_weight") and item[key] in (None, float(learnt))
                if not usual and item[key] not in (None, "", [], {}):
                    row.miss(f"{name}[].{key}")


def _message(message: object, name: str) -> Message:
    if isinstance(message, Mapping):
        role = message.get("role") or message.get("from")
        content = message.get("content")
        content = content if content is not None else message.get("value")
        if isinstance(role, str) and isinstance(content, str):
            return _with_inline_pictures(Message(role, content))
        if isinstance(role, str) and isinstance(content, list):
            parts = [_part(part, name) for part in content]
            images = tuple(image for _, image in parts if image is not None)
            return Message(role, "".join(text for text, _ in parts), images)
    raise RowError(
        f"`{name}` must hold messages with role and content, got {shown(message)}. Fix the row."
    )


_INLINE = re.compile(r"(?:Picture \d+:\s*)?<img>([^<>\n]+)</img>[ \t]*\n?")
"""A picture inside a text, as Qwen-VL's first data has it."""


def _with_inline_pictures(message: Message) -> Message:
    """A user's message whose pictures stand as `<img>path</img>` in its text."""
    paths = tuple(_INLINE.findall(message.text)) if message.role in USER else ()
    return Message(message.role, _INLINE.sub(IMAGE_MARKER, message.text), paths)


_PICTURE = ("image", "image_url", "url", "path", "value", "source")
"""What trainers and endpoints call the picture of a part."""


def _part(part: object, name: str) -> tuple[str, object]:
    """Text of a part, and its picture if it holds one."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if isinstance(part, Mapping) and kind in ("image", "image_url"):
        image = next((part[key] for key in _PICTURE if part.get(key)), None)
        if isinstance(image, Mapping) and image.get("type") == "base64":
            return IMAGE_MARKER, f"data:{image.get('media_type')};base64,{image.get('data')}"
        if isinstance(image, Mapping) and "url" in image:
            image = image["url"]
        return IMAGE_MARKER, image
    text = (
        next((part[key] for key in ("text", "value") if part.get(key) is not None), None)
        if (isinstance(part, Mapping) and kind == "text")
        else None
    )
    if isinstance(text, str):
        return text, None
    raise RowError(
        f"`{name}` holds a part that is neither text nor image, got {shown(part)}. Fix the row."
    )


TWO_TALKS = ("conversations", "rejected_conversations")
"""Fields of a pair that is two whole conversations."""


def differing_turns(row: RowFields) -> list[int]:
    """Places of the answers that differ between two conversations with the same questions."""
    sides = [row.peek().get(name) for name in TWO_TALKS]
    if not all(isinstance(side, list) for side in sides):
        return []
    chosen, rejected = (read_messages(row.peek()[name], name) for name in TWO_TALKS)
    places = [
        n for n, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other
    ]
    answers = all(chosen[n].role in ASSISTANT for n in places)
    return places if answers and len(chosen) == len(rejected) else []


def read_talk(messages: Sequence[Message], row: RowFields) -> Talk:
    """A conversation from its messages and the row's pictures and system message.

    Raises:
        RowError: Speakers that do not alternate, or markers that do not fit the pictures.
    """
    system = [message.text for message in messages if message.role == "system"]
    if isinstance(row.peek().get("system"), str):
        system.insert(0, row["system"])
    talk = [message for message in messages if message.role != "system"]
    for number, message in enumerate(talk):
        _check_role(number, message, [item.role for item in talk])
    images = row_images(row)
    inner = [image for message in talk for image in message.images]
    if images and inner:
        raise RowError(
            f"the row names {len(images)} images in its own field and {len(inner)} in its messages."
            " Name them once."
        )
    texts = [message.text for message in talk]
    if texts and (split := split_template(texts[0])).system:
        system.append(split.system)
        texts[0] = split.question
    said = "\n\n".join(text.strip() for text in system if text.strip())
    pictures = tuple(images or inner)
    return Talk(clean_text(said), place_markers(texts, len(pictures)), pictures)


def _check_role(number: int, message: Message, roles: list[str]) -> None:
    if message.role not in (*USER, *ASSISTANT):
        raise RowError(
            f"the role {message.role!r} is neither user nor assistant. Leave such turns out."
        )
    if message.role not in (USER, ASSISTANT)[number % 2]:
        raise RowError(
            f"user and assistant must take turns, the user first, got {roles}. Fix the row."
        )


def last_answer(messages: Sequence[Message], name: str) -> str:
    """The answer that a conversation ends with.

    Raises:
        RowError: It does not end with one.
    """
    if not messages or messages[-1].role not in ASSISTANT:
        raise RowError(f"`{name}` must end with the assistant's answer. Fix the row.")
    return messages[-1].text


def one_answer(value: object, name: str, head: Sequence[Message]) -> Any:
    """The answer of one side.

    Args:
        value: A text, a message, or messages.
        name: The field's name.
        head: The prompt, which may stand before the answer.

    Returns:
        The text; what is neither text nor messages as it is.

    Raises:
        RowError: Not one answer of the assistant after the prompt.
    """
    if value is MISSING or isinstance(value, str):
        return value
    messages = read_messages(value, name)
    if len(messages) > 1 and messages[:-1] == list(head):
        messages = messages[-1:]
    if len(messages) != 1 or messages[0].role not in ASSISTANT:
        raise RowError(
            f"`{name}` must be one answer of the assistant after the prompt, got the turns "
            f"{[message.role for message in messages]}. Fix the row."
        )
    return messages[0].text


def implicit_prompt(chosen: str, rejected: str) -> tuple[str, str, str]:
    """Prompt and answers of two texts that begin alike, as TRL takes them apart."""
    same = 0
    while same < min(len(chosen), len(rejected)) and chosen[same] == rejected[same]:
        same += 1
    place = max(chosen.rfind(blank, 0, same) for blank in " \n\t")
    if place < 1:
        raise RowError(
            f"there is no `prompt`, and `chosen` and `rejected` begin with nothing alike, got"
            f" {shown(chosen)} and {shown(rejected)}. Add a `prompt`."
        )
    return chosen[:place], chosen[place:], rejected[place:]


LABELS = ("label", "kto_tag")
"""Fields with a judgement of a single answer."""


def check_label(row: RowFields) -> None:
    """Refuse a label of an answer that is neither true nor false.

    Raises:
        RowError: It is something else.
    """
    name = next((name for name in LABELS if name in row), None)
    if name is not None:
        raise RowError(
            f"`{name}` must be true or false, got {shown(row.peek()[name])}: it says whether the"
            " answer is good. Give that, or take the field out."
        )
