"""Prompts encoded one by one and put together again in any company; pixels go where their features are kept."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompting import encode_rendered


class EncodedPrompt(NamedTuple):
    """One prompt as tensors."""

    prompt: dict[str, Tensor]
    """A batch of one, not padded. It holds the image's pixels only where the image's features are
    not kept."""
    image_key: str | None
    """Key of the image's features in the `FeatureCache`; None where they are not kept."""


def encode_separately(
    vlm: VisionLanguageModel, texts: Sequence[str], images: Sequence[Image.Image]
) -> list[dict[str, Tensor]]:
    """Encode rendered prompts together and take them apart, where the tensors say what belongs to whom.

    Args:
        vlm: The model to encode them for.
        texts: Prompts as `render_turns` renders them.
        images: The image of each.
    """
    together = encode_rendered(vlm, texts, images)
    count = len(texts)
    if any(value.shape[0] != count for value in together.values()):
        return [
            encode_rendered(vlm, [text], [image]) for text, image in zip(texts, images, strict=True)
        ]
    shape = together["input_ids"].shape
    apart = []
    for b in range(count):
        kept = together["attention_mask"][b].bool()
        apart.append(
            {
                key: value[b : b + 1, kept] if value.shape == shape else value[b : b + 1].clone()
                for key, value in together.items()
            }
        )
    return apart


def release_pixels(
    prompts: Sequence[dict[str, Tensor]], features: FeatureCache | None
) -> list[EncodedPrompt]:
    """Keep the features of the prompts' images, where the model allows it, instead of the pixels."""
    if features is None or features.unavailable_reason() is not None:
        return [EncodedPrompt(prompt, None) for prompt in prompts]
    keys = features.store(
        {"pixel_values": torch.cat([prompt["pixel_values"] for prompt in prompts])}
    )
    return [
        EncodedPrompt(
            {name: value for name, value in prompt.items() if name != "pixel_values"}, key
        )
        for prompt, key in zip(prompts, keys, strict=True)
    ]


def stack_prompts(
    prompts: Sequence[Mapping[str, Tensor]], *, pad_token_id: int
) -> dict[str, Tensor]:
    """Pad encoded prompts on the left and put them together; the inverse of taking a batch apart.

    Args:
        prompts: Encoded prompts, batches of one. What only some of them have (pixels beside prompts
            without an image) is put together from those.
        pad_token_id: What stands in `input_ids` where nothing is.
    """
    width = max(prompt["input_ids"].shape[1] for prompt in prompts)
    stacked = {}
    for key in dict.fromkeys(key for prompt in prompts for key in prompt):
        having = [prompt for prompt in prompts if key in prompt]
        values = [prompt[key] for prompt in having]
        if values[0].shape == having[0]["input_ids"].shape:
            filler = pad_token_id if key == "input_ids" else 0
            values = [
                torch.nn.functional.pad(v, (width - v.shape[1], 0), value=filler) for v in values
            ]
        stacked[key] = torch.cat(values)
    return stacked
