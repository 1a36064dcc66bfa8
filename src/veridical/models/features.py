"""Features of a frozen vision tower, computed once per image and kept, in memory and on disk.

Policy, reference, reward and value all look at an image through the same frozen tower, epoch after
epoch. What is kept is what the tower gives *before* the projector: smaller than after it on real
models (1,024 wide against 4,096 for LLaVA-1.5), and right whether the projector is frozen, trained
or adapted, since it runs live.

A feature's key holds the image's pixels, the tower's weights and its settings; a changed weight,
size or normalisation gives a new key. Nothing stale is ever read, so a folder may be shared between
runs.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from veridical.errors import ModelError, StorageError
from veridical.files import atomic_path, hash_bytes
from veridical.models.architectures.images import encode_images
from veridical.models.architectures.parts import vision_tower
from veridical.models.architectures.positions import log_once
from veridical.models.hashing import model_hash, tensor_hash
from veridical.models.loading import VisionLanguageModel, unwrap

_MEMORY = 2 * 2**30
_PIXELS = 2**28
"""Bytes of pixels that stay in memory where features cannot be kept (256 MiB)."""


class FeatureCache:
    """Features of images that were seen before."""

    def __init__(
        self, folder: Path | str | None, vlm: VisionLanguageModel, *, memory_bytes: int = _MEMORY
    ) -> None:
        """Set up a cache.

        Args:
            folder: Where features are kept between runs; None keeps them in memory only.
            vlm: The model whose vision tower gives them.
            memory_bytes: How much may be held in memory; the least recently used go first.
        """
        self._folder = None if folder is None else Path(folder)
        self._vlm = vlm
        self._memory_bytes = memory_bytes
        self._held: OrderedDict[str, Tensor] = OrderedDict()
        self._bytes = 0
        self._state: tuple[Any, ...] = ()
        self._prefix = ""
        self._pixel_bytes = _PIXELS
        self.hits = 0
        """Images that were found."""
        self.misses = 0
        """Images that had to be encoded."""

    def keep_pixels(self, size: int) -> bool:
        """Whether so many bytes of a prompt's pixels may stay in memory; if so they count."""
        if size > self._pixel_bytes:
            return False
        self._pixel_bytes -= size
        return True

    def unavailable_reason(self) -> str | None:
        """Why features cannot be kept for this model as it is now; None if they can.

        A trainable tower only matters where gradients are taken, not in generation or evaluation.
        """
        inner = unwrap(self._vlm.model)
        if inner.config.model_type != "llava":
            return (
                f"the architecture `{inner.config.model_type}` has no tower and projector that can"
                " be told apart"
            )
        tower = vision_tower(inner)
        if torch.is_grad_enabled() and any(
            parameter.requires_grad for parameter in tower.parameters()
        ):
            return "its vision tower is being trained"
        if any("lora_" in name for name, _ in tower.named_parameters()):
            return "its vision tower has an adapter"
        return None

    def image_outputs(self, prompt: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """What a forward takes as `image_outputs`, for a batch of one image per prompt.

        Gradients flow into the projector where it is trained, never into the tower.

        Args:
            prompt: What `encode_prompts` gives; `pixel_values` (B C H W) may lie on any device.

        Returns:
            Encoded images on the model's device, or None where the features cannot be kept (the
            reason is logged once): then pass the pixels.
        """
        reason = self.unavailable_reason()
        if reason is not None:
            log_once(f"Image features are computed anew for every batch: {reason}.")
            return None
        keys = self._keys(prompt["pixel_values"])
        return self._project(keys, self._collect(keys, prompt["pixel_values"]))

    def store(self, prompt: Mapping[str, Tensor]) -> list[str]:
        """Keep the images' features and return their keys; the pixels can then be released.

        Raises:
            ModelError: Features cannot be kept for this model (`unavailable_reason` says why).
        """
        reason = self.unavailable_reason()
        if reason is not None:
            raise ModelError(f"Image features cannot be kept: {reason}. Pass the pixels instead.")
        keys = self._keys(prompt["pixel_values"])
        self._collect(keys, prompt["pixel_values"])
        return keys

    def load(self, keys: Sequence[str]) -> dict[str, Any]:
        """What a forward takes as `image_outputs`, from keys alone.

        Raises:
            ModelError: A feature is gone (memory too small and no folder), or the tower has
                changed.
        """
        self._follow_weights()
        found = {
            key: self._find(key) if key.startswith(self._prefix) else None
            for key in dict.fromkeys(keys)
        }
        kept = {key: feature for key, feature in found.items() if feature is not None}
        if len(kept) < len(found):
            raise ModelError(
                f"{len(found) - len(kept)} of {len(found)} images' features are gone. Give the"
                " cache a folder or more memory, and do not change the vision tower meanwhile."
            )
        self.hits += len(keys)
        return self._project(keys, kept)

    def _keys(self, pixels: Tensor) -> list[str]:
        self._follow_weights()
        return [f"{self._prefix}-{tensor_hash(image)}" for image in pixels]

    def _collect(self, keys: Sequence[str], pixels: Tensor) -> dict[str, Tensor]:
        """Find the features of these images, encode those that are missing."""
        found = {key: self._find(key) for key in dict.fromkeys(keys)}
        missing = [key for key, value in found.items() if value is None]
        self.hits += sum(found[key] is not None for key in keys)
        self.misses += len(missing)
        if missing:
            fresh = self._encode(pixels[[keys.index(key) for key in missing]].to(self._vlm.device))
            for key, feature in zip(missing, fresh, strict=True):
                found[key] = feature
                self._keep(key, feature)
        return {key: feature for key, feature in found.items() if feature is not None}

    def _project(self, keys: Sequence[str], features: Mapping[str, Tensor]) -> dict[str, Any]:
        device = self._vlm.device
        stacked = torch.stack([features[key].to(device) for key in keys])
        projected: Any = list(unwrap(self._vlm.model).base_model.multi_modal_projector(stacked))
        return {"image": BaseModelOutputWithPooling(pooler_output=projected)}

    def _follow_weights(self) -> None:
        """Renew the keys' prefix if a weight of the tower was written to since the last call."""
        tower = vision_tower(self._vlm.model)
        tensors = [*tower.parameters(), *tower.buffers()]
        state = tuple((id(tensor), tensor.data_ptr(), _version(tensor)) for tensor in tensors)
        if state != self._state:
            self._state = state
            config = self._vlm.model.config
            settings = {
                "layer": config.vision_feature_layer,
                "select": config.vision_feature_select_strategy,
                "vision": config.vision_config.to_dict(),
                "dtype": str(tensors[0].dtype),
            }
            text = json.dumps(settings, sort_keys=True, default=str)
            self._prefix = hash_bytes(f"{model_hash(tower)} {text}".encode())[:32]

    @torch.no_grad()
    def _encode(self, pixels: Tensor) -> list[Tensor]:
        """Run the model's own image path and take what reaches the projector."""
        projector = unwrap(self._vlm.model).base_model.multi_modal_projector
        seen: list[Tensor] = []

        def take(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            seen.append(arguments[0])

        handle = projector.register_forward_pre_hook(take)
        try:
            encode_images(self._vlm.model, {"pixel_values": pixels})
        finally:
            handle.remove()
        if len(seen) != 1 or len(seen[0]) != len(pixels):
            raise ModelError(
                "The projector did not receive one block of features per image. Leave the cache"
                " out."
            )
        return list(seen[0].clone())

    def _find(self, key: str) -> Tensor | None:
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            feature = load_file(path)["feature"]
        except (SafetensorError, KeyError, OSError):
            # An unreadable file is as good as none: the image is encoded again and the file
            # rewritten.
            return None
        self._hold(key, feature)
        return feature

    def _keep(self, key: str, feature: Tensor) -> None:
        feature = feature.cpu().contiguous()
        self._hold(key, feature)
        path = self._path(key)
        if path is not None:
            with atomic_path(path) as temporary:
                try:
                    save_file({"feature": feature}, temporary)
                except SafetensorError as error:
                    raise StorageError(
                        f"Cannot write `{path}`: {error}. Free space or choose another folder."
                    ) from error

    def _hold(self, key: str, feature: Tensor) -> None:
        self._held[key] = feature
        self._bytes += feature.nbytes
        while self._bytes > self._memory_bytes and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.nbytes

    def _path(self, key: str) -> Path | None:
        return None if self._folder is None else self._folder / key[:32] / f"{key[33:]}.safetensors"


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
