"""What Veridical must know of an architecture: where positions come from, and where its fast paths hold.

The fast paths (branches behind one prompt, lean decoding) reckon positions and masks themselves.
They are used only for architectures on which they have been shown to agree with the plain forward;
for the rest there is always a plain path.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from veridical.errors import ModelError
from veridical.models.loading import unwrap
from veridical.progress import log

_CAUSAL_MODELS = frozenset(
    {
        "idefics3",
        "internvl",
        "llava",
        "llava_next",
        "llava_onevision",
        "qwen2_5_vl",
        "qwen2_vl",
        "qwen3_vl",
        "smolvlm",
    }
)
"""Image tokens are attended causally, images enter by `mm_encoder_outputs` or pixels at placeholder
tokens, and logits are the vocabulary head's, neither scaled nor capped."""
_ROTARY_TEXT_MODELS = frozenset(
    {"llama", "mistral", "qwen2", "qwen2_5_vl_text", "qwen2_vl_text", "qwen3", "qwen3_vl_text"}
)
"""Decoders whose only sense of place is rotary, from `position_ids`."""
_FIXED_ROTARY = frozenset({"default", "linear", "llama3", "yarn", "mrope"})
"""Rotary kinds that do not depend on the length of the input."""
_PIXEL_KEYS = frozenset({"pixel_values", "pixel_attention_mask", "image_patches"})

_said: set[str] = set()


class Positions(NamedTuple):
    """Where a prompt's tokens stand and where its continuation starts."""

    ids: Tensor
    """Position ids of the prompt: (B L), or (3 B L) with multimodal rotary positions."""
    next: Tensor
    """First position behind the prompt (B)."""


def no_fast_path_reason(model: Any) -> str | None:
    """Say why positions and masks of this model cannot be reckoned outside of it; None where they can."""
    config = unwrap(model).config
    text = config.get_text_config()
    if config.model_type not in _CAUSAL_MODELS:
        return f"the architecture `{config.model_type}` has not been checked"
    if text.model_type not in _ROTARY_TEXT_MODELS:
        return f"the language model `{text.model_type}` has not been checked"
    kinds = set(getattr(text, "layer_types", None) or ())
    if kinds - {"full_attention"}:
        return f"the language model has layers of {', '.join(sorted(kinds - {'full_attention'}))}"
    if not kinds and getattr(text, "sliding_window", None) is not None:
        return f"the language model attends over a sliding window of {text.sliding_window}"
    rope = getattr(text, "rope_parameters", None) or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    return (
        None
        if kind in _FIXED_ROTARY
        else f"its rotary positions ({kind}) depend on the length of the input"
    )


def prompt_positions(model: Any, prompt: Mapping[str, Tensor]) -> Positions:
    """Reckon the position ids of padded prompts as the model itself would.

    Args:
        model: The model.
        prompt: What `encode_prompts` gives, on any side padded.
    """
    mask = prompt["attention_mask"].long()
    backbone = unwrap(model).base_model
    if hasattr(backbone, "get_rope_index"):
        known = signature(backbone.get_rope_index).parameters
        ids, deltas = backbone.get_rope_index(
            **{key: value for key, value in prompt.items() if key in known}
        )
        return Positions(ids, mask.sum(-1) + deltas.reshape(-1))
    return Positions((mask.cumsum(-1) - 1).clamp(min=0), mask.sum(-1))


def encode_images(model: Any, prompt: Mapping[str, Tensor]) -> dict[str, Any]:
    """Run vision tower and projector once; the result goes into `image_outputs` of scoring and generation.

    Raises:
        ModelError: The architecture takes no image features from outside.
    """
    inner = unwrap(model)
    backbone = inner.base_model
    if "mm_encoder_outputs" not in signature(inner.forward).parameters or not hasattr(
        backbone, "get_image_features"
    ):
        raise ModelError(
            f"`{inner.config.model_type}` takes no image features from outside. Leave image_outputs"
            " out for it."
        )
    known = signature(backbone.get_image_features).parameters
    arguments = {key: value for key, value in prompt.items() if key in known}
    return {"image": backbone.get_image_features(**arguments, return_dict=True)}


def image_arguments(
    prompt: Mapping[str, Tensor], image_outputs: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Give the forward arguments that carry the images: as encoded features where there are some, else as pixels."""
    batch_shape = prompt["input_ids"].shape
    others = {key: value for key, value in prompt.items() if value.shape != batch_shape}
    if image_outputs is None:
        return others
    kept = {key: value for key, value in others.items() if key not in _PIXEL_KEYS}
    return {**kept, "mm_encoder_outputs": dict(image_outputs)}


def repeat_images(arguments: Mapping[str, Any], *, prompts: int, times: int) -> dict[str, Any]:
    """Repeat each prompt's image `times` times in a row: B prompts become B·times.

    Raises:
        ModelError: It cannot be told which pixels belong to which prompt.
    """
    if times == 1:
        return dict(arguments)  # then some prompts may be about no image
    repeated: dict[str, Any] = {}
    for key, value in arguments.items():
        if key == "mm_encoder_outputs":
            repeated[key] = {
                "image": _repeat_features(value["image"], prompts=prompts, times=times)
            }
        elif key == "pixel_values" and "image_grid_thw" in arguments:
            pieces = value.split(arguments["image_grid_thw"].prod(-1).tolist())
            _check_one_image_each(key, len(pieces), prompts)
            repeated[key] = torch.cat([piece for piece in pieces for _ in range(times)])
        else:
            _check_one_image_each(key, value.shape[0], prompts)
            repeated[key] = value.repeat_interleave(times, dim=0)
    return repeated


def _repeat_features(outputs: Any, *, prompts: int, times: int) -> Any:
    features = outputs.pooler_output
    _check_one_image_each("mm_encoder_outputs", len(features), prompts)
    again = [feature for feature in features for _ in range(times)]
    repeated = type(outputs)(
        pooler_output=torch.stack(again) if isinstance(features, Tensor) else again
    )
    layers = getattr(outputs, "deepstack_features", None)
    if layers is not None:
        # One entry a layer, in it one tensor an image (Qwen3-VL).
        repeated.deepstack_features = [
            [piece for piece in layer for _ in range(times)] for layer in layers
        ]
    return repeated


def _check_one_image_each(key: str, found: int, prompts: int) -> None:
    if found != prompts:
        raise ModelError(
            f"`{key}` holds {found} images for {prompts} prompts; one image a prompt is needed."
        )


def language_model(model: Any) -> nn.Module:
    """Give the decoder inside the model."""
    found = unwrap(model).get_decoder()
    assert isinstance(found, nn.Module)  # noqa: S101 - narrows an untyped attribute
    return found


def vision_tower(model: Any) -> nn.Module:
    """Give the image encoder inside the model.

    Raises:
        ModelError: It has none that can be told apart.
    """
    inner = unwrap(model)
    found = inner.get_encoder(modality="image")
    if found is inner or not isinstance(found, nn.Module):
        raise ModelError(f"No vision tower found in `{inner.config.model_type}`.")
    return found


def project_to_vocabulary(model: Any, hidden: Tensor) -> Tensor:
    """Turn last hidden states (… D) into logits (… V), in float32.

    For checked architectures this is all that the model's own forward does; others may scale or cap
    their logits.
    """
    inner = unwrap(model)
    logits: Tensor = inner.get_output_embeddings()(hidden).float()
    return logits


def log_once(text: str) -> None:
    """Tell the user something that would be said again for every batch."""
    if text not in _said:
        _said.add(text)
        log(text)
