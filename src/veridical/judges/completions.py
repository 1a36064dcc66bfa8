"""Read the answer of a chat endpoint: the judge's words, or why there are none. Pure; nothing is asked here."""

import json
import re
from typing import Any, NamedTuple

_DATED = re.compile(r"-\d{4}(-\d{2}-\d{2})?")


class Completion(NamedTuple):
    """What stands in a chat completion."""

    text: str | None
    """The judge's words; None where there are none."""
    problem: str = ""
    """Why there are none."""
    model: str = ""
    """Who answered, as the endpoint says."""
    prompt_tokens: int = 0
    """Tokens read, as the endpoint counts."""
    completion_tokens: int = 0
    """Tokens written, as the endpoint counts."""
    malformed: bool = False
    """Whether it is no chat completion at all."""


def read_completion(body: Any) -> Completion:
    """Read one chat completion of the OpenAI format.

    >>> read_completion({"choices": [], "model": "m"}).problem
    'the endpoint gave no choices'
    """
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
        shown = json.dumps(body, ensure_ascii=False, default=str)[:60]
        return Completion(None, f"no chat completion, got {shown}", malformed=True)
    model = body["model"] if isinstance(body.get("model"), str) else ""
    read, written = _usage(body.get("usage"))
    told = _told(body.get("error"))
    if not body["choices"]:
        return Completion(None, told or "the endpoint gave no choices", model, read, written)
    choice = body["choices"][0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return Completion(
            None, "the first choice holds no message", model, read, written, malformed=True
        )
    if choice.get("finish_reason") == "content_filter" or message.get("refusal"):
        return Completion(
            None,
            f"the judge refused: {message.get('refusal') or 'content filter'}",
            model,
            read,
            written,
        )
    content = message.get("content")
    if not isinstance(content, str):
        return Completion(
            None, "the message holds no text", model, read, written, malformed=content is not None
        )
    return Completion(content, "", model, read, written)


def is_model(answered: str, asked: str, *, accepted: tuple[str, ...] = ()) -> bool:
    """Whether the model that answered is the one asked for: itself, a dated snapshot of it, or one accepted by name.

    >>> is_model("gpt-4o-2024-08-06", "gpt-4o"), is_model("gpt-4o-mini", "gpt-4o"), is_model("x", "y", accepted=("*",))
    (True, False, True)
    """
    if answered == asked or answered in accepted or "*" in accepted:
        return True
    return answered.startswith(asked) and _DATED.fullmatch(answered[len(asked) :]) is not None


def _usage(usage: Any) -> tuple[int, int]:
    counts = usage if isinstance(usage, dict) else {}
    read, written = (counts.get(name) for name in ("prompt_tokens", "completion_tokens"))
    return (read if isinstance(read, int) else 0), (written if isinstance(written, int) else 0)


def _told(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""
