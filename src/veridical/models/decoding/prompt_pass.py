"""The prompt goes through the model once, whatever the number of its responses."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor
from transformers import Cache

from veridical.models.architectures.images import ImageOutputs, image_arguments
from veridical.models.architectures.parts import language_model
from veridical.models.architectures.positions import prompt_positions
from veridical.models.decoding.growing_cache import growing_cache
from veridical.models.loading import VisionLanguageModel, unwrap


class PromptPass(NamedTuple):
    """What responses continue from: B prompts of L columns."""

    cache: Cache
    """Keys and values of each layer (B H L D)."""
    state: Tensor
    """Last hidden states (B D), from which the first token follows."""
    place: Tensor
    """Position of the first token (B)."""
    mask: Tensor | None
    """Which columns hold a token (B L); None if all do."""
    axes: int
    """Kinds of positions that a token has: 1, or 3 with multimodal rotary positions."""


def read_prompt(
    vlm: VisionLanguageModel, prompt: Mapping[str, Tensor], image_outputs: ImageOutputs | None
) -> PromptPass:
    """Run images and prompts through the model.

    Only for families whose row in the table says `branches`.
    """
    positions = prompt_positions(vlm.model, prompt)
    cache = growing_cache()
    # Without padding no mask is needed, and attention kernels without one are faster.
    mask = None if bool(prompt["attention_mask"].all()) else prompt["attention_mask"]
    output = unwrap(vlm.model).base_model(
        input_ids=prompt["input_ids"],
        attention_mask=mask,
        position_ids=positions.ids,
        past_key_values=cache,
        use_cache=True,
        **image_arguments(vlm.model, prompt, image_outputs),
    )
    axes = positions.ids.shape[0] if positions.ids.ndim == 3 else 1
    return PromptPass(cache, output.last_hidden_state[:, -1], positions.next, mask, axes)


def next_state(
    vlm: VisionLanguageModel,
    token: Tensor,
    place: Tensor,
    mask: Tensor | None,
    cache: Cache,
    *,
    axes: int,
) -> Tensor:
    """Run one more token of each row through the decoder: last hidden states (R D).

    Args:
        vlm: The model.
        token: The tokens (R 1).
        place: Their positions (R).
        mask: Which columns hold a token, this one included: (R columns), or (R 1 1 columns) where
            the cache has columns that are still empty; None if all do.
        cache: Keys and values of what came before; takes those of the token.
        axes: Kinds of positions that a token has.
    """
    where = place.unsqueeze(-1)
    if axes > 1:
        where = where.unsqueeze(0).expand(axes, -1, -1)
    state: Tensor = language_model(vlm.model)(
        input_ids=token,
        attention_mask=mask,
        position_ids=where,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state[:, -1]
    return state
