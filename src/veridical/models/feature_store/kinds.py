"""What is computed once per image, for each kind of model, and how a forward takes it again.

LLaVA's tower and projector are two modules that meet in one tensor: what is kept is what the tower
gives *before* the projector, smaller than after it on real models (1,024 wide against 4,096 for
LLaVA-1.5) and right whether the projector is frozen or trained, since it runs live. Elsewhere tiles
are merged, cropped and put in order around the projector; there the projected features are kept,
all that the model's own image path gives, and the projector must be frozen too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import transformers
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from veridical.errors import ModelError
from veridical.files import hash_bytes
from veridical.models.architectures.images import (
    IMAGE_KEYS,
    ImageOutputs,
    encode_images,
    takes_image_outputs,
)
from veridical.models.architectures.parts import language_model, language_parameters, vision_tower
from veridical.models.architectures.table import architecture_of, is_listed
from veridical.models.hashing import model_hash, tensor_hash
from veridical.models.loading import Model, unwrap
from veridical.models.sending import send

Kept = Mapping[str, Tensor]
"""What is kept of a prompt's images, by name."""
_OF_THE_TOWER = frozenset({"last_hidden_state", "hidden_states", "attentions"})
"""Outputs of an image path that no forward reads."""
_NO_MATTER = frozenset(
    {"text_config", "use_cache", "architectures", "transformers_version", "_name_or_path", "dtype"}
)
"""Settings of a model that its image path does not read."""


@dataclass
class KeptImages(BaseModelOutputWithPooling):
    """Encoded images of a batch, as a forward takes them in `mm_encoder_outputs`."""

    deepstack_features: Any = None
    """For each deepstack layer features of each image (Qwen3-VL)."""
    visual_indicator_features: Any = None
    """Embeddings of the tokens around an image (Ovis2)."""


