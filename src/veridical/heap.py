"""Freed memory goes back to the system.

The C library keeps what is freed for later, and a small object that lives on keeps all that lies
below it. Large blocks of changing sizes with small results between them, as pictures and the scores
of them are, so fill a heap with holes: a gigabyte after a few thousand rows.
"""

import ctypes
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TypeVar

T = TypeVar("T")


def give_back() -> None:
    """Return freed pages to the system, where the C library can (glibc); else do nothing."""
    trim = _trim()
    if trim is not None:
        trim(0)


def giving_back(items: Iterable[T], *, every: int = 32) -> Iterator[T]:
    """Yield items, and return freed pages after every so many of them and at the end."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % every == 0:
            give_back()
    give_back()


@cache
def _trim() -> "ctypes._NamedFuncPointer | None":
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
