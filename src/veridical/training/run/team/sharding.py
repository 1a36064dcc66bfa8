"""A model in shards: each process holds a part of every weight (FSDP2, or DeepSpeed's ZeRO-3).

The whole of a weight is put together where it is written; a forward goes through the model as a
whole (`forward.run_inside`), in all processes at once.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import TrainingArguments

from veridical.errors import ConfigError
from veridical.models.architectures.parts import language_parameters
from veridical.models.loading import Model, unwrap
from veridical.processes import said_once
from veridical.progress import counted
from veridical.training.run.team import fsdp, zero


def asked_for() -> str:
    """What the launcher asked for, by name: "FSDP2", "ZeRO-2", "ZeRO-3"; empty: nothing."""
    return f"ZeRO-{zero.stage()}" if zero.is_asked_for() else "FSDP2" * fsdp.is_asked_for()


def shards_model() -> bool:
    """Whether what was asked for shards the model, and not its optimiser only."""
    return asked_for() not in {"", "ZeRO-2"}


def settle(accelerator: Any, model: Model, arguments: TrainingArguments, *, bf16: bool) -> None:
    """Let gradients be summed and losses given as one process does, whoever shards.

    Args:
        accelerator: The trainer's, before it prepares the model.
        model: The model.
        arguments: The trainer's.
        bf16: Whether forwards compute in bfloat16.
    """
    fsdp.settle(accelerator, model)
    zero.settle(accelerator, model, arguments, bf16=bf16)


def is_sharded(model: nn.Module) -> bool:
    """Whether a model is held in shards."""
    return isinstance(model, FSDPModule) or zero.is_partitioned(model)


def picture_weights(model: Model) -> list[nn.Parameter]:
    """Weights that learn and that a row without a picture passes by."""
    spoken = language_parameters(model)
    return [
        p for p in unwrap(model).base_model.parameters() if p.requires_grad and id(p) not in spoken
    ]


def check_pictures(model: Model, *, pictureless: int) -> None:
    """Refuse rows for which processes would sum gradients of different weights.

    DeepSpeed sums them in the order in which they come, taken to be the same in all processes.

    Args:
        model: The model, its trained parts taking gradients.
        pictureless: How many rows show no picture.

    Raises:
        ConfigError: There are some, and what encodes pictures learns.
    """
    if pictureless and zero.is_asked_for() and picture_weights(model):
        raise said_once(
            ConfigError(
                f"DeepSpeed was asked for, but {counted(pictureless, 'row')} of the data"
                f" {'show' if pictureless > 1 else 'shows'} no picture while what encodes pictures"
                " learns: its processes would sum gradients of different weights. Leave them out,"
                ' set model.trainable to ["language_model"], or start with FSDP2 or without'
                " sharding."
            )
        )


def shape(parameter: Tensor) -> torch.Size:
    """The shape of all of a weight."""
    return torch.Size(getattr(parameter, "ds_shape", parameter.shape))


def whole(parameter: Tensor) -> Tensor:
    """All of a weight, on the CPU; of a sharded one in all processes at once."""
    found = parameter.detach()
    if zero.is_part(parameter):
        with zero.put_together(parameter):
            return parameter.detach().cpu().clone()
    return (found.full_tensor() if isinstance(found, DTensor) else found).cpu().contiguous()


@torch.no_grad()
def put(values: Tensor, parameter: Tensor) -> None:
    """Give a weight its values; of a sharded one each process takes its part."""
    if zero.is_part(parameter):
        with zero.put_together(parameter, changed=True):
            parameter.copy_(values)
    elif isinstance(parameter, DTensor):
        moved = values.to(parameter.device, parameter.dtype)
        parameter.copy_(distribute_tensor(moved, parameter.device_mesh, parameter.placements))
    else:
        parameter.copy_(values)
