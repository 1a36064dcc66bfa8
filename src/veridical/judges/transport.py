"""One try of one request over HTTP: the completion, or what went wrong and when to try again.

The key goes to the endpoint's own host and nowhere else: a redirect to another host is refused, and
where the endpoint echoes the key it is taken out of what is shown and kept.
"""

import asyncio
import json
import os
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from veridical.errors import ConfigError, MissingPackageError
from veridical.judges.completions import JsonObject, parse_reply, redact
from veridical.judges.requests import ChatRequest
from veridical.judges.settings import JudgeSettings

if TYPE_CHECKING:
    import httpx2
    from openai import APIStatusError, AsyncOpenAI

_TRY_AGAIN = frozenset({408, 409, 425, 429})
_REFUSES_ALL = frozenset({401, 402, 403, 404, 405})


class Failure(NamedTuple):
    """One try that gave no completion."""

    problem: str
    """What went wrong."""
    again: bool = True
    """Whether another try may succeed."""
    wait: float | None = None
    """Seconds that the endpoint asks to wait, if it does."""
    lost: bool = False
    """Whether the endpoint may have billed it."""


class Transport:
    """A connection to an endpoint; use it as an asynchronous context.

    Args:
        settings: Address, key and time-out.

    Raises:
        ConfigError: The endpoint needs a key, or no header can hold the one given.
        MissingPackageError: The package `openai` is not installed.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._key = _read_key(settings)
        self._client = _connect(settings, self._key)

    async def __aenter__(self) -> "Transport":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def post(self, request: ChatRequest) -> JsonObject | Failure:
        """Send a request once.

        Raises:
            ConfigError: The endpoint refuses whatever is asked (key, address, model), or redirects
                to another host.
        """
        import httpx2
        import openai

        unsendable = _unsendable(request.body)
        if unsendable:
            return Failure(unsendable, again=False)
        try:
            async with asyncio.timeout(self._settings.timeout):
                response = await self._client.post(
                    "/chat/completions",
                    cast_to=httpx2.Response,
                    body=request.body,
                    options={"headers": {"Idempotency-Key": request.key}},
                )
        except openai.APIStatusError as error:
            return self._refused(error)
        except (TimeoutError, openai.APITimeoutError):
            return Failure(f"no answer within {self._settings.timeout:g} s", lost=True)
        except openai.APIConnectionError as error:
            reason = error.__cause__ or error
            if isinstance(reason, ConfigError):
                raise reason from error
            problem = redact(f"connection failed: {type(reason).__name__}: {reason}", self._key)
            return Failure(problem[:200], lost=True)
        reply = parse_reply(response.content, secret=self._key)
        return reply.body if reply.body is not None else Failure(reply.problem, lost=True)

    def _refused(self, error: "APIStatusError") -> Failure:
        status, settings = error.status_code, self._settings
        message = redact(str(error.message), self._key)[:200]
        if status in _REFUSES_ALL or error.code == "insufficient_quota":
            raise ConfigError(
                f"The endpoint {settings.url} refuses with HTTP {status}: {message}. Check the"
                f" address, the model {settings.model!r} and the key in"
                f" {settings.key_variable}; what was answered is kept."
            ) from None  # the original names the key where the endpoint echoes it
        again = status in _TRY_AGAIN or status >= 500
        wait = retry_after(error.response.headers) if again else None
        return Failure(f"HTTP {status}: {message}", again=again, wait=wait)


def _read_key(settings: JudgeSettings) -> str:
    key = os.environ.get(settings.key_variable, "").strip()
    if not key and "api.openai.com" in settings.url:
        raise ConfigError(
            f"The endpoint {settings.url} needs a key. Put it into the environment:"
            f" {settings.key_variable}."
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"The key in {settings.key_variable} holds characters that no HTTP header can hold."
            " Copy it again."
        )
    return key


def _connect(settings: JudgeSettings, key: str) -> "AsyncOpenAI":
    try:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient
    except ImportError as error:
        raise MissingPackageError("openai", extra="judge", purpose="Asking a judge") from error
    return AsyncOpenAI(
        api_key=key or "none",  # a local endpoint takes any; the client refuses to have none
        base_url=settings.url,
        timeout=settings.timeout,
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(event_hooks={"response": [_refuse_other_hosts]}),
    )


async def _refuse_other_hosts(response: "httpx2.Response") -> None:
    """Refuse a redirect that would carry what is asked to another host, or out of encryption."""
    if not response.has_redirect_location:
        return
    from httpx2 import InvalidURL

    asked = response.request.url
    try:
        target = asked.join(response.headers["location"])
    except (InvalidURL, ValueError) as error:
        raise ConfigError(
            f"The endpoint {_origin(asked)} redirects to no valid address."
        ) from error
    encrypts = (asked.scheme, target.scheme) == ("http", "https") and asked.host == target.host
    if not encrypts and _origin(asked) != _origin(target):
        raise ConfigError(
            f"The endpoint {_origin(asked)} redirects to another host, {_origin(target)}. Nothing"
            " was sent there. Give that address as `url` if you trust it."
        )


def _origin(url: "httpx2.URL") -> str:
    return f"{url.scheme}://{url.host}{'' if url.port is None else f':{url.port}'}"


def _unsendable(body: JsonObject) -> str:
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "the request holds half a surrogate pair, which is not text"
    except ValueError:
        return "the request holds a number that JSON has none for"
    return ""


def back_off(attempt: int, *, first: float, longest: float, rng: random.Random) -> float:
    """Seconds to wait after a failed attempt: doubled each time, times a random half to one.

    Args:
        attempt: How many attempts have failed, from 1.
        first: Wait after the first, before the jitter.
        longest: Upper limit.
        rng: Source of the jitter, so that many clients do not come back at once.
    """
    whole = min(longest, first * 2.0 ** min(attempt - 1, 60))
    return whole * rng.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds that the endpoint asks to wait (`Retry-After`, in seconds or as a date), if it does.

    >>> retry_after({"retry-after": "2.5"}), retry_after({"retry-after-ms": "300"}), retry_after({})
    (2.5, 0.3, None)
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, OverflowError):
        return None
