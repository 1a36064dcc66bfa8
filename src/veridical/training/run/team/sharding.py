"""A model in shards: each process holds a part of every weight (FSDP2, by accelerate).

Weights are then distributed tensors. Their whole is put together where it is written; a forward
goes through the model as a whole (`forward.run_inside`), in all processes at once.
"""

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy
from torch.distributed.tensor import DTensor, distribute_tensor

from veridical.errors import ConfigError
from veridical.models.architectures.parts import language_model, language_parameters
from veridical.models.devices import pick_device
from veridical.models.loading import Model, unwrap
from veridical.processes import said_once

_ASKED = "ACCELERATE_USE_FSDP"
_LOADED_WHOLE = {
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
}
"""What a run needs of accelerate: each process loads the model whole, encodes and scores with it,
and shards it then; resume points hold the optimiser in shards."""


def is_asked_for() -> bool:
    """Whether the launcher asked for FSDP."""
    return os.environ.get(_ASKED, "").lower() in {"1", "true", "yes"}


def obstacle(device: str) -> str:
    """Why accelerate would not shard as it was asked to; empty: it would."""
    if pick_device(device).type != "cuda":
        return "accelerate shards on CUDA only, and elsewhere silently does not"
    if os.environ.get("FSDP_VERSION", "1") != "2":
        return "its first version was asked for: add `--fsdp_version 2`"
    if os.environ.get("FSDP_ACTIVATION_CHECKPOINTING", "false").lower() == "true":
        return "activation checkpointing was asked for beside it: set train.gradient_checkpointing"
    return ""


def prepare() -> None:
    """Set what a run in shards needs of accelerate."""
    os.environ.update(_LOADED_WHOLE)


def name_layers(model: Model) -> None:
    """Let each decoder layer be gathered by itself, where FSDP is asked for and nothing else is."""
    if is_asked_for():
        layers = getattr(language_model(model), "layers", ())
        kinds = ",".join(sorted({type(layer).__name__ for layer in layers}))
        os.environ.setdefault("FSDP_AUTO_WRAP_POLICY", "TRANSFORMER_BASED_WRAP")
        os.environ.setdefault("FSDP_TRANSFORMER_CLS_TO_WRAP", kinds)


def settle_shards(accelerator: Any, model: Model) -> None:
    """Let FSDP sum gradients and give losses in float32, as one process does.

    What encodes images stays whole where it does not learn: its weights name its features.

    Args:
        accelerator: The trainer's, before it prepares the model.
        model: The model.
    """
    if is_asked_for():
        spoken = language_parameters(model)
        frozen = (p for p in unwrap(model).parameters() if not p.requires_grad)
        plugin = accelerator.state.fsdp_plugin
        plugin.mixed_precision_policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if accelerator.mixed_precision == "bf16" else None,
            reduce_dtype=torch.float32,
            output_dtype=torch.float32,
        )
        plugin.ignored_modules = [nn.ParameterList(p for p in frozen if id(p) not in spoken)]


def is_sharded(model: nn.Module) -> bool:
    """Whether a model is held in shards."""
    return isinstance(model, FSDPModule)


def check_sharded(model: nn.Module) -> None:
    """Refuse to train in the way that accelerate falls back to.

    Raises:
        ConfigError: FSDP was asked for, and the model is whole.
    """
    if is_asked_for() and not is_sharded(model):
        raise said_once(
            ConfigError(
                "FSDP was asked for, but accelerate left the model whole. Start without FSDP, or"
                " report it with the versions that `veridical doctor` shows."
            )
        )


def whole(parameter: Tensor) -> Tensor:
    """All of a weight; of a sharded one in all processes at once."""
    found = parameter.detach()
    return found.full_tensor() if isinstance(found, DTensor) else found


def like(values: Tensor, parameter: Tensor) -> Tensor:
    """Values in the shards that a weight is held in; of a whole weight as they are."""
    if not isinstance(parameter, DTensor):
        return values
    moved = values.to(parameter.device, parameter.dtype)
    return distribute_tensor(moved, parameter.device_mesh, parameter.placements)
