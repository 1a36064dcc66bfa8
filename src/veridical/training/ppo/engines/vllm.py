"""Rollouts by vLLM in this process: the policy's adapter is handed over before each.

vLLM holds a second copy of the base. It samples from what its own kernels compute; the policy's
log-probabilities are computed anew, and tokens weighed (see `importance`).
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from veridical.evaluation.engines.protocol import Decoding
from veridical.evaluation.engines.settings import EngineSettings
from veridical.evaluation.engines.vllm_model import Adapter, Said, Sampling, VllmModel, ask
from veridical.models.adapter_files import require_decoder_adapter
from veridical.models.lora import save_lora
from veridical.plugins import resolve_model
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.engines.hf import cut_after, cut_tokens
from veridical.training.ppo.engines.protocol import Sampled
from veridical.training.ppo.prompts import PpoPrompt
from veridical.training.ppo.roles import POLICY, Roles


class VllmRollouts:
    """Samples with vLLM.

    Args:
        roles: The roles.
        recipe: Model, sampling and how vLLM runs.
        folder: Where the policy's adapter is written for vLLM to read.

    Raises:
        MissingPackageError: vLLM is not installed.
        ModelError: vLLM cannot run the model or the adapter.
    """

    def __init__(self, roles: Roles, recipe: PpoRecipe, folder: Path) -> None:
        self._vlm, self._forbidden = roles.vlm, roles.sampling.forbidden
        self._settings, self._folder = recipe.rollout, folder
        self._cuts = cut_tokens(roles, recipe.rollout.cut_after)
        self._adapter: Adapter | None = None
        rank = roles.vlm.model.peft_config[POLICY].r
        dtype = "bfloat16" if recipe.train.bf16 else str(roles.vlm.dtype).removeprefix("torch.")
        settings = EngineSettings(
            model=recipe.model.base,
            engine="vllm",
            dtype=dtype,
            trust_remote_code=recipe.model.trust_remote_code,
            vllm=recipe.rollout.vllm,
        )
        path = resolve_model(recipe.model.base)
        self._model = VllmModel(settings, path=path, vlm=roles.vlm, max_rank=rank)

    def follow(self, roles: Roles) -> None:
        """Write the policy's adapter and have vLLM answer with it, under a new name."""
        before = self._adapter
        number = 1 if before is None else before.number + 1
        folder = self._folder / f"{number:06d}"
        save_lora(roles.vlm, folder, name=POLICY)
        require_decoder_adapter(folder, engine="vLLM")
        self._adapter = Adapter(f"policy-{number}", number, folder.absolute())
        if before is not None:
            shutil.rmtree(before.folder, ignore_errors=True)

    def sample(
        self, prompts: Sequence[PpoPrompt], streams: Sequence[Sequence[int]]
    ) -> list[Sampled]:
        """Sample all at once: vLLM makes its own batches, and shares what prompts begin with."""
        settings = self._settings
        decoding = Decoding(settings.max_new_tokens, settings.temperature, settings.top_p)
        questions = [ask(self._vlm, prompt.record) for prompt in prompts]
        samplings = [
            [Sampling(decoding, seed, self._forbidden) for seed in seeds] for seeds in streams
        ]
        said = self._model.say(questions, samplings, adapter=self._adapter)
        return [self._sampled(row) for row in said]

    def _sampled(self, said: Sequence[Said]) -> Sampled:
        ends = set(self._vlm.end_token_ids)
        cut = [cut_after(one.token_ids, self._cuts) for one in said]
        return Sampled(
            cut,
            [ids[-1] in ends for ids in cut],
            [one.logprobs[: len(ids)] for one, ids in zip(said, cut, strict=True)],
        )
