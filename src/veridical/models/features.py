"""Features of a frozen vision tower, computed once per image and kept, in memory and on disk.

Policy, reference, reward and value all look at an image through the same frozen tower, epoch after
epoch. What is kept of a model's images is said in `feature_store.kinds`; it is read from
memory-mapped files when a batch needs it, so that memory does not grow with the images.

A key holds the images' pixels as the processor made them, the weights that encode them and their
settings; a changed picture, weight, size or normalisation gives a new key. Nothing stale is ever
read, so a folder may be shared between runs. What is not found, because the folder was full or
somebody emptied it, is computed again from the picture.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from veridical.errors import ModelError
from veridical.files import hash_bytes
from veridical.models.architectures.images import ImageOutputs
from veridical.models.architectures.positions import log_once
from veridical.models.feature_store.files import FeatureFiles
from veridical.models.feature_store.kinds import BeforeProjector, Kept, kind_of
from veridical.models.loading import VisionLanguageModel

Read = Callable[[], Mapping[str, Tensor]]
"""Encodes a prompt again, pixels included."""

MEMORY_ALONE = 2 * 2**30
"""Bytes that may be held in memory without a folder."""
MEMORY_BESIDE_FOLDER = 2**26
"""Bytes that may be held in memory beside a folder: what is used again at once (64 MiB)."""
DISK = 32 * 2**30
"""Bytes that a folder may hold."""
_PIXELS = 2**27
"""Bytes of pixels that stay in memory where features cannot be kept (128 MiB)."""


class FeatureCache:
    """Features of images that were seen before."""

    def __init__(
        self,
        folder: Path | str | None,
        vlm: VisionLanguageModel,
        *,
        memory_bytes: int | None = None,
        disk_bytes: int = DISK,
    ) -> None:
        """Set up a cache.

        Args:
            folder: Where features are kept between runs; None keeps them in memory only.
            vlm: The model that gives them.
            memory_bytes: How much may be held in memory; the least recently used go first. By
                default little where there is a folder.
            disk_bytes: How much the folder may hold.
        """
        self._files = None if folder is None else FeatureFiles(Path(folder), max_bytes=disk_bytes)
        default = MEMORY_ALONE if folder is None else MEMORY_BESIDE_FOLDER
        self._memory_bytes = default if memory_bytes is None else memory_bytes
        self._vlm = vlm
        self._kind = kind_of(vlm.model)
        self._held: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0
        self._state: tuple[tuple[int, int, int], ...] = ()
        self._prefix = ""
        self._pixel_bytes = _PIXELS
        self._readers: dict[str, Read] = {}
        self._read_ahead: dict[str, Mapping[str, Tensor]] = {}
        self.hits = 0
        """Prompts whose images were found."""
        self.misses = 0
        """Prompts whose images had to be encoded."""

    @property
    def prompts_at_once(self) -> int:
        """How many prompts are best stored together."""
        return self._kind.at_once

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
        return self._kind.obstacle()

    def image_outputs(self, prompt: Mapping[str, Tensor]) -> ImageOutputs | None:
        """What a forward takes as `image_outputs`, for a batch of one image per prompt.

        Gradients flow into the projector where it is trained, never into the tower.

        Args:
            prompt: What `encode_prompts` gives; `pixel_values` (B C H W) may lie on any device.

        Returns:
            Encoded images on the model's device, or None where the features cannot be kept (the
            reason is logged once) or separated within a batch: then pass the pixels.
        """
        reason = self.unavailable_reason()
        if reason is not None:
            log_once(f"Image features are computed anew for every batch: {reason}.")
            return None
        if not isinstance(self._kind, BeforeProjector):
            return None
        images = [{"pixel_values": image.unsqueeze(0)} for image in prompt["pixel_values"]]
        keys = self._keys(images)
        return self._kind.join(self._collect(keys, dict(zip(keys, images, strict=True))))

    def store(
        self, prompts: Sequence[Mapping[str, Tensor]], *, read: Sequence[Read | None] | None = None
    ) -> list[str]:
        """Keep the features of prompts' images; returns a key for each, and pixels can go.

        Args:
            prompts: Encoded prompts with images, batches of one.
            read: For each prompt what encodes it again, should its features be gone.

        Raises:
            ModelError: Features cannot be kept for this model (`unavailable_reason` says why).
        """
        reason = self.unavailable_reason()
        if reason is not None:
            raise ModelError(f"Image features cannot be kept: {reason}. Pass the pixels instead.")
        keys = self._keys(prompts)
        self._collect(keys, dict(zip(keys, prompts, strict=True)))
        for key, reader in zip(keys, read or [None] * len(keys), strict=True):
            if reader is not None:
                self._readers.setdefault(key, reader)
        return keys

    def read_ahead(self, keys: Sequence[str]) -> None:
        """Read the pictures that `load` will have to encode; another thread may call it."""
        for key in dict.fromkeys(keys):
            known = key in self._held or key in self._read_ahead
            if not known and key in self._readers and not (self._files and key in self._files):
                self._read_ahead[key] = self._readers[key]()

    def load(self, keys: Sequence[str]) -> ImageOutputs:
        """What a forward takes as `image_outputs`, from keys alone, in the order of the prompts.

        Raises:
            ModelError: A feature is gone (memory too small, no folder and no way to read the
                picture again), the picture is another one, or the tower has changed.
        """
        self._follow_weights()
        if not all(key.startswith(self._prefix) for key in keys):
            raise ModelError(
                "Image features are gone: the weights that they come from have changed. Do not"
                " change the vision tower meanwhile."
            )
        return self._kind.join(self._collect(keys, {}))

    def _keys(self, prompts: Sequence[Mapping[str, Tensor]]) -> list[str]:
        self._follow_weights()
        return [f"{self._prefix}-{self._kind.key_of(prompt)}" for prompt in prompts]

    def _collect(
        self, keys: Sequence[str], prompts: Mapping[str, Mapping[str, Tensor]]
    ) -> list[Kept]:
        """Find the features of these images, encode those that are missing."""
        found = {key: self._find(key) for key in dict.fromkeys(keys)}
        missing = [key for key, value in found.items() if value is None]
        self.hits += sum(found[key] is not None for key in keys)
        self.misses += len(missing)
        shown = [prompts.get(key) or self._picture_of(key) for key in missing]
        for key, kept in zip(missing, self._encode(shown), strict=True):
            found[key] = kept
            self._keep(key, kept)
        self._read_ahead = {k: v for k, v in self._read_ahead.items() if k not in found}
        return [kept for kept in (found[key] for key in keys) if kept is not None]

    def _picture_of(self, key: str) -> Mapping[str, Tensor]:
        """The prompt of a key, read again."""
        prompt = self._read_ahead.get(key)
        if prompt is None:
            if key not in self._readers:
                raise ModelError(
                    "Image features are gone, and their picture cannot be read again. Give the"
                    " cache a folder or more memory."
                )
            prompt = self._readers[key]()
        if f"{self._prefix}-{self._kind.key_of(prompt)}" != key:
            raise ModelError(
                "A picture is not the one that was read at the start. Put it back, or start again."
            )
        return prompt

    @torch.no_grad()
    def _encode(self, prompts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        return self._kind.encode(prompts) if prompts else []

    def _follow_weights(self) -> None:
        """Renew the keys' prefix if a weight of the tower was written to since the last call."""
        state = tuple(
            (id(tensor), tensor.data_ptr(), _version(tensor))
            for tensor in self._kind.tensors().values()
        )
        if state != self._state:
            self._state = state
            self._prefix = hash_bytes(self._kind.fingerprint().encode())[:32]

    def _find(self, key: str) -> Kept | None:
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        kept = None if self._files is None else self._files.read(key)
        if kept is not None:
            self._hold(key, kept)
        return kept

    def _keep(self, key: str, kept: Mapping[str, Tensor]) -> None:
        kept = {name: tensor.cpu().contiguous() for name, tensor in kept.items()}
        self._hold(key, kept)
        if self._files is not None:
            self._files.write(key, kept)

    def _hold(self, key: str, kept: Kept) -> None:
        self._held[key] = kept
        self._bytes += _size(kept)
        while self._bytes > self._memory_bytes and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(kept: Kept) -> int:
    return sum(tensor.nbytes for tensor in kept.values())


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
