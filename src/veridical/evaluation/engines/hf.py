"""`transformers` in this process."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from veridical.evaluation.engines.protocol import (
    Decoding,
    identify,
    make_response,
    open_pictures,
    require_adapter,
)
from veridical.evaluation.engines.settings import EngineSettings
from veridical.plugins import resolve_model
from veridical.records import Prompt, Response

if TYPE_CHECKING:
    from veridical.models.loading import VisionLanguageModel


class HfEngine:
    """A model that is loaded when the first prompt comes.

    Args:
        settings: The model.
        batch_size: Prompts at a time.
        name: What answers are marked with. Empty: the name that the model was loaded by.

    Raises:
        ModelError: The model or the adapter is not where the recipe says.
    """

    def __init__(self, settings: EngineSettings, *, batch_size: int, name: str = "") -> None:
        self._settings, self._batch_size, self._name = settings, batch_size, name
        self._path = resolve_model(settings.model)
        self._vlm: VisionLanguageModel | None = None
        require_adapter(settings.adapter)

    @property
    def identity(self) -> str:
        """Hashes of the files of model and adapter."""
        return identify(self._path, self._settings.adapter)

    def weights_hash(self) -> str:
        """Hash of the weights as they are loaded."""
        from veridical.models.hashing import model_hash

        return model_hash(self._load().model)

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int) -> list[Response]:
        """Generate; the model is loaded the first time."""
        from veridical.models.generation import generate_responses

        vlm = self._load()
        answers = generate_responses(
            vlm,
            [prompt.question for prompt in prompts],
            [open_pictures(prompt) for prompt in prompts],
            histories=[prompt.history for prompt in prompts],
            systems=[prompt.system for prompt in prompts],
            num_samples=decoding.num_samples,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            max_new_tokens=decoding.max_new_tokens,
            seed=seed,
            batch_size=self._batch_size,
        )
        return [
            make_response(
                prompt,
                answer.text,
                model=self._name or vlm.name,
                decoding=decoding,
                finish=answer.finish,
                sample=sample,
            )
            for prompt, samples in zip(prompts, answers, strict=True)
            for sample, answer in enumerate(samples)
        ]

    def notes(self) -> Mapping[str, object]:
        """Nothing is counted."""
        return {}

    def close(self) -> None:
        """Release the model."""
        self._vlm = None

    def _load(self) -> "VisionLanguageModel":
        from veridical.models.loading import load_model

        settings = self._settings
        if self._vlm is None:
            self._vlm = load_model(
                self._path,
                adapter=settings.adapter or None,
                dtype=settings.dtype,
                device=settings.device,
                trust_remote_code=settings.trust_remote_code,
                settings=settings.processor,
            )
        return self._vlm
