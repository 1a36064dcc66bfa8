"""Ask an endpoint many things at once, patiently: bounded concurrency, time-outs and retries.

An answer is handed over the moment it arrives, so that a kill loses no more than what is under way.
Each try of a request carries the request's key as `Idempotency-Key`: an endpoint that knows the
header bills such a request once.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from veridical.judges.completions import JsonObject
from veridical.judges.requests import ChatRequest
from veridical.judges.settings import JudgeSettings
from veridical.judges.transport import Failure, Transport, back_off
from veridical.progress import counted, log

_SECONDS_BETWEEN_LINES = 10.0


class Outcome(NamedTuple):
    """What became of one request."""

    completion: JsonObject | None
    """The endpoint's answer; None if there is none."""
    problem: str
    """Why there is none."""
    retries: int
    """Further tries."""
    lost: int
    """Tries that the endpoint may have billed without our having the answer."""
    not_asked: bool = False
    """Whether asking was given up before this request was answered or refused."""


class ChatClient:
    """Sends requests to one endpoint.

    Args:
        settings: Which endpoint, and how patiently.
        on_answer: Called with each answer as it comes, before anything else happens.
        stop_before: Says why a request must not be sent any more, or "" to continue; called before
            each first try.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        *,
        on_answer: Callable[[ChatRequest, JsonObject], None],
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
            ConfigError: The endpoint refuses whatever is asked (key, address, model), or redirects
                to another host.
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
        logged = time.monotonic()

        async def work(transport: Transport) -> None:
            nonlocal logged
            for number, request in waiting:
                outcomes[number] = await self._ask_one(transport, request)
                if time.monotonic() - logged > _SECONDS_BETWEEN_LINES:
                    logged = time.monotonic()
                    log(
                        f"{self.settings.model}: {len(outcomes)} of"
                        f" {counted(len(requests), 'request')}"
                    )

        async with Transport(self.settings) as transport:
            count = min(self.settings.concurrency, len(requests))
            workers = [asyncio.create_task(work(transport)) for _ in range(count)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return [outcomes[number] for number in range(len(requests))]

    async def _ask_one(self, transport: Transport, request: ChatRequest) -> Outcome:
        settings, lost, problem = self.settings, 0, ""
        for attempt in range(1, settings.attempts + 1):
            if attempt == 1:
                self._stopped = self._stopped or self._stop_before(request)
            await asyncio.sleep(max(0.0, self._gate - time.monotonic()))
            if self._stopped:
                problem = problem or f"not asked: {self._stopped}"
                return Outcome(None, problem, attempt - 1, lost, not_asked=True)
            got = await transport.post(request)
            if not isinstance(got, Failure):
                self._in_a_row = 0
                self._on_answer(request, got)
                return Outcome(got, "", attempt - 1, lost)
            lost, problem = lost + got.lost, got.problem
            if not got.again:
                return self._failed(problem, attempt, lost)
            if got.wait is not None and got.wait > settings.longest_wait:
                self._stopped = (
                    f"the endpoint asks to wait {got.wait:.0f} s. Run the same command again then."
                )
                problem = f"{problem}; {self._stopped}"
                return Outcome(None, problem, attempt - 1, lost, not_asked=True)
            wait = self._wait_after(attempt, got)
            if attempt < settings.attempts:
                await asyncio.sleep(wait)
        return self._failed(f"{problem} (tried {settings.attempts} times)", settings.attempts, lost)

    def _wait_after(self, attempt: int, failure: Failure) -> float:
        """Seconds to wait; when the endpoint asks one request to wait, all wait."""
        first, longest = self.settings.first_wait, self.settings.longest_wait
        wait = back_off(attempt, first=first, longest=longest, rng=self._rng)
        if failure.wait is None:
            return wait
        self._gate = max(self._gate, time.monotonic() + failure.wait)
        return max(wait, failure.wait * self._rng.uniform(1.0, 1.1))

    def _failed(self, problem: str, attempts: int, lost: int) -> Outcome:
        self._in_a_row += 1
        if self._in_a_row >= self.settings.give_up_after:
            self._stopped = f"{self._in_a_row} requests in a row failed, the last with: {problem}"
        return Outcome(None, problem, attempts - 1, lost)
