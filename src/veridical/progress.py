"""What a command prints: results to standard output, everything else to standard error.

Progress of long work is a bar on a terminal and plain lines elsewhere (log files, CI).
"""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")

_SECONDS_BETWEEN_LINES = 10.0


def log(text: str) -> None:
    """Tell the user one line about what happens (standard error, so that results can be piped)."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def echo(text: str) -> None:
    """Give the user what the command was run for: a table or a list (standard output, to be piped or kept)."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def track(items: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:
    """Yield the items while showing how far the work has come.

    Args:
        items: What to go through.
        label: What is being done, a few words.
        total: Number of items where `len(items)` does not tell.
    """
    if total is None:
        total = len(items) if isinstance(items, Sized) else None
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as progress:
            yield from progress.track(items, total=total, description=label)
        return
    started = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            of = f" of {total}" if total is not None else ""
            log(f"{label}: {done}{of} ({now - started:.0f} s)")
    elapsed = time.monotonic() - started
    if elapsed >= _SECONDS_BETWEEN_LINES:
        log(f"{label}: done, {done} in {elapsed:.0f} s")
