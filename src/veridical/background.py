"""Work done ahead of its use, in order, in one thread beside the one that uses it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(work: Iterable[Callable[[], T]], *, depth: int = 1) -> Iterator[T]:
    """Yield the results of calls in their order; `depth` of them are made ahead of their use.

    An error of a call is raised where its result would have come.
    """
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        for call in work:
            waiting.append(pool.submit(call))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
