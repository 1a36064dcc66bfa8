"""How the processes of a run divide work and agree: one writes, all know the same numbers.

Without a launcher, or outside of `membership.joined`, a process is the only one, and all of this is
what it would do alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import distributed

from veridical.processes import OtherProcessError, Place, place

S = TypeVar("S")
T = TypeVar("T")


def here() -> Place:
    """Where this process stands among those that train together."""
    return place() if distributed.is_initialized() else Place(0, 1, 0)


def on_first(work: Callable[[], T]) -> T:
    """Let the first process do something and give all of them the result.

    Args:
        work: What is to be done; its result must be picklable.

    Raises:
        OtherProcessError: In the other processes, where it failed; the first raises the error
            itself.
    """
    if here().world == 1:
        return work()
    outcome: list[Any] = [None, ""]
    if here().is_first:
        try:
            outcome[0] = work()
        except Exception as error:
            distributed.broadcast_object_list([None, str(error) or type(error).__name__])
            raise
    distributed.broadcast_object_list(outcome)
    result, failure = outcome
    if failure:
        raise OtherProcessError(failure)
    done: T = result
    return done


def in_turn(work: Callable[[], T]) -> T:
    """Let the first process do something, then all others the same.

    What the first one computes and keeps on disk the others find there, and what it cannot do is
    reported once.

    Args:
        work: What each is to do; the results stay where they are.
    """
    done: list[T] = []
    if here().is_first:
        on_first(lambda: done.append(work()))
    else:
        on_first(lambda: None)
        done.append(work())
    return done[0]


def wait_for_all() -> None:
    """Go on once all processes are here."""
    if here().world > 1:
        distributed.barrier()


def gather(value: T) -> list[T]:
    """What every process has, in their order; the same list in all of them."""
    if here().world == 1:
        return [value]
    found: list[Any] = [None] * here().world
    distributed.all_gather_object(found, value)
    return found


def total(value: float) -> float:
    """The sum of a number over all processes."""
    if here().world == 1:
        return value
    summed = torch.tensor(value, dtype=torch.float64)
    distributed.all_reduce(summed)
    return float(summed)


def totals(values: Mapping[str, float]) -> dict[str, float]:
    """The sums of named numbers over all processes; a name that one lacks adds nothing."""
    summed: defaultdict[str, float] = defaultdict(float)
    for part in gather(dict(values)):
        for name, value in part.items():
            summed[name] += value
    return dict(summed)


def in_shares(items: Sequence[S], work: Callable[[Sequence[S]], Iterable[T]]) -> list[T]:
    """Let each process work on its share of items; all results, in the order of the items.

    Args:
        items: All items, the same in every process.
        work: Gives a result for each of some items, on the CPU and picklable.
    """
    mine = share(items)
    return [one for part in gather(list(work(mine)) if mine else []) for one in part]


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of what lies in a row: neighbours, as many as the others', or one fewer.

    The parts of all processes, one after the other, are the whole.
    """
    rank, world, _ = here()
    each, more = divmod(len(items), world)
    start = rank * each + min(rank, more)
    return items[start : start + each + (rank < more)]
