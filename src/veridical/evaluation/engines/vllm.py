"""vLLM in this process: continuous batching, shared prefixes, adapters from call to call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from veridical.evaluation.engines.protocol import (
    Decoding,
    Finish,
    identify,
    make_response,
    require_adapter,
)
from veridical.evaluation.engines.settings import EngineSettings
from veridical.evaluation.engines.vllm_model import (
    Adapter,
    Sampling,
    VllmModel,
    ask,
    require_vllm,
)
from veridical.models.adapter_files import require_decoder_adapter
from veridical.plugins import resolve_model
from veridical.records import Prompt, Response
from veridical.seeding import child_seed

if TYPE_CHECKING:
    from veridical.models.loading import VisionLanguageModel


class VllmEngine:
    """A model that vLLM loads in this process when the first prompt comes.

    Args:
        settings: The model.
        name: What answers are marked with. Empty: the model's own name.

    Raises:
        MissingPackageError: vLLM is not installed.
        ModelError: The model or the adapter is not where the recipe says, or the adapter reaches
            beyond the language model.
    """

    def __init__(self, settings: EngineSettings, *, name: str = "") -> None:
        self._settings = settings
        self._name = name or settings.served_name
        self._path = resolve_model(settings.model)
        self._adapter: Adapter | None = None
        self._rank = 0
        require_adapter(settings.adapter)
        if settings.adapter:
            folder = Path(settings.adapter)
            self._rank = require_decoder_adapter(folder, engine="vLLM").rank
            self._adapter = Adapter(folder.name or "adapter", 1, folder.absolute())
        require_vllm()
        self._loaded: tuple[VllmModel, VisionLanguageModel] | None = None

    @property
    def identity(self) -> str:
        """Hashes of the files of model and adapter, and who runs them."""
        return f"{identify(self._path, self._settings.adapter)} in vLLM"

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int) -> list[Response]:
        """Generate; the model is loaded the first time."""
        from veridical.models.prompts.responses import decode_responses

        model, vlm = self._load()
        questions = [ask(vlm, prompt) for prompt in prompts]
        samplings = [
            [
                Sampling(decoding, child_seed(seed, n, k), vlm.placeholder_token_ids)
                for k in range(decoding.num_samples)
            ]
            for n in range(len(prompts))
        ]
        said = model.say(questions, samplings, adapter=self._adapter)
        ends = set(vlm.end_token_ids)
        responses = []
        for prompt, answers in zip(prompts, said, strict=True):
            texts = decode_responses(vlm, [one.token_ids for one in answers])
            for sample, (one, text) in enumerate(zip(answers, texts, strict=True)):
                ended = bool(one.token_ids) and one.token_ids[-1] in ends
                finish: Finish = "stop" if ended else "length"
                responses.append(
                    make_response(
                        prompt,
                        text,
                        model=self._name,
                        decoding=decoding,
                        finish=finish,
                        sample=sample,
                    )
                )
        return responses

    def notes(self) -> Mapping[str, object]:
        """Nothing is counted."""
        return {}

    def close(self) -> None:
        """Release the model."""
        if self._loaded is not None:
            self._loaded[0].close()
        self._loaded = None

    def _load(self) -> "tuple[VllmModel, VisionLanguageModel]":
        from veridical.models.loading import load_without_weights

        if self._loaded is None:
            vlm = load_without_weights(
                self._path,
                adapter=self._settings.adapter or None,
                trust_remote_code=self._settings.trust_remote_code,
                settings=self._settings.processor,
            )
            model = VllmModel(self._settings, path=self._path, vlm=vlm, max_rank=self._rank)
            self._loaded = model, vlm
        return self._loaded
