"""Read a chat endpoint's reply: the words, or why there are none. Pure: nothing is asked here.

A reply is foreign data. What no program can keep or count (broken JSON, deep nesting, half a
surrogate pair, impossible token counts) is not a completion: it is not cached, and the judgement
has failed.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, NoReturn

JsonObject = Mapping[str, object]
"""A JSON object."""

_DATED = re.compile(r"-\d{4}(-\d{2}-\d{2})?")
_DEEPEST = 64
_MOST_TOKENS = 10**9
_MOST_BYTES = 2**26
_SHORTEST_SECRET = 6


class Completion(NamedTuple):
    """What a chat completion says."""

    text: str | None
    """The model's words; None if there are none."""
    problem: str = ""
    """Why there are none."""
    model: str = ""
    """The model that answered, as the endpoint names it."""
    prompt_tokens: int = 0
    """Tokens read, as the endpoint counts."""
    completion_tokens: int = 0
    """Tokens written, as the endpoint counts."""
    cut: bool = False
    """Whether the length limit cut the answer off."""
    malformed: bool = False
    """Whether it is not a chat completion at all."""


class Reply(NamedTuple):
    """A reply's body, parsed."""

    body: JsonObject | None
    """The completion, ready to be kept; None if it is not one."""
    problem: str = ""
    """Why not."""


def parse_reply(data: bytes, *, secret: str = "") -> Reply:
    """Parse the bytes of a reply, strictly.

    Args:
        data: The body as it came.
        secret: The key; where the endpoint echoes it, it is replaced.

    >>> parse_reply(b"[" * 200_000).problem
    'the reply is nested too deeply'
    """
    if len(data) > _MOST_BYTES:
        return Reply(None, f"the reply is too large: {len(data):,} bytes")
    try:
        value = json.loads(data, parse_constant=_refuse_number, parse_float=_finite)
    except RecursionError:
        return Reply(None, "the reply is nested too deeply")
    except ValueError:
        return Reply(None, "the reply is not valid JSON, or broke off")
    fault = next(_faults(value), "")
    if fault:
        return Reply(None, fault)
    body = _redacted(value, secret)
    read = read_completion(body)
    if not isinstance(body, dict) or read.malformed or not body["choices"]:
        return Reply(None, read.problem)
    return Reply(body)


def redact(text: str, secret: str) -> str:
    """Take a key out of a text; keys too short to be distinguished from words are left.

    >>> redact("no such key: sk-abcdef", "sk-abcdef")
    'no such key: [key]'
    """
    return text.replace(secret, "[key]") if _is_secret(secret) else text


def _is_secret(secret: str) -> bool:
    return len(secret) >= _SHORTEST_SECRET


def _redacted(value: object, secret: str) -> object:
    if isinstance(value, str):
        return redact(value, secret)
    if isinstance(value, dict):
        return {redact(key, secret): _redacted(inner, secret) for key, inner in value.items()}
    return [_redacted(inner, secret) for inner in value] if isinstance(value, list) else value


def _refuse_number(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse_number(text)
    return value


def _faults(value: object) -> Iterator[str]:
    """What cannot be kept in a file, anywhere inside."""
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > _DEEPEST:
            yield "the reply is nested too deeply"
        elif isinstance(one, dict):
            waiting += [(inner, depth + 1) for pair in one.items() for inner in pair]
        elif isinstance(one, list):
            waiting += [(inner, depth + 1) for inner in one]
        elif isinstance(one, str) and not _is_text(one):
            yield "the reply holds half a surrogate pair, which is not text"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_completion(body: object) -> Completion:
    """Read one chat completion of the OpenAI format.

    >>> read_completion({"choices": [], "model": "m"}).problem
    'the endpoint gave no choices'
    """
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
        return _malformed(f"not a chat completion, got {_start(body)}")
    model = body["model"] if isinstance(body.get("model"), str) else ""
    usage = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    read, written = (_count(counts.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    if read is None or written is None:
        return _malformed(f"the endpoint counts impossible tokens, got {_start(usage)}")
    found = Completion(None, "", model, read, written)
    if not body["choices"]:
        problem = _error_message(body.get("error")) or "the endpoint gave no choices"
        return found._replace(problem=problem)
    choice = body["choices"][0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return _malformed("the first choice holds no message")
    found = found._replace(cut=choice.get("finish_reason") == "length")
    refusal = message.get("refusal")
    if choice.get("finish_reason") == "content_filter" or refusal:
        reason = refusal if isinstance(refusal, str) and refusal else "content filter"
        return found._replace(problem=f"the model refused: {reason}")
    content = message.get("content")
    if isinstance(content, str):
        return found._replace(text=content)
    return found._replace(problem="the message holds no text", malformed=content is not None)


def is_model(answered: str, asked: str, *, accepted: tuple[str, ...] = ()) -> bool:
    """Whether the model that answered is the one asked for, a dated snapshot of it, or accepted.

    >>> is_model("gpt-4o-2024-08-06", "gpt-4o"), is_model("gpt-4o-mini", "gpt-4o")
    (True, False)
    >>> is_model("x", "y", accepted=("*",))
    True
    """
    if answered == asked or answered in accepted or "*" in accepted:
        return True
    return answered.startswith(asked) and _DATED.fullmatch(answered[len(asked) :]) is not None


def _malformed(problem: str) -> Completion:
    return Completion(None, problem, malformed=True)


def _start(value: object) -> str:
    """How a value starts, short and safe to show whatever it is."""
    try:
        return ascii(value)[:60]
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        return f"a {type(value).__name__}"


def _count(value: object) -> int | None:
    """A number of tokens; 0 if none is given, None if it is impossible."""
    if not isinstance(value, int | float):
        return 0
    if not 0 <= value <= _MOST_TOKENS:  # False for NaN too
        return None
    return int(value)


def _error_message(error: object) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""
