"""What a command prints: results to standard output, everything else to standard error.

Progress of long work is a bar on a terminal and plain lines elsewhere (log files, CI). Of several
processes of one run the first speaks for all.
"""

import io
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TextIO, TypeVar

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from veridical.processes import place

T = TypeVar("T")

_SECONDS_BETWEEN_LINES = 10.0
_WIDTH_IN_FILES = 100
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def log(text: str) -> None:
    """Write a line about what happens to standard error, so that results can be piped."""
    if place().is_first:
        _write(sys.stderr, text)


def log_failure(text: str) -> None:
    """Write why this process ends to standard error, whichever of several it is."""
    here = place()
    _write(sys.stderr, text if here.is_first else f"Process {here.rank} of {here.world}: {text}")


def echo(text: str) -> None:
    """Write what the command was run for to standard output, to be piped or kept."""
    _write(sys.stdout, text)


def echo_table(*tables: RenderableType) -> None:
    """Write tables as plain text to standard output, as wide as the terminal is."""
    file = io.StringIO()
    width = None if sys.stdout.isatty() else _WIDTH_IN_FILES
    console = Console(file=file, width=width or Console().width, color_system=None)
    console.print(*tables)
    echo(file.getvalue().rstrip("\n"))


def printable(text: str) -> str:
    r"""Show control characters as escapes: text from files and endpoints must not steer a terminal.

    Line breaks and tabs stay; marks that reorder text are control characters too.

    >>> printable("\x1b]0;title\x07 line\n")
    '\\x1b]0;title\\x07 line\n'
    """
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    shown = printable(text).encode(encoding, "replace").decode(encoding)
    stream.write(shown + "\n")
    stream.flush()


def track(items: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:
    """Yield the items while showing how far the work has come.

    Args:
        items: What to go through.
        label: What is being done, a few words.
        total: Number of items where `len(items)` does not tell.
    """
    if total is None:
        total = len(items) if isinstance(items, Sized) else None
    if not place().is_first:
        yield from items
        return
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


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the singular where there is one.

    >>> counted(1, "correction"), counted(1200, "image")
    ('1 correction', '1,200 images')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
