"""A key-value cache with room to grow: new tokens are written in place.

transformers' own cache is put together anew at each step, so decoding T tokens after a prompt of P
copies (P + T)·T keys and values; here they are copied once per block of steps.
"""

from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_LEAST_ROOM = 32
"""The least number of steps that room is made for."""


class _GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call, unused-ignore]
    """One layer's keys and values: the front of a larger block."""

    _room: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Append new keys and values, and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.get_seq_length()
        now = before + key_states.shape[-2]
        if self._room is None or self._room[0].shape[-2] < now:
            spare = max(_LEAST_ROOM, now // 4) if before else 0
            self._room = _make_room(key_states, now + spare), _make_room(value_states, now + spare)
            if before and self.keys is not None and self.values is not None:
                self._room[0][:, :, :before] = self.keys
                self._room[1][:, :, :before] = self.values
        keys, values = self._room
        keys[:, :, before:now] = key_states
        values[:, :, before:now] = value_states
        self.keys, self.values = keys[:, :, :now], values[:, :, :now]
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row."""
        super().batch_repeat_interleave(repeats)
        self._room = None

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows."""
        super().batch_select_indices(indices)
        self._room = None


def growing_cache() -> DynamicCache:
    """Make an empty cache for a decoder whose layers all attend to everything."""
    cache = DynamicCache()
    cache.layer_class_to_replicate = _GrowingLayer
    return cache


def _make_room(states: Tensor, tokens: int) -> Tensor:
    return states.new_empty(*states.shape[:-2], tokens, states.shape[-1])
