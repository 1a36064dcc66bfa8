"""The text in a field that holds a model's answer: plain, or as APIs and engines wrap it.

A text; a list of one; a chat completion; vLLM's `outputs`; messages, where the last one of the
assistant counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

CHATS = ("messages", "conversations", "conversation")
"""Fields that hold a whole chat, the answer being its last turn."""
_INNER = ("body", "choices", "outputs", "message", "content", "text", "value", "generated_text")
_ASSISTANTS = frozenset({"assistant", "gpt", "model", "bot"})
_DEEPEST = 8


def said(value: object) -> str | None:
    """The text of an answer, None where it holds none, or several.

    >>> said(["Yes"]), said({"choices": [{"message": {"content": "No"}}]}), said(["Yes", "No"])
    ('Yes', 'No', None)
    """
    for _ in range(_DEEPEST):
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping):
            name = next((name for name in _INNER if value.get(name) is not None), None)
            value = None if name is None else value[name]
        elif isinstance(value, list) and _are_parts(value):
            return "".join(part["text"] for part in value)
        elif isinstance(value, list) and len(value) == 1:
            value = value[0]
        else:
            return None
    return None


def last_turn(turns: object) -> str | None:
    """What the assistant said last in a chat, None where the value is none."""
    if not isinstance(turns, list) or not turns or not isinstance(turns[-1], Mapping):
        return None
    last: Mapping[str, Any] = turns[-1]
    who = last.get("role", last.get("from"))
    return said(last.get("content", last.get("value"))) if who in _ASSISTANTS else None


def _are_parts(value: Sequence[object]) -> bool:
    """Whether a list is the content of a message: parts of text."""
    return bool(value) and all(
        isinstance(part, Mapping)
        and part.get("type", "text") == "text"
        and isinstance(part.get("text"), str)
        and part.keys() <= {"type", "text", "annotations"}
        for part in value
    )
