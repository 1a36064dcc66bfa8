"""Batches that are made while the model learns from those before them.

Rows are drawn where the trainer draws them, so that their order, and what is drawn from the random
state, is as without this; only opening, processing and stacking happens in a thread beside. That
uses no randomness, so a batch is the same whenever it is made, and a resumed run is exact.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Row = TypeVar("Row")
"""What batches are made of."""
Made = Mapping[str, object]


class ReadAhead(Generic[Row]):
    """Makes the batches of the next optimiser step during this one."""

    def __init__(self, collate: Callable[[Sequence[Row]], Made]) -> None:
        """Make batches by `collate`, which must not depend on when it is called."""
        self._collate = collate
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._iterator: Iterator[Future[Made]] | None = None
        self._waiting: deque[Future[Made]] = deque()

    def submit(self, rows: Sequence[Row]) -> Future[Made]:
        """Begin to make a batch: what a data loader calls to collate."""
        return self._pool.submit(self._collate, rows)

    def take(self, iterator: Iterator[Future[Made]], count: int) -> list[Made]:
        """Give the next `count` batches of an epoch, fewer at its end, and begin as many more.

        An error in making a batch is raised here.
        """
        if iterator is not self._iterator:
            self._iterator, self._waiting = iterator, deque()
        while len(self._waiting) < 2 * count:
            begun = next(iterator, None)
            if begun is None:
                break
            self._waiting.append(begun)
        return [self._waiting.popleft().result() for _ in range(min(count, len(self._waiting)))]

    def close(self) -> None:
        """Stop; what was begun is waited for, what was not is dropped."""
        self._iterator, self._waiting = None, deque()
        self._pool.shutdown(cancel_futures=True)
