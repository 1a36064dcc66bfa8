"""Cells of a grid made at once, each by one of several processes that share the cores."""

import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Protocol

from veridical.errors import ConfigError
from veridical.progress import log

LOG_FILE = "log.txt"
"""What a worker said while it made a cell, in the cell's folder."""


class Named(Protocol):
    """What is made: a cell."""

    @property
    def name(self) -> str:
        """Its folder in the grid."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of what must be there before."""


class Maker(Protocol):
    """Makes cells by name."""

    @property
    def out(self) -> Path:
        """Folder of the grid."""

    def __call__(self, name: str) -> None:
        """Make a cell."""


_maker: list[Maker] = []
"""What this worker makes cells with; empty in every other process."""


def make_side_by_side(build: Callable[[], Maker], cells: Sequence[Named], *, workers: int) -> None:
    """Make cells, each as soon as what it needs is there and a worker is free.

    Args:
        build: Gives what makes cells; picklable, called once in each worker.
        cells: What is to be made; what they need and is not among them is there.
        workers: How many processes. Each computes with its share of the cores.

    Raises:
        ConfigError: A cell failed, and those that were begun are finished before it is raised; or
            a worker was killed.
    """
    names = {cell.name for cell in cells}
    waiting = {cell.name: names.intersection(cell.needs) for cell in cells}
    begun: dict[Future[str], str] = {}
    failed: dict[str, str] = {}
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(build, threads)
    ) as pool:
        while waiting or begun:
            ready = [name for name, needs in waiting.items() if not needs and not failed]
            for name in ready[: workers - len(begun)]:
                del waiting[name]
                begun[pool.submit(_make, name)] = name
                log(f"{len(cells) - len(waiting)} of {len(cells)} cells begun: {name}")
            if not begun:
                break
            for future in wait(begun, return_when=FIRST_COMPLETED).done:
                name = begun.pop(future)
                problem = _outcome(future, name)
                if problem:
                    failed[name] = problem
                for needs in waiting.values():
                    needs.discard(name)
    if failed:
        where, problem = next(iter(failed.items()))
        raise ConfigError(f"The cell {where!r} failed: {problem}")


def _outcome(future: Future[str], name: str) -> str:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise ConfigError(
            f"A worker was killed while {name!r} and others were being made: there may not have"
            " been enough memory. Start again with fewer workers; what was finished is kept."
        ) from error


def _begin(build: Callable[[], Maker], threads: int) -> None:
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # what torch will read, if it is not there yet
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    _maker.append(build())


def _end_with_the_run() -> None:
    """End this worker as soon as the run is gone: killed, it can't say so, and cells take hours."""
    run = parent_process()
    if run is not None:
        run.join()
        os._exit(1)


def _make(name: str) -> str:
    """Make a cell; gives what went wrong, or nothing."""
    maker = _maker[0]
    folder = maker.out / name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / LOG_FILE
    with file.open("w", encoding="utf-8") as said, redirect_stderr(said), redirect_stdout(said):
        try:
            maker(name)
        except Exception as error:
            traceback.print_exc()
            return f"{error} (`{file}` says where)"
    return ""
