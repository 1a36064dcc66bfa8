"""When a run evaluates, saves and stops; and the recipe's settings as `TrainingArguments`."""

import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainingArguments

from veridical.errors import ConfigError
from veridical.heap import give_back
from veridical.processes import said_once
from veridical.progress import track
from veridical.seeding import child_seed
from veridical.training.run.checkpoints import RunProgress
from veridical.training.run.settings import TrainSection
from veridical.training.run.team import zero
from veridical.training.run.team.work import here

_STEPS_BETWEEN_TRIMS = 16


class Flow(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Says when to evaluate and save, and shows how far the run is."""

    def __init__(self, settings: TrainSection, progress: Callable[[], RunProgress]) -> None:
        """Follow `settings`; `progress` gives how far the run is."""
        self._settings = settings
        self._progress = progress
        self._bar: Generator[int] = (step for step in range(0))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Open the progress bar."""
        steps = range(state.global_step, state.max_steps)
        self._bar = (step for step in track(steps, label="Training"))
        next(self._bar, None)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Decide after each optimiser step."""
        next(self._bar, None)
        if state.global_step % _STEPS_BETWEEN_TRIMS == 0:
            give_back()
        settings = self._settings
        last = state.global_step >= state.max_steps
        if last or (
            settings.evaluation_steps and state.global_step % settings.evaluation_steps == 0
        ):
            control.should_evaluate = True
        if settings.save_steps and state.global_step % settings.save_steps == 0:
            control.should_save = True
        self._save_with_evaluation(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Decide after each epoch."""
        done = self._progress().candidates
        evaluated = bool(done) and done[-1].step == state.global_step
        if (
            not self._settings.evaluation_steps
            and not evaluated
            and not control.should_training_stop
        ):
            control.should_evaluate = True
        self._save_with_evaluation(control)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Close the progress bar, after an early stop too."""
        self._bar.close()

    def _save_with_evaluation(self, control: Any) -> None:
        if control.should_evaluate and not self._settings.save_steps:
            control.should_save = True


def training_arguments(
    settings: TrainSection, folder: Path, *, on_cpu: bool, all_weights: bool = True
) -> TrainingArguments:
    """Put a recipe's settings into the trainer's words.

    Args:
        settings: The recipe's section.
        folder: Where resume points go.
        on_cpu: Stay on the CPU even where there is an accelerator.
        all_weights: Every forward reaches all weights that learn.

    Raises:
        ConfigError: The processes cannot share a step's rows, or a reporter's package is missing.
    """
    world = here().world
    if settings.batch_size % (settings.micro_batch_size * world):
        raise said_once(
            ConfigError(
                f"`train.batch_size` ({settings.batch_size}) must be a multiple of"
                f" `train.micro_batch_size` ({settings.micro_batch_size}) times {world}, the"
                " number of processes. Start another number of processes, or change one of them."
            )
        )
    # Where tokens decide, the data loader gives the rows of a step, which are then cut.
    each = (
        settings.batch_size // world if settings.micro_batch_tokens else settings.micro_batch_size
    )
    schedule = "constant_with_warmup" if settings.schedule == "constant" else settings.schedule
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=each,
        gradient_accumulation_steps=settings.batch_size // (each * world),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        seed=child_seed(settings.seed, "trainer") % 2**32,
        # DeepSpeed would round the weights instead, and accelerate leaves it out on a known CPU.
        bf16=settings.bf16 and not zero.is_asked_for(),
        use_cpu=on_cpu and not zero.is_asked_for(),
        ddp_backend="gloo" if on_cpu and here().world > 1 else None,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        report_to=_installed(settings.report_to) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=not on_cpu,
        ddp_find_unused_parameters=not all_weights,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # else the trainer would copy the model to all of them
    return arguments


def _installed(reporters: Sequence[str]) -> list[str]:
    """The reporters, each with its package there."""
    missing = [name for name in reporters if find_spec(name) is None]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise ConfigError(
            f"`train.report_to` names {names}, which {'is' if len(missing) == 1 else 'are'} not"
            f" installed. Run `pip install {' '.join(missing)}`, or leave it out."
        )
    return list(reporters)


@contextmanager
def undisturbed_randomness(device: torch.device) -> Iterator[None]:
    """Restore the random states, so that measuring does not change the training."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def in_words(metrics: Mapping[str, float]) -> str:
    """Metrics on one line, without the ends of their intervals (`NAME/low`)."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items() if "/" not in name)
