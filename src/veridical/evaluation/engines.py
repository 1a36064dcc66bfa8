"""Engines answer prompts: a model in this process, loaded when first needed, or an endpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from veridical.errors import ModelError
from veridical.evaluation.messages import chat_messages
from veridical.evaluation.recipe import ModelSettings
from veridical.files import hash_bytes, hash_file, hash_folder
from veridical.judges.cache import AnswerCache
from veridical.judges.client import ChatClient
from veridical.judges.completions import JsonObject, read_completion
from veridical.judges.requests import ChatRequest, request_key
from veridical.judges.settings import JudgeSettings
from veridical.plugins import resolve_model
from veridical.records import Prompt, Response
from veridical.records.image_store import open_images
from veridical.scoring.protocol import Preset

if TYPE_CHECKING:
    from veridical.models.loading import VisionLanguageModel

Finish = Literal["stop", "length"]


class Engine(Protocol):
    """Answers prompts."""

    @property
    def identity(self) -> str:
        """What its answers rest on: hashes of weights, or name and address."""
        ...

    def answer(self, prompts: Sequence[Prompt], preset: Preset, *, seed: int) -> list[Response]:
        """Return one response per prompt, in order."""
        ...

    def close(self) -> None:
        """Release the memory."""
        ...


def make_engine(settings: ModelSettings, *, batch_size: int, cache: Path) -> Engine:
    """Make the engine of a model; nothing is loaded or asked yet.

    Args:
        settings: The model.
        batch_size: Prompts at a time.
        cache: Folder of an endpoint's answers.

    Raises:
        ModelError: The model or the adapter is not where the recipe says.
    """
    return (
        EndpointEngine(settings, cache=cache)
        if settings.url
        else LocalEngine(settings, batch_size=batch_size)
    )


class LocalEngine:
    """A model in this process."""

    def __init__(self, settings: ModelSettings, *, batch_size: int) -> None:
        self._settings, self._batch_size = settings, batch_size
        self._path = resolve_model(settings.model)
        self._vlm: VisionLanguageModel | None = None
        if settings.adapter and not Path(settings.adapter).is_dir():
            raise ModelError(
                f"There is no adapter folder `{settings.adapter}`. Give the folder of a run's"
                " adapter."
            )
        self.identity = (
            f"{_identify(self._path)} + {_identify(settings.adapter)}"
            if settings.adapter
            else _identify(self._path)
        )

    def answer(self, prompts: Sequence[Prompt], preset: Preset, *, seed: int) -> list[Response]:
        """Generate; the model is loaded the first time."""
        from veridical.models.generation import generate_responses
        from veridical.models.loading import load_model

        settings = self._settings
        if self._vlm is None:
            self._vlm = load_model(
                self._path,
                adapter=settings.adapter or None,
                dtype=settings.dtype,
                device=settings.device,
                trust_remote_code=settings.trust_remote_code,
                template=settings.template,
            )
        answers = generate_responses(
            self._vlm,
            [prompt.question for prompt in prompts],
            [open_images(prompt.images) for prompt in prompts],
            histories=[prompt.history for prompt in prompts],
            systems=[prompt.system for prompt in prompts],
            temperature=preset.temperature,
            top_p=preset.top_p,
            max_new_tokens=preset.max_new_tokens,
            seed=seed,
            batch_size=self._batch_size,
        )
        return [
            _response(prompt, answer.text, settings.label, preset, answer.finish)
            for prompt, (answer,) in zip(prompts, answers, strict=True)
        ]

    def close(self) -> None:
        """Release the model."""
        self._vlm = None


class EndpointEngine:
    """A model at an OpenAI-compatible endpoint; what it answered is kept and never asked again."""

    def __init__(self, settings: ModelSettings, *, cache: Path) -> None:
        self._settings = settings
        self._cache = AnswerCache(cache, url=settings.url)
        self.identity = f"{settings.model} at {settings.url}"

    def answer(self, prompts: Sequence[Prompt], preset: Preset, *, seed: int) -> list[Response]:
        """Ask what is not kept.

        Raises:
            ModelError: The endpoint gave no answer to some prompts; those that it gave are kept.
        """
        requests = [self._request(prompt, preset, seed) for prompt in prompts]
        unique = {request.key: request for request in requests}
        with self._cache.lock():
            kept = {
                key: answer
                for key, one in unique.items()
                if (answer := self._cache.read(one)) is not None
            }
            todo = [request for key, request in unique.items() if key not in kept]

            def keep(request: ChatRequest, completion: JsonObject) -> None:
                self._cache.write(request, completion)
                kept[request.key] = completion

            outcomes = (
                ChatClient(self._connection(preset), on_answer=keep).ask(todo) if todo else []
            )
        problems = [outcome.problem for outcome in outcomes if outcome.completion is None]
        if problems:
            raise ModelError(
                f"The endpoint {self._settings.url} left {len(problems)} of {len(todo)} prompts"
                f" unanswered, the first: {problems[0]}. Answers are kept; run the same command"
                " again."
            )
        return [
            self._read(prompt, kept[request.key], preset)
            for prompt, request in zip(prompts, requests, strict=True)
        ]

    def close(self) -> None:
        """Nothing is held."""

    def _connection(self, preset: Preset) -> JudgeSettings:
        settings = self._settings
        return JudgeSettings(
            model=settings.model,
            url=settings.url,
            cache=self._cache.folder,
            key_variable=settings.key_variable,
            max_tokens=preset.max_new_tokens,
            concurrency=settings.concurrency,
            timeout=settings.timeout,
            attempts=settings.attempts,
        )

    def _request(self, prompt: Prompt, preset: Preset, seed: int) -> ChatRequest:
        body: dict[str, object] = {
            "model": self._settings.model,
            "messages": chat_messages(prompt, self._settings.template),
            "max_tokens": preset.max_new_tokens,
            "temperature": preset.temperature,
        }
        if preset.temperature > 0:
            body |= {"top_p": preset.top_p, "seed": seed}
        return ChatRequest(request_key(self._settings.url, body), body)

    def _read(self, prompt: Prompt, completion: JsonObject, preset: Preset) -> Response:
        """Read an answer; one without text (a refusal) is an empty response, counted as such."""
        read = read_completion(completion)
        finish: Finish = "length" if read.cut else "stop"
        return _response(prompt, read.text or "", self._settings.label, preset, finish)


def _response(prompt: Prompt, text: str, model: str, preset: Preset, finish: Finish) -> Response:
    return Response(
        id=f"{prompt.id}#0",
        prompt_id=prompt.id,
        text=text,
        model=model,
        temperature=preset.temperature,
        finish=finish,
    )


def _identify(name: str) -> str:
    """Hash of a folder's weights and settings; for a hub id its cached commit, if any."""
    path = Path(name)
    if path.is_dir():
        weights = hash_folder(path, pattern="**/*.safetensors")
        return hash_bytes((weights + hash_folder(path, pattern="*.json")).encode())[:16]
    if path.is_file():
        return hash_file(path)[:16]
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return f"{name} {Path(found).parent.name}" if isinstance(found, str) else name
