"""Chat-style pairs: messages and a list of images, as TRL, LLaMA-Factory and ms-swift write them.

- `trl-lib/rlaif-v`, `HuggingFaceH4/rlaif-v_formatted`: `prompt`, `chosen`, `rejected` are lists of
  messages {role, content}, where content is a text or a list of parts {type, text}; `images` a
  list. Without `prompt`, the messages before the last are the prompt, equal on both sides.
- `llamafactory/RLHF-V`: `conversations` [{from, value}], `chosen` and `rejected` one {from, value}
  each, `images`.
- ms-swift: `messages` whose last one is the preferred answer, `rejected_response` a text, `images`.

One image and one question a row are read; a system message is put before the question.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from veridical.formats.fields import Fields, join_origin
from veridical.formats.sources import SourceRow, table_rows
from veridical.records.images import RowFault

_USER = ("user", "human")
_ASSISTANT = ("assistant", "gpt", "model")


def rows(source: Path) -> Iterator[SourceRow]:
    """Rows of a JSON array, JSON lines or Parquet."""
    return table_rows(source, columns=("images",))


def fields(row: Mapping[str, Any]) -> Fields:
    """Read one row."""
    if "rejected_response" in row:
        prompt = _messages(row.get("messages"), "messages")
        if not prompt or prompt[-1][0] not in _ASSISTANT:
            raise RowFault("`messages` must end with the assistant's answer. Mend the row.")
        chosen, rejected = prompt.pop(), _answer(row["rejected_response"], "rejected_response", [])
    else:
        told = row.get("prompt") if row.get("prompt") is not None else row.get("conversations")
        if told is None:  # the prompt stands at the head of both answers
            prompt = _messages(row.get("chosen"), "chosen")[:-1]
        else:
            prompt = _messages(
                [{"role": "user", "content": told}] if isinstance(told, str) else told, "prompt"
            )
        head = prompt if told is None else []
        chosen, rejected = (_answer(row.get(name), name, head) for name in ("chosen", "rejected"))
    origin, own = join_origin(row.get("origin"), None)
    row_id = row.get("id", row.get("idx"))
    return Fields(row_id, _image(row), _question(prompt), chosen[1], rejected[1], origin, own)


def _image(row: Mapping[str, Any]) -> Any:
    images = row.get("images")
    if isinstance(images, list) and len(images) == 1:
        return images[0]
    got = f"{len(images)} images" if isinstance(images, list) else repr(images)[:60]
    raise RowFault(f"`images` must hold one image, got {got}. One image a row is read.")


def _question(prompt: list[tuple[str, str]]) -> str:
    asked = [text for role, text in prompt if role in _USER]
    others = [role for role, _ in prompt if role not in _USER and role != "system"]
    if len(asked) != 1 or others:
        raise RowFault(
            f"the prompt must be one question, got the turns {[role for role, _ in prompt]}. Leave"
            " several turns out."
        )
    return "\n\n".join([*(text for role, text in prompt if role == "system"), *asked])


def _answer(value: Any, name: str, head: list[tuple[str, str]]) -> tuple[str, str]:
    if isinstance(value, str):
        return "assistant", value
    messages = _messages([value] if isinstance(value, dict) else value, name)
    if messages[:-1] != head or not messages or messages[-1][0] not in _ASSISTANT:
        raise RowFault(
            f"`{name}` must be one answer of the assistant after the prompt, got the turns "
            f"{[role for role, _ in messages]}. Mend the row."
        )
    return messages[-1]


def _messages(value: Any, name: str) -> list[tuple[str, str]]:
    if not isinstance(value, list):
        raise RowFault(
            f"`{name}` must be a list of messages, got {repr(value)[:60]}. Mend the row."
        )
    return [_message(item, name) for item in value]


def _message(message: Any, name: str) -> tuple[str, str]:
    if isinstance(message, dict):
        role = message.get("role") or message.get("from")
        content = (
            message.get("content") if message.get("content") is not None else message.get("value")
        )
        if isinstance(role, str) and isinstance(content, str):
            return role, content
        if isinstance(role, str) and isinstance(content, list):
            return role, "".join(_part(part, name) for part in content)
    raise RowFault(
        f"`{name}` must hold messages with role and content, got {repr(message)[:60]}. Mend the"
        " row."
    )


def _part(part: Any, name: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "image":
        return ""
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise RowFault(
        f"`{name}` holds a part that is neither text nor image, got {repr(part)[:60]}. Mend the"
        " row."
    )
