"""Chat messages in any of the spellings that trainers use → what was asked and what was said.

A message is {role, content} or {from, value}; its content is a text or a list of parts {type, …}.
Pictures stand in fields of the row, or in the parts themselves; a marker in a text says where one
goes. A record has no markers where all pictures stand before the first question, and otherwise one
`<image>` for each (see `records.prompts`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from veridical.errors import RowError
from veridical.formats.format import RowFields
from veridical.formats.text import first_of, split_template
from veridical.records.texts import (
    IMAGE_MARKER,
    MISSING,
    PLACEHOLDERS,
    clean_text,
    count_images,
    shown,
    without_placeholders,
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
    return [_message(item, name) for item in value]


def _message(message: object, name: str) -> Message:
    if isinstance(message, Mapping):
        role = message.get("role") or message.get("from")
        content = message.get("content")
        content = content if content is not None else message.get("value")
        if isinstance(role, str) and isinstance(content, str):
            return Message(role, content)
        if isinstance(role, str) and isinstance(content, list):
            parts = [_part(part, name) for part in content]
            images = tuple(image for _, image in parts if image is not None)
            return Message(role, "".join(text for text, _ in parts), images)
    raise RowError(
        f"`{name}` must hold messages with role and content, got {shown(message)}. Fix the row."
    )


def _part(part: object, name: str) -> tuple[str, object]:
    """Text of a part, and its picture if it holds one."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if isinstance(part, Mapping) and kind in ("image", "image_url"):
        image = next((part[key] for key in ("image", "image_url", "path") if part.get(key)), None)
        if isinstance(image, Mapping) and "url" in image:
            image = image["url"]
        return IMAGE_MARKER, image
    if isinstance(part, Mapping) and kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"]), None
    raise RowError(
        f"`{name}` holds a part that is neither text nor image, got {shown(part)}. Fix the row."
    )


def row_images(row: RowFields) -> list[object]:
    """The pictures of a row's own fields."""
    found = first_of(row, "images", "image")
    if found is MISSING or found in (None, "", []):
        return []
    return list(found) if isinstance(found, list) else [found]


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


def place_markers(turns: Sequence[str], images: int) -> tuple[str, ...]:
    """Turns with the markers that a record has for its pictures.

    Args:
        turns: What user and assistant say in turn, with the row's markers.
        images: How many pictures there are.

    Raises:
        RowError: Markers without a picture, or as many as do not fit.
    """
    counts = [0 if number % 2 else count_images(text) for number, text in enumerate(turns)]
    if sum(counts) > images:
        raise RowError(
            f"the question asks about {sum(counts)} images and the row has {images}: a question"
            " about an image that is not there teaches answering blind. Name the images, or take"
            " the markers out."
        )
    if 0 < sum(counts) < images:
        raise RowError(
            f"the row has {images} images and {sum(counts)} image markers, so that nothing says"
            " where the others go. Give one marker for each image, or none."
        )
    before_all = sum(counts) == (counts[0] if counts else 0) and (
        images == 1 or _stands_before(turns[0]) if turns else True
    )
    return tuple(
        clean_text(_bare(text) if number % 2 or before_all else _marked(text))
        if number % 2 == 0
        else text
        for number, text in enumerate(turns)
    )


def _stands_before(text: str) -> bool:
    """Whether nothing but pictures stands before the last marker of a text."""
    places = [(text.rfind(sign), sign) for sign in PLACEHOLDERS if sign in text]
    if not places:
        return True
    place, sign = max(places)
    return not without_placeholders(text[: place + len(sign)]).strip()


def _bare(text: str) -> str:
    bare = without_placeholders(split_template(text).question).strip()
    if not bare and text.strip():
        raise RowError(
            f"`question` is empty but for the image placeholder, got {text[:60]!r}. Give a"
            " question."
        )
    return bare


def _marked(text: str) -> str:
    """A text whose placeholders of any model are the one marker of records."""
    marked = split_template(text).question
    for sign in PLACEHOLDERS:
        if sign != IMAGE_MARKER:
            marked = marked.replace(sign, "" if count_images(sign) == 0 else IMAGE_MARKER)
    return marked


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
