"""An OpenAI-compatible server; what it answered is kept and never asked again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ModelError
from veridical.evaluation.engines.protocol import Decoding, Finish, make_response
from veridical.evaluation.engines.settings import EngineSettings
from veridical.evaluation.messages import chat_messages
from veridical.judges.bill import Tokens
from veridical.judges.cache import AnswerCache
from veridical.judges.client import ChatClient
from veridical.judges.completions import Completion, JsonObject, read_completion
from veridical.judges.requests import ChatRequest, request_key
from veridical.judges.settings import JudgeSettings
from veridical.progress import counted, log
from veridical.records import Prompt, Response
from veridical.seeding import child_seed

_SEEDS = 2**31
"""Seeds that every server takes lie below this."""


class _Asked(NamedTuple):
    """One response that is wanted."""

    prompt: Prompt
    sample: int
    request: ChatRequest


class EndpointEngine:
    """A model at a server.

    Args:
        settings: The model and the server.
        cache: Folder of the answers.
        name: What answers are marked with. Empty: the model's name at the server.
    """

    def __init__(self, settings: EngineSettings, *, cache: Path, name: str = "") -> None:
        self.settings = settings
        self._name = name or settings.served_name
        self._cache = AnswerCache(cache, url=settings.url)
        self._tokens, self._kept, self._retries = Tokens(), 0, 0

    @property
    def identity(self) -> str:
        """Name and address."""
        return f"{self.settings.model} at {self.settings.url}"

    @property
    def model(self) -> str:
        """What the server is asked for."""
        return self.settings.model

    def extra(self) -> Mapping[str, object]:
        """Further fields of every request."""
        return self.settings.extra

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int) -> list[Response]:
        """Ask what is not kept.

        A prompt that the server refuses, or does not answer at any try, is a failed response; the
        next run asks it again.

        Raises:
            ModelError: Prompts were not asked any more, after many failures in a row or because the
                server asks to wait; the answers that it gave are kept.
        """
        asked = [
            _Asked(prompt, sample, self._request(prompt, sample, decoding, seed))
            for prompt in prompts
            for sample in range(decoding.num_samples)
        ]
        answers = self._ask({one.request.key: one.request for one in asked}, decoding)
        return [self._read(one, answers.get(one.request.key), decoding) for one in asked]

    def notes(self) -> Mapping[str, object]:
        """Tokens of all answers, those that were kept from earlier included, and what they cost."""
        settings, tokens = self.settings, self._tokens
        if settings.price_in is None or settings.price_out is None:
            cost = None
        else:
            cost = (tokens.read * settings.price_in + tokens.written * settings.price_out) / 1e6
        return {
            "tokens_read": tokens.read,
            "tokens_written": tokens.written,
            "cost_usd": cost,
            "answers_from_the_cache": self._kept,
            "further_tries": self._retries,
        }

    def close(self) -> None:
        """Say what was used."""
        notes = self.notes()
        if any(self._tokens):
            cost = notes["cost_usd"]
            log(
                f"{self.model}: {self._tokens.read:,} tokens read, {self._tokens.written:,} written"
                + (f", {cost:.2f} USD" if isinstance(cost, float) else "")
            )

    def _ask(
        self, requests: Mapping[str, ChatRequest], decoding: Decoding
    ) -> dict[str, JsonObject]:
        with self._cache.lock():
            kept = {
                key: answer
                for key, one in requests.items()
                if (answer := self._cache.read(one)) is not None
            }
            self._kept += len(kept)
            todo = [request for key, request in requests.items() if key not in kept]

            def keep(request: ChatRequest, completion: JsonObject) -> None:
                self._cache.write(request, completion)
                kept[request.key] = completion

            outcomes = (
                ChatClient(self._connection(decoding), on_answer=keep).ask(todo) if todo else []
            )
        self._retries += sum(outcome.retries for outcome in outcomes)
        problems = [outcome.problem for outcome in outcomes if outcome.completion is None]
        if any(outcome.not_asked for outcome in outcomes):
            raise ModelError(
                f"The endpoint {self.settings.url} left {len(problems)} of"
                f" {counted(len(todo), 'prompt')} unanswered, the first: {problems[0]}. Answers are"
                " kept; run the same command again."
            )
        if problems:
            log(
                f"{self.settings.url} answered {len(problems)} of {counted(len(todo), 'prompt')}"
                f" with an error, the first: {problems[0]}. They count as failed."
            )
        for completion in kept.values():
            read = read_completion(completion)
            self._tokens = self._tokens.plus(Tokens(read.prompt_tokens, read.completion_tokens))
        return kept

    def _connection(self, decoding: Decoding) -> JudgeSettings:
        settings = self.settings
        return JudgeSettings(
            model=self.model,
            url=settings.url,
            cache=self._cache.folder,
            key_variable=settings.key_variable,
            max_tokens=decoding.max_new_tokens,
            concurrency=settings.concurrency,
            timeout=settings.timeout,
            attempts=settings.attempts,
        )

    def _request(self, prompt: Prompt, sample: int, decoding: Decoding, seed: int) -> ChatRequest:
        body: dict[str, object] = {
            "model": self.model,
            "messages": chat_messages(prompt, self.settings.processor),
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
        }
        if decoding.temperature > 0:
            own = seed if decoding.num_samples == 1 else child_seed(seed, prompt.id, sample)
            body |= {"top_p": decoding.top_p, "seed": own % _SEEDS}
        body |= self.extra()
        return ChatRequest(request_key(self.settings.url, body), body)

    def _read(self, asked: _Asked, completion: JsonObject | None, decoding: Decoding) -> Response:
        """Read an answer; one without text (a refusal) is an empty response, counted as such."""
        read = Completion("") if completion is None else read_completion(completion)
        finish: Finish = "failed" if completion is None else "length" if read.cut else "stop"
        return make_response(
            asked.prompt,
            read.text or "",
            model=self._name,
            decoding=decoding,
            finish=finish,
            sample=asked.sample,
        )
