"""A model in shards by PyTorch's FSDP2, as accelerate sets it up: distributed tensors."""

import os
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy

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


def settle(accelerator: Any, model: Model) -> None:
    """Let FSDP sum gradients in float32, and leave what forwards compute in to autocast.

    If FSDP rounded weights itself, then also those that autocast leaves in float32 (norms and
    embeddings), and what runs between the layers: losses would not be those of one process, nor
    DPO's policy at its start the reference, which was scored before.

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
            reduce_dtype=torch.float32, cast_forward_inputs=False
        )
        plugin.ignored_modules = [nn.ParameterList(p for p in frozen if id(p) not in spoken)]


def check_sharded(model: nn.Module) -> None:
    """Refuse to train in the way that accelerate falls back to.

    Raises:
        ConfigError: FSDP was asked for, and the model is whole.
    """
    if is_asked_for() and not isinstance(model, FSDPModule):
        raise said_once(
            ConfigError(
                "FSDP was asked for, but accelerate left the model whole. Start without FSDP, or"
                " report it with the versions that `veridical doctor` shows."
            )
        )
