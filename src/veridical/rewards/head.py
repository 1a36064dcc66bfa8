"""A reward model's scalar head and its files."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from veridical.errors import ModelError, StorageError
from veridical.files import atomic_path, write_json_atomically
from veridical.models.loading import VisionLanguageModel, unwrap
from veridical.models.lora import save_lora, save_model
from veridical.rewards.card import CARD_FILE, Pooling, RewardCard

HEAD_FILE = "head.safetensors"
"""Name of the file with the head's weights in a reward model's folder."""


def new_head(vlm: VisionLanguageModel) -> nn.Linear:
    """An untrained head for a model's hidden states, in float32.

    Torch's initial weights, bias 0, as in LLaVA-RLHF.
    """
    head = nn.Linear(unwrap(vlm.model).config.get_text_config().hidden_size, 1)
    nn.init.zeros_(head.bias)
    return head.to(vlm.device)


def read_head(vlm: VisionLanguageModel, folder: Path) -> nn.Linear:
    """Read a saved head, frozen.

    Raises:
        ModelError: There is none, or it does not fit the model.
    """
    head = new_head(vlm)
    try:
        head.load_state_dict(load_file(folder / HEAD_FILE))
    except (SafetensorError, OSError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"Cannot read the head of `{folder}`: {str(error).splitlines()[0]}. Give a whole"
            f" reward model that belongs to `{vlm.name}`."
        ) from error
    return head.requires_grad_(requires_grad=False)


def pool_rewards(
    head: nn.Linear, states: Tensor, mask: Tensor, own_mask: Tensor, *, pooling: Pooling
) -> Tensor:
    """Turn hidden states (B K T D) into rewards (B K) in float32; 0 for missing branches.

    Args:
        head: The head.
        states: States of the branches' tokens.
        mask: True at the branches' tokens (B K T).
        own_mask: True at those of the response itself (B K T).
        pooling: Which states the head reads.
    """
    if pooling == "last":
        last = (mask.sum(-1) - 1).clamp(min=0)
        index = last[..., None, None].expand(-1, -1, 1, states.shape[-1])
        return _apply(head, states.gather(2, index).squeeze(2)) * mask.any(-1)
    total = (_apply(head, states) * own_mask).sum(-1)
    return total if pooling == "sum" else total / own_mask.sum(-1).clamp(min=1)


def _apply(head: nn.Linear, states: Tensor) -> Tensor:
    # The head is small and the differences between its values are what counts: full precision.
    with torch.autocast(states.device.type, enabled=False):
        value: Tensor = head(states.to(head.weight.dtype)).squeeze(-1)
    return value.float()


def write_reward_model(
    vlm: VisionLanguageModel,
    head: nn.Linear,
    card: RewardCard,
    folder: Path,
    *,
    adapter: str | None,
) -> Path:
    """Write adapter or weights, head and card.

    Raises:
        StorageError: The disk refused.
    """
    try:
        if card.weights == "adapter":
            save_lora(vlm, folder / "adapter", name=adapter)
        else:
            save_model(vlm, folder / "model")
        with atomic_path(folder / HEAD_FILE) as temporary:
            state = {name: value.detach().cpu() for name, value in head.state_dict().items()}
            save_file(state, temporary)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"Cannot write `{folder}`: {error}. Free space and run the same command again."
        ) from error
    write_json_atomically(folder / CARD_FILE, card.model_dump(mode="json"))
    return folder
