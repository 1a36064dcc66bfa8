"""Whether an encoded prompt fits its model: its length, and its placeholders' number."""

from collections.abc import Mapping

import torch
from torch import Tensor

from veridical.errors import ModelError
from veridical.models.architectures.table import is_listed
from veridical.models.loading import VisionLanguageModel


def check_prompt(vlm: VisionLanguageModel, which: str, prompt: Mapping[str, Tensor]) -> None:
    """Check a batch of one, called `which` in messages.

    Raises:
        ModelError: It is longer than the model can read, or its placeholders are not as many as its
            images' features.
    """
    _check_length(vlm, prompt)
    _check_placeholders(vlm, which, prompt)


def _check_length(vlm: VisionLanguageModel, prompt: Mapping[str, Tensor]) -> None:
    length = prompt["input_ids"].shape[1]
    if vlm.window is not None and length > vlm.window:
        raise ModelError(
            f"A prompt has {length} tokens, `{vlm.name}` reads at most {vlm.window}."
            " Shorten the question."
        )


def _check_placeholders(vlm: VisionLanguageModel, which: str, prompt: Mapping[str, Tensor]) -> None:
    expected = _feature_count(vlm, prompt)
    found = int(torch.isin(prompt["input_ids"], torch.tensor(vlm.placeholder_token_ids)).sum())
    if expected is not None and found != expected:
        raise ModelError(
            f"{which.capitalize()} has {found} image placeholders for {expected} image features of"
            f" `{vlm.name}`. The processor's settings (patch size, feature selection) do not fit"
            " the vision tower."
        )


def _feature_count(vlm: VisionLanguageModel, prompt: Mapping[str, Tensor]) -> int | None:
    """How many features a prompt's images give; None where only the model itself can say."""
    config = vlm.model.config
    if "image_grid_thw" in prompt and is_listed(config):
        merge = getattr(config.vision_config, "spatial_merge_size", 1)
        return int(prompt["image_grid_thw"].prod(-1).sum()) // merge**2
    pixels = prompt.get("pixel_values")
    if config.model_type != "llava" or pixels is None or pixels.ndim != 4:
        return None
    patch, tower = config.vision_config.patch_size, config.vision_config.model_type
    if "image_sizes" in prompt:
        return int((prompt["image_sizes"] // patch).prod(-1).sum())
    strategy = config.vision_feature_select_strategy
    class_token = tower == "clip_vision_model" and strategy == "full"
    dropped = tower != "clip_vision_model" and strategy == "default"
    per_image: int = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch)
    return pixels.shape[0] * (per_image + int(class_token) - int(dropped))
