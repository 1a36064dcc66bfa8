"""How the processes of a run meet, and which wishes of their launcher are met.

torchrun and `accelerate launch` start the processes; gradients are averaged by PyTorch's DDP or
FSDP2 or by DeepSpeed, which accelerate puts around the model. All of them see one run directory, on
a disk that they share.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import torch
from torch import distributed

from veridical.errors import ConfigError
from veridical.locks import locked
from veridical.models.devices import pick_device
from veridical.processes import Place, place, said_once
from veridical.training.run.team import fsdp, zero
from veridical.training.run.team.sharding import shards_model
from veridical.training.run.team.work import on_first, wait_for_all

_PATIENCE = timedelta(days=1)
"""How long the others wait while the first encodes images and scores with the reference."""


class _Wish(NamedTuple):
    """Something that `accelerate launch` asks for by an environment variable."""

    variable: str
    asked: Callable[[str], bool]
    message: str


def _is_set(value: str) -> bool:
    return value.lower() in {"1", "true", "yes"}


_WISHES = (
    _Wish(
        "ACCELERATE_USE_MEGATRON_LM",
        _is_set,
        "Megatron-LM was asked for, which training does not use. Start with `accelerate launch"
        " --multi_gpu`.",
    ),
    _Wish(
        "ACCELERATE_USE_PARALLELISM_CONFIG",
        _is_set,
        "A parallelism config was asked for, but training divides the rows of a batch only. Leave"
        " it out.",
    ),
    _Wish(
        "ACCELERATE_MIXED_PRECISION",
        lambda value: value.lower() != "no",
        "`--mixed_precision` was given to accelerate, but the recipe alone says in which precision"
        " a run computes. Leave it out, and set train.bf16=true.",
    ),
    _Wish(
        "ACCELERATE_DYNAMO_BACKEND",
        lambda value: value.lower() != "no",
        "`--dynamo_backend` was given to accelerate, but the recipe alone says whether layers are"
        " compiled. Leave it out, and set train.compile=on.",
    ),
    _Wish(
        "ACCELERATE_GRADIENT_CLIPPING",
        lambda value: value != "auto",
        "`--gradient_clipping` was given to accelerate, but the recipe alone says to which norm"
        " gradients are scaled down. Leave it out, and set train.max_grad_norm.",
    ),
    _Wish(
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS",
        lambda value: value not in {"1", "auto"},
        "`--gradient_accumulation_steps` was given to accelerate, but the recipe alone says how"
        " many rows a step has. Leave it out, and set train.batch_size and train.micro_batch_size.",
    ),
)


@contextmanager
def joined(device: str, *, no_shards: str = "", quantized: bool = False) -> Iterator[None]:
    """Be one of the processes of a run for the block; alone, there is nothing to do.

    Args:
        device: The recipe's setting; several processes take "auto", "cuda" or "cpu".
        no_shards: Why this training cannot have its model in shards; empty: it can.
        quantized: Whether weights are in 4 bits.

    Raises:
        ConfigError: The launcher was asked for what training does not do, or the device is not one
            that each process has its own of.
    """
    us = place()
    for wish in _WISHES:
        if wish.variable in os.environ and wish.asked(os.environ[wish.variable]):
            raise said_once(ConfigError(wish.message))
    _share_out(us, device, no_shards, quantized=quantized)
    if us.world == 1 or distributed.is_initialized():
        yield
        return
    backend = _backend(us, device)
    distributed.init_process_group(backend, rank=us.rank, world_size=us.world, timeout=_PATIENCE)
    yield
    # After an error the others may never come here; the launcher ends them.
    wait_for_all()
    distributed.destroy_process_group()


def _share_out(us: Place, device: str, no_shards: str, *, quantized: bool) -> None:
    """Prepare for the sharding that was asked for, if any."""
    if zero.is_asked_for():
        wanted, reason = "DeepSpeed", zero.obstacle(device)
    elif fsdp.is_asked_for():
        wanted, reason = "FSDP", fsdp.obstacle(device)
    else:
        return
    if not reason and us.world == 1:
        reason = "there is one process only"
    if not reason and quantized:
        reason = "weights in 4 bits cannot be sharded: leave model.quantization out"
    if not reason and shards_model():
        reason = no_shards
    if reason:
        raise said_once(ConfigError(f"{wanted} was asked for, but {reason}."))
    if zero.is_asked_for():
        zero.prepare(device)
    else:
        fsdp.prepare()


@contextmanager
def locked_by_first(run_dir: Path) -> Iterator[None]:
    """Hold a run directory for the block, once for all processes of the run.

    Raises:
        ConfigError: Another run holds it.
        StorageError: The disk refused.
    """
    with ExitStack() as held:
        on_first(lambda: held.enter_context(locked(run_dir)))
        yield
        wait_for_all()


def _backend(us: Place, device: str) -> str:
    """Who carries messages; on a machine with GPUs each process takes its own."""
    kind = pick_device(device).type
    if kind == "cpu":
        return "gloo"
    if kind != "cuda" or torch.device(device if device != "auto" else "cuda").index is not None:
        raise said_once(
            ConfigError(
                f"{us.world} processes need a device each, got model.device = {device!r}. Set it to"
                ' "auto" or "cpu".'
            )
        )
    if us.local_rank >= torch.cuda.device_count():  # only some come here, and each says so
        raise ConfigError(
            f"There are more processes than GPUs on this machine ({torch.cuda.device_count()})."
            " Start as many as there are: --nproc_per_node."
        )
    torch.cuda.set_device(us.local_rank)
    return "cpu:gloo,cuda:nccl"
