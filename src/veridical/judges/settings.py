"""How a judge at an endpoint is asked: a recipe's section and the options of `veridical score`."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, model_validator

from veridical.config import Recipe


class JudgeSettings(Recipe):
    """A judge at an OpenAI-compatible endpoint: who, where, how patiently, for how much."""

    model: str = Field(min_length=1)
    """Name of the model at the endpoint. MMHal-Bench and LLaVA-RLHF: gpt-4-0314; RLAIF-V:
    gpt-4-1106-preview."""
    url: str = Field(default="https://api.openai.com/v1", min_length=1)
    """Base address of the endpoint; vLLM, llama.cpp, Ollama and most providers offer one that ends
    in /v1."""
    cache: Path
    """Folder of all answers that were paid for, by content of the request. What is in it is never
    asked again."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; a local endpoint needs none. The key is written
    nowhere."""
    template: Path | None = None
    """File with the prompt. None: our own, whose scores compare to no published ones."""
    system: str = ""
    """System message in place of the template's. Empty: the template's."""
    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature. None: the benchmark's (MMHal-Bench 0.0, LLaVA-Bench 0.2)."""
    send_temperature: bool = True
    """Send the temperature; some models refuse any but their own."""
    max_tokens: int = Field(default=1024, ge=1)
    """Longest answer in tokens; the cost is estimated with it. LLaVA-Bench: 1,024."""
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105 (a field's name)
    """What the endpoint calls the limit; newer OpenAI models take only the second."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of every request, for instance a seed."""
    accept_models: tuple[str, ...] = ()
    """Names that the endpoint may answer under in addition to the model's own and its dated
    snapshots; "*" for any."""
    ask_again: bool = False
    """Ask again where an answer was paid for but is another model's or holds no text. It costs
    again."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Requests at a time."""
    timeout: float = Field(default=120.0, gt=0)
    """Longest wait for one answer, in seconds."""
    attempts: int = Field(default=6, ge=1)
    """How often one request is tried."""
    first_wait: float = Field(default=1.0, ge=0)
    """Wait after the first failure, in seconds; doubled each time, times a random half to one."""
    longest_wait: float = Field(default=120.0, ge=0)
    """Longest wait between two tries, in seconds; an endpoint that asks for more ends the run,
    which can be resumed later."""
    give_up_after: int = Field(default=20, ge=1)
    """Requests in a row that fail for good until no more is asked."""
    price_in: float | None = Field(default=None, ge=0)
    """Price of a million tokens read, in USD."""
    price_out: float | None = Field(default=None, ge=0)
    """Price of a million tokens written, in USD."""
    budget: float | None = Field(default=None, ge=0)
    """Most that these judgements may cost in USD, those in the cache included; nothing is asked
    where the estimate is above it."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"`url` must start with http:// or https://, got {self.url!r}")
        check_address(self.url)
        if self.budget is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("a `budget` needs `price_in` and `price_out`, USD per million tokens")
        return self


def check_address(url: str) -> None:
    """Refuse an address that may hold a key: addresses are written into recipes and caches.

    Raises:
        ValueError: It holds a user, a password or a query, or is none.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query:
        raise ValueError(
            "`url` must not hold a user, password or query: it is written into files. Put the key"
            " into the environment variable that `key_variable` names"
        )
