"""Which of the processes of one run this is: what torchrun, accelerate and MPI say of it.

A launcher starts the same command several times and numbers the copies in the environment. Only
`veridical train` divides its work among them; all other commands refuse to be started so, since
each copy would do all of the work and write to the same place.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from veridical.errors import ConfigError

E = TypeVar("E", bound=Exception)

_COUNTS = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
_LOCAL_RANKS = (
    "LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "MV2_COMM_WORLD_LOCAL_RANK",
)
_BY_ACCELERATE = "ACCELERATE_MIXED_PRECISION"
_ADDRESS = "MASTER_ADDR"


class Place(NamedTuple):
    """One process among those of a run."""

    rank: int
    """Its number, from 0."""
    world: int
    """How many there are."""
    local_rank: int
    """Its number on its machine, from 0: the number of its GPU."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and reports."""
        return self.rank == 0


class OtherProcessError(ConfigError):
    """Another process of the run has failed and says why; this one only ends with it."""


def place() -> Place:
    """Where this process stands; the only one, where no launcher started it."""
    world = _number(_COUNTS, 1)
    if world <= 1:
        return Place(0, 1, 0)
    rank = _number(_RANKS, 0)
    return Place(rank, world, _number(_LOCAL_RANKS, rank))


def said_once(error: E) -> E | OtherProcessError:
    """An error that every process comes to: the first reports it, the others end with it."""
    return error if place().is_first else OtherProcessError(str(error))


def check_launch(verb: str, *, several: bool) -> None:
    """Refuse a start whose number of processes is not what would work.

    Args:
        verb: The command, for the message.
        several: Whether it divides its work among several processes.

    Raises:
        ConfigError: One of several processes, where one is all there may be; or the only one where
            `accelerate launch` was asked for several (it starts one, without MPI and CUDA).
    """
    here = place()
    if _BY_ACCELERATE in os.environ and _ADDRESS in os.environ and not _is_numbered():
        use = f"Use `torchrun --nproc_per_node 2 -m veridical {verb} ...`, or drop" * several
        raise ConfigError(
            "`accelerate launch` was asked for several processes, but started one: without CUDA it"
            f" starts several by MPI only. {use or 'Drop'} `--num_processes`."
        )
    if here.world > 1 and not several:
        raise said_once(
            ConfigError(
                f"`veridical {verb}` runs in one process, but was started as one of {here.world}."
                " Start it without a launcher; to use several GPUs or machines, set an engine that"
                " does (`vllm`, `openai` or `ray`)."
            )
        )


def _is_numbered() -> bool:
    return any(name in os.environ for name in _COUNTS)


def _number(names: Sequence[str], default: int) -> int:
    """The first of these variables that holds a number."""
    for name in names:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return default
