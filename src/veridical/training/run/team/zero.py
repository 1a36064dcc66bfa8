"""The optimiser in shards, or the model too: DeepSpeed's ZeRO-2 and ZeRO-3, by accelerate.

The launcher says how to share out (its stage, or the `zero_optimization` section of a DeepSpeed
file); the recipe says all else. Weights stay as they are under `train.bf16` and autocast computes,
as in one process: DeepSpeed's own mixed precision would round them.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import TrainingArguments

from veridical.errors import ConfigError, install_line
from veridical.models.architectures.parts import language_parameters
from veridical.models.devices import pick_device
from veridical.models.loading import Model, unwrap
from veridical.processes import said_once

_ASKED = "ACCELERATE_USE_DEEPSPEED"
_STAGES = (2, 3)
_HARMLESS = {"steps_per_print", "wall_clock_breakdown", "zero_optimization"}


def is_asked_for() -> bool:
    """Whether the launcher asked for DeepSpeed."""
    return os.environ.get(_ASKED, "").lower() in {"1", "true", "yes"}


def stage() -> int:
    """The stage of ZeRO that the launcher asked for; 0: none."""
    return int(_plugin().zero_stage) if is_asked_for() else 0


def obstacle(device: str) -> str:
    """Why DeepSpeed cannot do what it was asked to; empty: it can."""
    if find_spec("deepspeed") is None:
        return f"it is not installed. Run `{install_line('deepspeed')}`"
    if pick_device(device).type == "cpu" and torch.cuda.is_available():
        return "accelerate puts it on CUDA wherever there is CUDA: leave model.device out"
    plugin = _plugin()
    if plugin.zero_stage not in _STAGES:
        return f"training uses its stages 2 and 3 only, got stage {plugin.zero_stage}"
    if {plugin.offload_optimizer_device, plugin.offload_param_device} - {"none", None}:
        return "offloading was asked for with it, which training does not use: leave it out"
    said = [name for name, value in plugin.deepspeed_config.items() if _decides(name, value)]
    if said:
        return (
            f"its configuration sets `{'`, `'.join(said)}`, which the recipe alone decides: leave"
            ' it out, or set it to "auto"'
        )
    return ""


def _decides(name: str, value: Any) -> bool:
    """Whether an entry of DeepSpeed's configuration says what only the recipe says."""
    if name in _HARMLESS or value == "auto" or (name, value) == ("gradient_accumulation_steps", 1):
        return False
    return not (isinstance(value, Mapping) and value.get("enabled") in {"auto", False})


def prepare(device: str) -> None:
    """Set what DeepSpeed needs before it is imported."""
    if pick_device(device).type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def settle(accelerator: Any, model: Model, arguments: TrainingArguments, *, bf16: bool) -> None:
    """Let DeepSpeed do what the recipe says, and load models whole from now on.

    Args:
        accelerator: The trainer's, before it prepares the model.
        model: The model.
        arguments: The trainer's.
        bf16: Whether forwards compute in bfloat16.
    """
    if not is_asked_for():
        return
    from transformers.integrations.deepspeed import (
        propagate_args_to_deepspeed,
        unset_hf_deepspeed_config,
    )

    plugin = accelerator.state.deepspeed_plugin
    if plugin is None:
        raise said_once(
            ConfigError(
                "DeepSpeed was asked for, but accelerate leaves it out on a CPU where `--cpu` was"
                " given. Start without `--cpu`."
            )
        )
    config = {
        "zero_optimization": plugin.deepspeed_config["zero_optimization"],
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "steps_per_print": float("inf"),
    }
    plugin.hf_ds_config.config = config
    propagate_args_to_deepspeed(accelerator, arguments)  # type: ignore[no-untyped-call, unused-ignore]  # no types there
    accelerator.gradient_accumulation_steps = arguments.gradient_accumulation_steps
    # Autocast alone, with gradients summed in float32 whatever the layer.
    config = plugin.deepspeed_config
    config["bf16"] = config["fp16"] = {"enabled": False}
    config["torch_autocast"] = {
        "enabled": bf16,
        "dtype": "bfloat16",
        "lower_precision_safe_modules": [],
    }
    # Else transformers would load the next model in shards, too.
    unset_hf_deepspeed_config()  # type: ignore[no-untyped-call, unused-ignore]  # no types there
    _set_up(accelerator, model)


def _set_up(accelerator: Any, model: Model) -> None:
    """Have accelerate set up DeepSpeed for what learns or speaks, and for nothing else."""
    prepare = accelerator.prepare

    def prepare_parts(*parts: Any, **how: Any) -> Any:
        if stage() == 3:
            _put_images_aside(model)
        prepared = prepare(*parts, **how)
        if accelerator.deepspeed_engine_wrapped is not None:
            _leave_out_frozen(accelerator.deepspeed_engine_wrapped.engine)
        return prepared

    accelerator.prepare = prepare_parts


def _put_images_aside(model: Model) -> None:
    """Hide from DeepSpeed what encodes images and does not learn: it is found by name only.

    So it stays whole: its weights name its features, and one process may have to encode where the
    others find the features kept.
    """
    for owner, name, module in list(_frozen(unwrap(model), language_parameters(model))):
        if not isinstance(owner, nn.ModuleList | nn.ModuleDict | nn.Sequential):
            del owner._modules[name]
            vars(owner)[name] = module.eval()


def _leave_out_frozen(engine: Any) -> None:
    """Let resume points leave out what is frozen, as those of one process do."""
    save, load = engine.save_checkpoint, engine.load_checkpoint
    engine.save_checkpoint = partial(save, exclude_frozen_parameters=True)
    engine.load_checkpoint = lambda *args, **how: load(*args, **how | {"load_module_strict": False})


def _frozen(
    owner: nn.Module, spoken: Collection[int]
) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """The largest modules whose weights neither learn nor speak, each with its owner and name."""
    for name, module in owner.named_children():
        weights = list(module.parameters())
        if any(p.requires_grad or id(p) in spoken for p in weights):
            yield from _frozen(module, spoken)
        elif weights:
            yield owner, name, module


def is_partitioned(model: nn.Module) -> bool:
    """Whether each process holds a part of every weight (ZeRO-3)."""
    return any(is_part(parameter) for parameter in model.parameters())


def is_part(parameter: Tensor) -> bool:
    """Whether a weight is held in parts (ZeRO-3)."""
    return hasattr(parameter, "ds_id")


@contextmanager
def put_together(parameter: Tensor, *, changed: bool = False) -> Iterator[None]:
    """Have all of a weight in its place for the block, in all processes at once.

    Args:
        parameter: The weight.
        changed: Whether the first process changes it, for all.
    """
    from deepspeed.runtime.zero import GatheredParameters

    with GatheredParameters([parameter], modifier_rank=0 if changed else None):
        yield


class Written(NamedTuple):
    """How DeepSpeed wrote a resume point."""

    stage: int
    """Its stage of ZeRO."""
    processes: int
    """How many processes wrote it; as many must read it."""


def written(folder: Path) -> Written | None:
    """How a resume point was written; None: not by DeepSpeed."""
    parts = len(list(folder.glob("global_step*/*_optim_states.pt")))
    if not parts:
        return None
    in_parts = any(folder.glob("global_step*/zero_pp_rank_*_model_states.pt"))
    return Written(3 if in_parts else 2, parts)


def _plugin() -> Any:
    from accelerate import DeepSpeedPlugin

    return DeepSpeedPlugin()
