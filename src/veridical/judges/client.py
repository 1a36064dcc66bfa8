"""Ask an endpoint many things at once, patiently: bounded concurrency, time-outs, retries, and one gate for all.

An answer is handed over the moment it is there, so that a kill loses no more than what is under
way. Each try of a request carries the request's key as `Idempotency-Key`: an endpoint that knows
the header bills such a request once.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from veridical.errors import ConfigError, MissingPackageError
from veridical.judges.completions import read_completion
from veridical.judges.requests import ChatRequest
from veridical.judges.settings import JudgeSettings
from veridical.judges.waiting import back_off, retry_after
from veridical.progress import log

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

_TRY_AGAIN = frozenset({408, 409, 425, 429})
_REFUSES_ALL = frozenset({401, 402, 403, 404, 405})
_SECONDS_BETWEEN_LINES = 10.0


class Outcome(NamedTuple):
    """What became of one request."""

    completion: Mapping[str, Any] | None
    """The endpoint's answer; None where there is none."""
    problem: str
    """Why there is none."""
    retries: int
    """Further tries."""
    lost: int
    """Tries that the endpoint may have billed without our having the answer."""


class _Failure(NamedTuple):
    """One try that gave nothing."""

    problem: str
    again: bool = True
    wait: float | None = None
    lost: bool = False


class ChatClient:
    """Asks requests of one endpoint.

    Args:
        settings: Whom, and how patiently.
        on_answer: Told each answer as it comes, before anything else happens.
        stop_before: Says why a request must not be asked any more, or "" to go on; asked before
            each first try.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        *,
        on_answer: Callable[[ChatRequest, Mapping[str, Any]], None],
        stop_before: Callable[[ChatRequest], str] = lambda _: "",
    ) -> None:
        self.settings = settings
        self._on_answer = on_answer
        self._stop_before = stop_before
        self._rng = random.Random()
        self._gate = 0.0
        self._in_a_row = 0
        self._stopped = ""

    def ask(self, requests: Sequence[ChatRequest]) -> list[Outcome]:
        """Ask all; the outcomes come in the requests' order.

        Raises:
            ConfigError: The endpoint refuses whatever is asked (key, address, model).
            MissingPackageError: The package `openai` is not installed.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._ask_all(requests))
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:  # inside a notebook, whose own loop is running
            return pool.submit(lambda: asyncio.run(self._ask_all(requests))).result()

    async def _ask_all(self, requests: Sequence[ChatRequest]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        waiting = iter(enumerate(requests))
        told = time.monotonic()

        async def work(client: "AsyncOpenAI") -> None:
            nonlocal told
            for number, request in waiting:
                outcomes[number] = await self._ask_one(client, request)
                if time.monotonic() - told > _SECONDS_BETWEEN_LINES:
                    told = time.monotonic()
                    log(f"judge: {len(outcomes)} of {len(requests)}")

        async with _client(self.settings) as client:
            count = min(self.settings.concurrency, len(requests))
            workers = [asyncio.create_task(work(client)) for _ in range(count)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return [outcomes[number] for number in range(len(requests))]

    async def _ask_one(self, client: "AsyncOpenAI", request: ChatRequest) -> Outcome:
        settings = self.settings
        lost = 0
        problem = ""
        for attempt in range(1, settings.attempts + 1):
            if attempt == 1:
                self._stopped = self._stopped or self._stop_before(request)
            await asyncio.sleep(max(0.0, self._gate - time.monotonic()))
            if self._stopped:
                return Outcome(
                    None,
                    f"not asked: {self._stopped}" if attempt == 1 else problem,
                    attempt - 1,
                    lost,
                )
            got = await self._try(client, request)
            if not isinstance(got, _Failure):
                self._in_a_row = 0
                return Outcome(got, "", attempt - 1, lost)
            lost += got.lost
            problem = got.problem
            if not got.again:
                return self._failed(problem, attempt, lost)
            if got.wait is not None and got.wait > settings.longest_wait:
                self._stopped = (
                    f"the endpoint asks to wait {got.wait:.0f} s. Run the same command again then."
                )
                return Outcome(None, f"{problem}; {self._stopped}", attempt - 1, lost)
            wait = back_off(
                attempt, first=settings.first_wait, longest=settings.longest_wait, rng=self._rng
            )
            if got.wait is not None:
                self._gate = max(self._gate, time.monotonic() + got.wait)  # it speaks to all of us
                wait = max(wait, got.wait * self._rng.uniform(1.0, 1.1))
            if attempt < settings.attempts:
                await asyncio.sleep(wait)
        return self._failed(f"{problem} (tried {settings.attempts} times)", settings.attempts, lost)

    def _failed(self, problem: str, attempts: int, lost: int) -> Outcome:
        self._in_a_row += 1
        if self._in_a_row >= self.settings.give_up_after:
            self._stopped = f"{self._in_a_row} requests in a row failed, the last with: {problem}"
        return Outcome(None, problem, attempts - 1, lost)

    async def _try(
        self, client: "AsyncOpenAI", request: ChatRequest
    ) -> Mapping[str, Any] | _Failure:
        """Ask once: the answer, or what went wrong."""
        import openai

        body = dict(request.body)
        model, messages = body.pop("model"), body.pop("messages")
        try:
            async with asyncio.timeout(self.settings.timeout):
                raw = await client.chat.completions.with_raw_response.create(
                    model=model,
                    messages=messages,
                    extra_body=body,
                    extra_headers={"Idempotency-Key": request.key},
                )
            completion = json.loads(raw.http_response.content)
        except openai.APIStatusError as error:
            return self._refused(error)
        except (TimeoutError, openai.APITimeoutError):
            return _Failure(f"no answer within {self.settings.timeout:g} s", lost=True)
        except openai.APIConnectionError as error:
            reason = error.__cause__ or error
            return _Failure(
                f"connection failed: {type(reason).__name__}: {reason}"[:200], lost=True
            )
        except ValueError:  # no JSON, or no UTF-8
            return _Failure("the answer is broken off: no valid JSON", lost=True)
        read = read_completion(completion)
        if read.malformed or not completion["choices"]:
            return _Failure(read.problem, lost=True)
        self._on_answer(request, completion)
        answered: Mapping[str, Any] = completion
        return answered

    def _refused(self, error: "APIStatusError") -> _Failure:
        status, said = error.status_code, str(error.message)[:200]
        if status in _REFUSES_ALL or error.code == "insufficient_quota":
            raise ConfigError(
                f"The endpoint {self.settings.url} refuses with HTTP {status}: {said}. Check the"
                f" address, the model {self.settings.model!r} and the key in"
                f" {self.settings.key_variable}; what was answered is kept."
            ) from error
        again = status in _TRY_AGAIN or status >= 500
        return _Failure(
            f"HTTP {status}: {said}",
            again=again,
            wait=retry_after(error.response.headers) if again else None,
        )


def _client(settings: JudgeSettings) -> "AsyncOpenAI":
    try:
        from openai import AsyncOpenAI
    except ImportError as error:
        raise MissingPackageError("openai", extra="judge", purpose="Asking a judge") from error
    key = os.environ.get(settings.key_variable, "")
    if not key and "api.openai.com" in settings.url:
        raise ConfigError(
            f"The endpoint {settings.url} needs a key. Put it into the environment:"
            f" {settings.key_variable}."
        )
    # A local endpoint takes any key; the client refuses to have none.
    return AsyncOpenAI(
        api_key=key or "none", base_url=settings.url, timeout=settings.timeout, max_retries=0
    )
