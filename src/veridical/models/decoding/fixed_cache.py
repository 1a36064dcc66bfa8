"""A key-value cache at fixed addresses, as captured graphs need it: rows and columns are views."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer


class FixedLayer(DynamicLayer):  # type: ignore[no-untyped-call, unused-ignore]
    """One layer's keys and values in a block that never moves.

    Args:
        keys: Keys like those to be held (B H L D).
        values: Values like those to be held.
        rows: Rows of the block.
        columns: Columns of the block.
        column: Which column the next token is written to (1): a tensor, so that a graph reads it.
    """

    def __init__(
        self, keys: Tensor, values: Tensor, *, rows: int, columns: int, column: Tensor
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.lazy_initialization(keys, values)
        # Zeros, not whatever lies there: a masked column still takes part with a weight of 0.
        self._blocks = tuple(
            one.new_zeros(rows, one.shape[1], columns, one.shape[3]) for one in (keys, values)
        )
        self._column = column
        self.show(rows, columns)

    def show(self, rows: int, columns: int) -> None:
        """Let attention see only the first rows and columns."""
        self.keys, self.values = (block[:rows, :, :columns] for block in self._blocks)

    def load(self, keys: Tensor, values: Tensor, *, repeats: int) -> None:
        """Take over a prompt's keys and values, each row `repeats` times."""
        for block, given in zip(self._blocks, (keys, values), strict=True):
            rows, _, length, _ = given.shape
            block[: rows * repeats, :, :length] = given.repeat_interleave(repeats, 0)

    def keep(self, rows: Tensor, columns: int) -> None:
        """Move some rows to the front."""
        for block in self._blocks:
            block[: len(rows), :, :columns] = block[rows, :, :columns]

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one token's keys and values in place, and return all that is shown."""
        assert self.keys is not None  # noqa: S101 - narrows what the base class leaves open
        assert self.values is not None  # noqa: S101
        self.keys.index_copy_(2, self._column, key_states)
        self.values.index_copy_(2, self._column, value_states)
        return self.keys, self.values


class FixedCache(Cache):
    """A cache of such layers, shaped like those of a prompt's cache.

    Args:
        like: The prompt's cache.
        rows: Rows of each block.
        columns: Columns of each block.
        column: Which column the next token is written to (1).
    """

    def __init__(self, like: Cache, *, rows: int, columns: int, column: Tensor) -> None:
        self._fixed = [
            FixedLayer(keys, values, rows=rows, columns=columns, column=column)
            for keys, values in keys_and_values(like)
        ]
        super().__init__(layers=list(self._fixed))

    def show(self, rows: int, columns: int) -> None:
        """Let attention see only the first rows and columns."""
        for layer in self._fixed:
            layer.show(rows, columns)

    def load(self, prompt: Cache, *, repeats: int) -> None:
        """Take over a prompt's keys and values layer by layer; its cache is emptied meanwhile."""
        layers: list[Any] = list(prompt.layers)
        for layer, theirs in zip(self._fixed, layers, strict=True):
            layer.load(theirs.keys, theirs.values, repeats=repeats)
            theirs.keys = theirs.values = None  # the two caches are never held whole

    def keep(self, rows: Tensor, columns: int) -> None:
        """Move some rows to the front."""
        for layer in self._fixed:
            layer.keep(rows, columns)


def keys_and_values(cache: Cache) -> Iterator[tuple[Tensor, Tensor]]:
    """What each layer of a cache holds."""
    layers: list[Any] = list(cache.layers)
    return ((layer.keys, layer.values) for layer in layers)
