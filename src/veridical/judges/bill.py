"""What judging costs: an estimate before anything is asked, and the bill after it."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from veridical.judges.completions import JsonObject, read_completion
from veridical.judges.requests import ChatRequest
from veridical.judges.settings import JudgeSettings

_BYTES_PER_TOKEN = 3
"""English has about 4 to 5 bytes per token, Chinese 3 or less: for most texts an upper bound."""


class Tokens(NamedTuple):
    """Tokens read and written."""

    read: int = 0
    """By the judge."""
    written: int = 0
    """By the judge."""

    def plus(self, other: "Tokens") -> "Tokens":
        """Add."""
        return Tokens(self.read + other.read, self.written + other.written)

    def cost(self, settings: JudgeSettings) -> float | None:
        """In USD; None where the prices are not known."""
        if settings.price_in is None or settings.price_out is None:
            return None
        return (self.read * settings.price_in + self.written * settings.price_out) / 1e6


class Bill(NamedTuple):
    """What a run asked and got."""

    kept: int
    """Requests whose answer was in the cache."""
    answered: int
    """Requests answered in this run."""
    failed: int
    """Requests without an answer."""
    retries: int
    """Further tries."""
    lost: int
    """Tries that broke off or gave no completion; the endpoint may have billed them."""
    tokens: Tokens
    """Tokens of this run's answers, as the endpoint counts; estimated where it does not say."""

    def text(self, settings: JudgeSettings) -> str:
        """One line."""
        cost = self.tokens.cost(settings)
        parts = [
            f"{self.answered} answered",
            f"{self.kept} from the cache",
            f"{self.failed} failed",
            f"{self.retries} further tries",
            f"{self.tokens.read:,} tokens read, {self.tokens.written:,} written",
        ]
        parts += [f"{cost:.2f} USD"] if cost is not None else []
        parts += (
            [
                f"{self.lost} {'try' if self.lost == 1 else 'tries'} broke off, which the"
                " endpoint may bill too"
            ]
            if self.lost
            else []
        )
        return f"judge {settings.model}: " + ", ".join(parts)


def estimate_tokens(request: ChatRequest, settings: JudgeSettings) -> Tokens:
    """Most tokens of one request: one per three bytes read, and as many written as are allowed."""
    return Tokens(math.ceil(request.text_bytes / _BYTES_PER_TOKEN) + 8, settings.max_tokens)


def used_tokens(request: ChatRequest, completion: JsonObject, settings: JudgeSettings) -> Tokens:
    """Tokens that an answer took, as the endpoint says; the estimate where it does not."""
    read = read_completion(completion)
    used = Tokens(read.prompt_tokens, read.completion_tokens)
    return used if any(used) else estimate_tokens(request, settings)


def total(tokens: Iterable[Tokens]) -> Tokens:
    """Add up."""
    summed = Tokens()
    for one in tokens:
        summed = summed.plus(one)
    return summed
