"""What is sent to a judge: the body of a chat request, and the key by which its answer is kept."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from veridical.files import hash_bytes
from veridical.judges.completions import JsonObject
from veridical.judges.protocol import Case, Message, Template
from veridical.judges.settings import JudgeSettings


class ChatRequest(NamedTuple):
    """One request; cases that read the same share one."""

    key: str
    """Hash of address and body: whatever could change the answer."""
    body: JsonObject
    """The body of the request."""

    text_bytes: int = 0
    """UTF-8 bytes of the messages, from which tokens are estimated."""


def build_requests(
    cases: Sequence[Case], template: Template, settings: JudgeSettings
) -> list[ChatRequest]:
    """Build the request of each case, in their order."""
    return [_build(template.messages(case), template, settings) for case in cases]


def request_key(url: str, body: JsonObject) -> str:
    """Hash what could change the answer.

    >>> request_key("http://a/v1/", {"model": "m"}) == request_key("http://a/v1", {"model": "m"})
    True
    """
    text = json.dumps(
        {"url": url.rstrip("/"), "body": body}, sort_keys=True, ensure_ascii=False, allow_nan=False
    )
    return hash_bytes(text.encode("utf-8", "surrogatepass"))


def _build(messages: Sequence[Message], template: Template, settings: JudgeSettings) -> ChatRequest:
    if settings.system:
        messages = (
            Message("system", settings.system),
            *(one for one in messages if one.role != "system"),
        )
    body: dict[str, object] = {
        "model": settings.model,
        "messages": [message._asdict() for message in messages],
        settings.token_limit_field: settings.max_tokens,
    }
    if settings.send_temperature:
        body["temperature"] = (
            template.temperature if settings.temperature is None else settings.temperature
        )
    body |= settings.extra
    text_bytes = sum(len(message.content.encode("utf-8", "replace")) for message in messages)
    return ChatRequest(request_key(settings.url, body), body, text_bytes)
