"""How the images of a batch reach a forward: as pixels, or as features encoded before."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from veridical.errors import ModelError
from veridical.models.architectures.table import architecture_of
from veridical.models.loading import Model, unwrap

ImageOutputs = Mapping[str, Any]
"""What a forward takes as `mm_encoder_outputs`: {"image": a `BaseModelOutputWithPooling`} whose
`pooler_output` holds projected features, one entry per image or tile."""

IMAGE_KEYS = frozenset({"pixel_values", "pixel_attention_mask", "pixel_mask", "image_patches"})
"""What of a prompt encoded images stand for."""


def join_along(key: str, inputs: Mapping[str, Any]) -> int:
    """The dimension along which an input holds one picture after the other.

    MiniCPM-V lays the patches of all pictures side by side, and says their sizes beside them.
    """
    return -1 if key == "pixel_values" and "target_sizes" in inputs else 0


def encode_images(model: Model, prompt: Mapping[str, Tensor]) -> dict[str, Any]:
    """Run vision tower and projector once; the result is the `image_outputs` of scoring.

    Raises:
        ModelError: The architecture takes no image features from outside.
    """
    inner = unwrap(model)
    backbone = inner.base_model
    if not takes_image_outputs(model):
        raise ModelError(
            f"`{inner.config.model_type}` takes no image features from outside. Leave image_outputs"
            " out for it."
        )
    known = signature(backbone.get_image_features).parameters
    arguments = {key: value for key, value in prompt.items() if key in known}
    return {"image": backbone.get_image_features(**arguments, return_dict=True)}


def takes_image_outputs(model: Model) -> bool:
    """Whether the model's forward takes image features that were encoded before.

    That it then gives the same is said by its row (`Architecture.features`).
    """
    inner = unwrap(model)
    return "mm_encoder_outputs" in signature(inner.forward).parameters and hasattr(
        inner.base_model, "get_image_features"
    )


def image_arguments(
    model: Model, prompt: Mapping[str, Tensor], image_outputs: ImageOutputs | None
) -> dict[str, Any]:
    """The forward arguments that carry the images: encoded features if given, else pixels.

    Where padding would change what the tower reads, each picture is encoded here, without it.
    """
    batch_shape = prompt["input_ids"].shape
    others = {key: value for key, value in prompt.items() if value.shape != batch_shape}
    apart = architecture_of(unwrap(model).config).apart
    if image_outputs is None and apart and "pixel_values" in prompt:
        image_outputs = _encode_apart(model, prompt)
    if image_outputs is None:
        return others
    kept = {key: value for key, value in others.items() if key not in IMAGE_KEYS}
    return {**kept, "mm_encoder_outputs": dict(image_outputs)}


def _encode_apart(model: Model, prompt: Mapping[str, Tensor]) -> dict[str, Any]:
    """Encode each picture (`pixel_values`, N C H W) at its own of the `image_sizes` (N 2)."""
    features: list[Tensor] = []
    for pixels, size in zip(prompt["pixel_values"], prompt["image_sizes"], strict=True):
        height, width = size.tolist()
        alone = {
            "pixel_values": pixels[None, :, :height, :width],
            "image_sizes": size.unsqueeze(0),
        }
        features += encode_images(model, alone)["image"].pooler_output
    # One tensor per picture, as the model's own encoder gives them; its type knows a batch only.
    return {"image": BaseModelOutputWithPooling(pooler_output=features)}  # type: ignore[arg-type]


def repeat_images(arguments: Mapping[str, Any], *, times: int) -> dict[str, Any]:
    """Repeat the images of a whole batch, prompts 1 … B, 1 … B and so on.

    The batch is repeated as a whole, not prompt by prompt, so that it does not matter which tiles
    belong to which prompt: models take images in the order of their placeholders.
    """
    if times == 1:
        return dict(arguments)
    return {
        key: {name: _repeat_outputs(outputs, times) for name, outputs in value.items()}
        if key == "mm_encoder_outputs"
        else torch.cat([value] * times, join_along(key, arguments))
        for key, value in arguments.items()
    }


def _repeat_outputs(outputs: Any, times: int) -> Any:
    repeated = type(outputs)(pooler_output=_repeat_features(outputs.pooler_output, times))
    for name, value in outputs.items():
        if name == "deepstack_features":  # one entry per layer, each like `pooler_output`
            repeated[name] = [_repeat_features(layer, times) for layer in value]
        elif name not in ("pooler_output", "last_hidden_state", "hidden_states", "attentions"):
            repeated[name] = value
    return repeated


def _repeat_features(features: Any, times: int) -> Any:
    return torch.cat([features] * times) if isinstance(features, Tensor) else list(features) * times