class Kind(Protocol):
    """What is computed once for a model."""

    at_once: int
    """How many prompts are best encoded together."""

    def obstacle(self) -> str | None:
        """Why nothing can be kept for this model as it is now; None if something can."""

    def tensors(self) -> dict[str, Tensor]:
        """The weights that what is kept depends on."""

    def fingerprint(self) -> str:
        """Names these weights and whatever else the result depends on, but the images."""

    def key_of(self, prompt: Mapping[str, Tensor]) -> str:
        """Names a prompt's images."""

    def encode(self, prompts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        """What is kept of each prompt's images."""

    def join(self, kept: Sequence[Kept]) -> ImageOutputs:
        """What a forward takes for a batch of prompts."""


def kind_of(model: Model) -> Kind:
    """The kind that fits a model's architecture."""
    config = unwrap(model).config
    # Pixtral's images have sizes of their own, and reach the projector one by one.
    if config.model_type == "llava" and config.vision_config.model_type != "pixtral":
        return BeforeProjector(model)
    return AfterProjector(model)


def _frozen_obstacle(parameters: Iterator[tuple[str, nn.Parameter]], what: str) -> str | None:
    named = list(parameters)
    if torch.is_grad_enabled() and any(parameter.requires_grad for _, parameter in named):
        return f"its {what} is being trained"
    if any("lora_" in name for name, _ in named):
        return f"its {what} has an adapter"
    return None


class BeforeProjector:
    """LLaVA: what the tower gives, one image per row of `pixel_values`."""

    at_once = 16

    def __init__(self, model: Model) -> None:
        """Keep for this model."""
        self._model = model

    def obstacle(self) -> str | None:
        """Why nothing can be kept; see `Kind`."""
        return _frozen_obstacle(vision_tower(self._model).named_parameters(), "vision tower")

    def tensors(self) -> dict[str, Tensor]:
        """The tower's weights."""
        tower = vision_tower(self._model)
        return dict([*tower.named_parameters(), *tower.named_buffers()])

    def fingerprint(self) -> str:
        """The tower's weights, and which of its layers is read how."""
        config = unwrap(self._model).config
        settings = {
            "layer": config.vision_feature_layer,
            "select": config.vision_feature_select_strategy,
            "vision": config.vision_config.to_dict(),
            "dtype": str(next(iter(self.tensors().values())).dtype),
        }
        return f"{model_hash(vision_tower(self._model))} {_sorted(settings)}"

    def key_of(self, prompt: Mapping[str, Tensor]) -> str:
        """The pixels' hash."""
        pixels = prompt["pixel_values"]
        return tensor_hash(pixels[0] if len(pixels) == 1 else pixels)

    def encode(self, prompts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        """Run the model's own image path and take what reaches the projector."""
        pixels = torch.cat([prompt["pixel_values"] for prompt in prompts])
        inner = unwrap(self._model)
        seen: list[Tensor] = []

        def take(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            seen.append(arguments[0])

        handle = inner.base_model.multi_modal_projector.register_forward_pre_hook(take)
        try:
            encode_images(self._model, {"pixel_values": pixels.to(inner.device)})
        finally:
            handle.remove()
        if len(seen) != 1 or len(seen[0]) != len(pixels):
            raise ModelError(
                "The projector did not receive one block of features per image. Leave the cache"
                " out."
            )
        sizes = [len(prompt["pixel_values"]) for prompt in prompts]
        return [{"feature": part} for part in torch.split(seen[0].clone(), sizes)]

    def join(self, kept: Sequence[Kept]) -> ImageOutputs:
        """Run the projector, in which gradients flow where it is trained."""
        inner = unwrap(self._model)
        blocks = [send(one["feature"], inner.device) for one in kept]
        stacked = torch.cat([block.reshape(-1, *block.shape[-2:]) for block in blocks])
        projected: Any = list(inner.base_model.multi_modal_projector(stacked))
        return {"image": KeptImages(pooler_output=projected)}


class AfterProjector:
    """Any family whose forward takes encoded images: what its image path gives for a prompt."""

    at_once = 1

    def __init__(self, model: Model) -> None:
        """Keep for this model."""
        self._model = model

    def obstacle(self) -> str | None:
        """Why nothing can be kept; see `Kind`."""
        config = unwrap(self._model).config
        if not is_listed(config):
            return f"the architecture `{config.model_type}` has not been checked"
        if not architecture_of(config).features:
            return f"that `{config.model_type}` gives the same with them has not been checked"
        if not takes_image_outputs(self._model):
            return f"`{config.model_type}` takes no image features from outside"
        return _frozen_obstacle(self._parameters(), "vision tower or projector")

    def tensors(self) -> dict[str, Tensor]:
        """All weights but the language model's."""
        inner = unwrap(self._model)
        spoken = {id(buffer) for buffer in language_model(inner).buffers()}
        buffers = {
            name: buffer
            for name, buffer in inner.base_model.named_buffers()
            if id(buffer) not in spoken
        }
        return {**dict(self._parameters()), **buffers}

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        inner = unwrap(self._model)
        spoken = language_parameters(inner)
        for name, parameter in inner.base_model.named_parameters():
            if id(parameter) not in spoken:
                yield name, parameter

    def fingerprint(self) -> str:
        """The weights, the model's settings and the code that runs them."""
        config = unwrap(self._model).config.to_dict()
        settings = {key: value for key, value in config.items() if key not in _NO_MATTER}
        weights = [f"{name} {tensor_hash(value)}" for name, value in sorted(self.tensors().items())]
        return "\n".join([transformers.__version__, _sorted(settings), *weights])

    def key_of(self, prompt: Mapping[str, Tensor]) -> str:
        """The hash of all that says what the images are."""
        tokens = prompt["input_ids"].shape
        images = {name: value for name, value in prompt.items() if value.shape != tokens}
        parts = [f"{name} {tensor_hash(value)}" for name, value in sorted(images.items())]
        return hash_bytes("\n".join(parts).encode())

    def encode(self, prompts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        """Run the model's own image path, prompt by prompt."""
        device = unwrap(self._model).device
        return [
            _flatten(
                encode_images(self._model, {key: value.to(device) for key, value in prompt.items()})
            )
            for prompt in prompts
        ]

    def join(self, kept: Sequence[Kept]) -> ImageOutputs:
        """Put the images of several prompts one after the other."""
        device = unwrap(self._model).device
        here = [{name: send(value, device) for name, value in one.items()} for one in kept]
        found: dict[str, Any] = {"pooler_output": _joined("pooler_output", here)}
        deep = "deepstack_features."
        layers = {int(name.split(".")[1]) for name in here[0] if name.startswith(deep)}
        if layers:
            found["deepstack_features"] = [
                _joined(f"{deep}{layer}", here) for layer in sorted(layers)
            ]
        if "visual_indicator_features" in here[0]:  # the same for every image
            found["visual_indicator_features"] = here[0]["visual_indicator_features"]
        return {"image": KeptImages(**found)}


def without_images(prompt: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A prompt without what its kept images stand for."""
    return {key: value for key, value in prompt.items() if key not in IMAGE_KEYS}


def _flatten(outputs: ImageOutputs) -> dict[str, Tensor]:
    """Name the tensors of encoded images: `pooler_output`, or `pooler_output.0` … if several."""
    flat: dict[str, Tensor] = {}
    for name, value in outputs["image"].items():
        if name in _OF_THE_TOWER:
            continue
        if name not in KeptImages.__dataclass_fields__:
            raise ModelError(f"The image path gives `{name}`, which cannot be kept.")
        if name == "deepstack_features":
            for layer, features in enumerate(value):
                flat |= _named(f"{name}.{layer}", features)
        else:
            flat |= _named(name, value)
    # Parts of one tensor would be written as a whole each.
    return {name: value.clone() for name, value in flat.items()}


def _named(name: str, value: Tensor | Sequence[Tensor]) -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {name: value}
    return {f"{name}.{number}": tensor for number, tensor in enumerate(value)}


def _joined(name: str, kept: Sequence[Kept]) -> Tensor | list[Tensor]:
    if name in kept[0]:
        return torch.cat([one[name] for one in kept])
    return [one[f"{name}.{number}"] for one in kept for number in range(_count(name, one))]


def _count(name: str, kept: Kept) -> int:
    return sum(key.rpartition(".")[0] == name for key in kept)


def _sorted(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=str)
