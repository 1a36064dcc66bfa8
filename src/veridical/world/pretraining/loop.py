"""The training loop of all stages: AdamW, warm-up and cosine, a log, exact resume."""

import json
import math
import time
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from veridical.errors import ModelError
from veridical.files import atomic_path
from veridical.progress import track
from veridical.world.pretraining.batches import Losses


class StageSettings(NamedTuple):
    """How a stage is trained."""

    steps: int
    """Optimiser steps."""
    learning_rate: float
    """Peak of the schedule."""
    warmup: int = 100
    """Steps of linear warm-up."""
    final_share: float = 0.05
    """Learning rate at the end, as a share of the peak."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    log_every: int = 25
    """Steps between lines of the log."""


def run_stage(
    name: str,
    module: nn.Module,
    losses: Losses,
    *,
    settings: StageSettings,
    folder: Path,
) -> None:
    """Train the parameters of `module` that require gradients, or resume from a checkpoint.

    Args:
        name: Name of the stage; names its checkpoint and log.
        module: Everything that is trained or must be saved with it.
        losses: Gives the losses of steps and figures for the log.
        settings: Steps, learning rate and so on.
        folder: Where checkpoint (`NAME.safetensors`) and log (`NAME.jsonl`) lie.

    Raises:
        ModelError: The loss is no longer a number.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=parameters[0].is_cuda or None
    )
    checkpoint, log = folder / f"{name}.safetensors", folder / f"{name}.jsonl"
    start = _load(checkpoint, module, optimizer) if checkpoint.is_file() else 0
    _cut_log(log, start)
    module.train()
    started, sums, count = time.monotonic(), dict[str, Tensor](), 0
    steps = range(start, settings.steps)
    # The figures stay on the device until they are logged: to ask for one is to wait for it.
    for step, (loss, figures) in zip(
        track(steps, label=f"pretrain {name}"), losses(steps), strict=True
    ):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _schedule(step, settings)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        for key, value in {"loss": loss.detach(), **figures}.items():
            sums[key] = sums.get(key, 0.0) + value
        count += 1
        done = step + 1
        if done % settings.log_every == 0 or done == settings.steps:
            means = {key: round(value.item() / count, 5) for key, value in sums.items()}
            _check_finite(name, means["loss"], done)
            line = {
                "stage": name,
                "step": done,
                **means,
                "seconds": round(time.monotonic() - started, 1),
            }
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            sums, count = {}, 0
        if done % settings.checkpoint_every == 0 or done == settings.steps:
            _save(checkpoint, module, optimizer, done)
    module.eval()


def _check_finite(name: str, loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise ModelError(
            f"Stage {name}: the mean loss up to step {step} is {loss}. Lower the learning rate."
        )


def _schedule(step: int, settings: StageSettings) -> float:
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.final_share + (1 - settings.final_share) * 0.5 * (1 + math.cos(math.pi * done))


def _save(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    tensors = {f"model.{key}": value.detach().clone() for key, value in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"optimizer.{index}.{key}"] = torch.as_tensor(value).clone()
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"step": str(step)})


def _load(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        step = int(file.metadata()["step"])
    tensors = load_file(path)
    module.load_state_dict(
        {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, field = key.split(".")
            state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    return step


def _cut_log(log: Path, step: int) -> None:
    """Drop lines of the log that lie beyond the checkpoint: they will be written again."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.is_file():
        lines = [
            line
            for line in log.read_text(encoding="utf-8").splitlines()
            if json.loads(line)["step"] <= step
        ]
        log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
