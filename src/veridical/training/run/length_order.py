"""An order of training rows that puts like lengths into one batch, so that little is padded, and yet is random.

Rows are shuffled, cut into blocks of many batches, sorted by length within each block and cut into
batches, which are shuffled again. The order depends on seed and epoch alone: a resumed run finds
the place where it was.
"""

from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from veridical.seeding import child_random

_BATCHES_A_BLOCK = 50


class LengthOrder(Sampler[int]):
    """Gives rows' numbers in such an order."""

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        """Set up the order.

        Args:
            lengths: Length of each row.
            batch_size: Rows of a batch.
            seed: The root seed.
        """
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which pass over the rows comes next; the trainer does."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        random = child_random(self._seed, "length order", self._epoch)
        rows = list(range(len(self._lengths)))
        random.shuffle(rows)
        # The batch that is not full must be the last one, or all behind it would be cut elsewhere.
        whole = len(rows) - len(rows) % self._batch_size
        rest = rows[whole:]
        size = self._batch_size * _BATCHES_A_BLOCK
        batches: list[list[int]] = []
        for start in range(0, whole, size):
            block = sorted(rows[start : min(start + size, whole)], key=self._lengths.__getitem__)
            batches += [
                block[place : place + self._batch_size]
                for place in range(0, len(block), self._batch_size)
            ]
        random.shuffle(batches)
        yield from (row for batch in batches for row in batch)
        yield from rest
