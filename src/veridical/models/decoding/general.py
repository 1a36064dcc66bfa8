"""Decoding with `transformers`' `generate`, for families whose positions are left to it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList

from veridical.errors import ModelError
from veridical.models.architectures.images import ImageOutputs, image_arguments, repeat_images
from veridical.models.decoding.choice import TokenChoice, choose
from veridical.models.loading import VisionLanguageModel, unwrap


class _ChooseToken(LogitsProcessor):
    """Leaves `generate` the one token that `choose` chooses."""

    asked = False
    """Whether `generate` has asked for a token."""

    def __init__(self, prompt_length: int, choice: TokenChoice, order: Tensor) -> None:
        self._start, self._choice, self._order = prompt_length, choice, order

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.asked = True
        noise = self._choice.noise
        drawn = None if noise is None else noise[self._order, input_ids.shape[1] - self._start]
        token = choose(scores, drawn, self._choice)
        return torch.full_like(scores, -torch.inf).scatter(-1, token.unsqueeze(-1), 0.0)


def decode_generally(
    vlm: VisionLanguageModel,
    prompt: Mapping[str, Tensor],
    image_outputs: ImageOutputs | None,
    choice: TokenChoice,
) -> Tensor:
    """Decode with `transformers`' `generate`: token ids (B·K, longest response).

    The batch is repeated as a whole, 1 … B, 1 … B, as `lay_out_plain` does: `generate` itself would
    repeat row by row, which tears the tiles of an image apart.
    """
    B, length = prompt["input_ids"].shape
    K = choice.num_samples
    sequences = {
        key: value.repeat(K, 1) for key, value in prompt.items() if value.shape == (B, length)
    }
    images = repeat_images(image_arguments(vlm.model, prompt, image_outputs), times=K)
    order = torch.arange(B * K, device=vlm.device).reshape(B, K).T.reshape(-1)
    chosen = _ChooseToken(length, choice, order)
    arguments = {
        **sequences,
        **images,
        "do_sample": False,
        "temperature": None,
        "top_p": None,
        "top_k": None,
        "num_beams": 1,
        "max_new_tokens": choice.max_new_tokens,
        "eos_token_id": list(vlm.end_token_ids),
        "pad_token_id": vlm.end_token_ids[0],
        "logits_processor": LogitsProcessorList([chosen]),
    }
    ids: Any = vlm.model.generate(**arguments)
    if not chosen.asked:  # Janus has a `generate` of its own, which drops the processor
        ids = GenerationMixin.generate(unwrap(vlm.model), **arguments)
    if not chosen.asked:
        raise ModelError(
            f"`generate` of `{vlm.name}` does not let tokens be chosen, so that its responses would"
            " not be the samples that were asked for. Report the model, or use another engine."
        )
    answers: Tensor = ids[order.argsort(), length:]
    return answers
