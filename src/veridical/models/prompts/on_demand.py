"""Encoded prompts that take little memory: runs of placeholders, and pixels read when needed.

A prompt of a hub model has up to 7,000 image tokens, which are runs of one placeholder, and 7 to 33
MB of pixels. Runs are kept as what they repeat and how often. Pixels stay in memory up to a bound;
those of further prompts are made again from the image each time that a batch needs them, by the
same deterministic processing.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.models.hashing import tensor_hash

_SMALL = 2**16
"""Bytes up to which a tensor always stays in memory."""
_FEW_RUNS = 4
"""Runs are kept where they are this many times fewer than the values."""


class _Runs(NamedTuple):
    """A row of numbers (1 L) as what repeats and how often."""

    values: Tensor
    counts: Tensor

    def expand(self) -> Tensor:
        return self.values.repeat_interleave(self.counts).unsqueeze(0)


class PromptOnDemand(Mapping[str, Tensor]):
    """An encoded prompt, kept small; large tensors are read when they are asked for."""

    def __init__(
        self,
        prompt: Mapping[str, Tensor],
        read: Callable[[], Mapping[str, Tensor]] | None = None,
    ) -> None:
        """Keep a prompt small.

        Args:
            prompt: The encoded prompt.
            read: Encodes it again, to the same tensors; None keeps large ones too.
        """
        self._kept: dict[str, Tensor | _Runs | None] = {
            key: None if read is not None and value.nbytes > _SMALL else _small(value)
            for key, value in prompt.items()
        }
        self._hashes = {
            key: tensor_hash(prompt[key]) for key, value in self._kept.items() if value is None
        }
        self._read = read

    def whole(self) -> dict[str, Tensor]:
        """All tensors, the large ones read once."""
        read = self._read() if self._hashes and self._read is not None else {}
        return {
            key: read[key] if value is None else _whole(value) for key, value in self._kept.items()
        }

    def hash_of(self, key: str) -> str:
        """Hash of a tensor, as `tensor_hash` gives it, without reading it again."""
        return self._hashes.get(key) or tensor_hash(self[key])

    def __getitem__(self, key: str) -> Tensor:
        value = self._kept[key]
        return self.whole()[key] if value is None else _whole(value)

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def large_bytes(prompt: Mapping[str, Tensor]) -> int:
    """Bytes of a prompt's large tensors."""
    return sum(value.nbytes for value in prompt.values() if value.nbytes > _SMALL)


def prompt_hashes(prompt: Mapping[str, Tensor]) -> dict[str, str]:
    """Hashes of a prompt's tensors by name, in the order of their names."""
    return {
        key: prompt.hash_of(key) if isinstance(prompt, PromptOnDemand) else tensor_hash(prompt[key])
        for key in sorted(prompt)
    }


def _small(value: Tensor) -> Tensor | _Runs:
    if value.ndim != 2 or value.shape[0] != 1 or value.is_floating_point():
        return value
    values, counts = torch.unique_consecutive(value[0], return_counts=True)
    if len(values) * _FEW_RUNS > value.shape[1]:
        return value
    return _Runs(values.clone(), counts.clone())  # what comes back is a view of a longer buffer


def _whole(value: Tensor | _Runs) -> Tensor:
    return value.expand() if isinstance(value, _Runs) else value
