"""The training loop that every method shares: `transformers.Trainer`, plus what a run owes its user.

The trainer does batches, accumulation, mixed precision, optimiser and schedule. Added here: a
metrics file, evaluation on held-out data and the choice of a checkpoint by a stated rule, early
stop, progress, and resume points that survive being killed at any moment. A method gives the loss
of a batch and what it wants measured.
"""

import random
import time
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import PrinterCallback, Trainer

from veridical.errors import ModelError, StorageError
from veridical.models.loading import VisionLanguageModel
from veridical.progress import log
from veridical.seeding import child_seed
from veridical.training.run.checkpoints import (
    WEIGHTS,
    Candidate,
    RunProgress,
    load_trainable,
    mark_complete,
    prune_resume_points,
    read_progress,
    save_trainable,
    write_progress,
)
from veridical.training.run.choice import ChoiceRule
from veridical.training.run.flow import Flow, training_arguments
from veridical.training.run.metrics_log import MetricsLog
from veridical.training.run.settings import TrainSection

RESUME_FOLDER = "resume"
"""Where in the run directory resume points lie."""

Measure = Callable[[int], Mapping[str, float]]
"""Gives metrics of the model as it is after so many steps, on held-out data."""
Evaluate = Callable[[VisionLanguageModel, int], Mapping[str, float]]
"""Measures a model after so many steps, on validation scenes; gives `hallucination_rate` and
`object_coverage`."""


class RunTrainer(Trainer):  # type: ignore[misc, unused-ignore]
    """A trainer that writes its run directory so that the run can be followed, resumed and judged."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        rows: Sequence[Any],
        *,
        settings: TrainSection,
        run_dir: Path,
        collate: Callable[[Sequence[Any]], dict[str, Any]],
        measure: Measure,
        rule: ChoiceRule,
    ) -> None:
        """Set up the loop.

        Args:
            vlm: The model, its trained parts taking gradients.
            rows: What batches are made of.
            settings: How to optimise.
            run_dir: Where metrics, resume points and the best weights go.
            collate: Makes a batch of rows.
            measure: Called before training and at every evaluation.
            rule: How the checkpoint is chosen.
        """
        config = vlm.model.config
        use_cache = config.use_cache if hasattr(config, "use_cache") else None
        super().__init__(
            model=vlm.model,
            args=training_arguments(
                settings, run_dir / RESUME_FOLDER, on_cpu=vlm.device.type == "cpu"
            ),
            train_dataset=rows,  # type: ignore[arg-type, unused-ignore]
            data_collator=collate,  # type: ignore[arg-type, unused-ignore]
            callbacks=[Flow(settings, lambda: self.progress)],
        )
        self.remove_callback(PrinterCallback)
        if use_cache is not None:
            config.use_cache = use_cache  # the trainer turns it off, and it would be saved so
        elif hasattr(config, "use_cache"):
            del config.use_cache
        # Losses are sums over items, divided by the items of the whole step: a short last batch is
        # then weighed right.
        self.model_accepts_loss_kwargs = True
        self._collate_rows = collate
        self.vlm = vlm
        self.settings = settings
        self.run_dir = run_dir
        self.metrics_log = MetricsLog(run_dir)
        self.measure = measure
        self.rule = rule
        self.progress = RunProgress()
        self._pending: list[tuple[int, dict[str, Tensor]]] = []
        self._started = time.monotonic()

    @abstractmethod
    def batch_loss(self, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Give the loss of every row of a batch (B), and by name what else to log, also (B) and detached."""

    def batch_items(self, batch: Mapping[str, Any]) -> int:
        """How many items the losses of a batch sum over: what they are divided by. By default its rows."""
        return len(batch["response_ids"])

    def mean_over(self, rows: Sequence[Any]) -> dict[str, float]:
        """Loss, and what is logged beside it, as means over the items of rows, with the model as it is."""
        totals: defaultdict[str, float] = defaultdict(float)
        items = 0
        size = self.settings.micro_batch_size
        for start in range(0, len(rows), size):
            batch = self._prepare_inputs(self._collate_rows(rows[start : start + size]))
            with self.accelerator.autocast():
                losses, others = self.batch_loss(batch)
            items += self.batch_items(batch)
            for name, values in {"loss": losses, **others}.items():
                totals[name] += float(values.sum())
        return {name: total / items for name, total in totals.items()}

    def run(self, *, resume_from: Path | None) -> None:
        """Train to the end, and load the chosen weights.

        Args:
            resume_from: A whole resume point, or None to start at the beginning.
        """
        if resume_from is None:
            self.metrics_log.forget()
            self.metrics_log.append({"step": 0, "part": "validation", **self._measure(0)})
        else:
            self.progress = read_progress(resume_from)
            step = int(resume_from.name.rpartition("-")[2])
            self.metrics_log.truncate_after(step)
            log(f"Going on after step {step}.")
        prune_resume_points(self._resume_dir, keep=resume_from)
        torch.manual_seed(child_seed(self.settings.seed, "training"))
        self._started = time.monotonic() - self.progress.seconds
        if not self._has_stopped_early():
            self.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
        self.progress.seconds = time.monotonic() - self._started
        load_trainable(self.vlm.model, self._best_path)
        self.vlm.model.eval()

    # What follows are the trainer's own methods, changed only where they need to differ.

    def compute_loss(
        self,
        model: Any,  # noqa: ARG002 (the trainer's signature)
        inputs: Mapping[str, Any],
        return_outputs: bool = False,  # noqa: ARG002, FBT001, FBT002 (the trainer's signature)
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Sum the batch's losses, divided by the items of the whole optimiser step."""
        with self.accelerator.autocast():
            losses, others = self.batch_loss(inputs)
        items = self.batch_items(inputs)
        self._pending.append((items, {"loss": losses.detach(), **others}))
        return losses.sum() / (items if num_items_in_batch is None else num_items_in_batch)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: Any
    ) -> tuple[list[Any], Any]:
        """Count the items of an optimiser step."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        return batches, sum(self.batch_items(batch) for batch in batches)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Measure the model as it is; keep its weights where it is the best so far."""
        step = self.state.global_step
        metrics = self._measure(step)
        self.metrics_log.append({"step": step, "part": "validation", **metrics})
        self._consider(step, metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:  # noqa: ARG002
        """Append a line to the metrics file.

        Raises:
            ModelError: The loss or its gradient is no number any more.
        """
        if "grad_norm" not in logs:
            return  # the trainer's summary at the end; the manifest says the same
        items = sum(count for count, _ in self._pending)
        sums: defaultdict[str, float] = defaultdict(float)
        for _, values in self._pending:
            for name, value in values.items():
                sums[name] += float(value.sum())
        self._pending.clear()
        means = {name: value / items for name, value in sums.items()}
        self.metrics_log.append(
            {
                "step": self.state.global_step,
                "part": "train",
                "epoch": self.state.epoch or 0.0,
                **means,
                "grad_norm": logs["grad_norm"],
                "learning_rate": logs["learning_rate"],
                "seconds": time.monotonic() - self._started,
            }
        )
        if not np.isfinite([means["loss"], logs["grad_norm"]]).all():
            raise ModelError(
                f"The training ran away at step {self.state.global_step}: loss {means['loss']},"
                f" gradient norm {logs['grad_norm']}. Take a smaller train.learning_rate (or"
                " objective.beta), or float32, in a new run directory."
            )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:  # noqa: FBT001, FBT002
        """Write the weights that learn; the others are those of the base."""
        save_trainable(self.vlm.model, (Path(output_dir) if output_dir else self.run_dir) / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002
        load_trainable(self.vlm.model, Path(resume_from_checkpoint) / WEIGHTS)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = self._resume_dir / f"checkpoint-{self.state.global_step}"
        self.progress.seconds = time.monotonic() - self._started
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"Cannot write the resume point `{folder}`: {error}. The one before it is kept;"
                " free space and run the same command again with --resume."
            ) from error
        write_progress(folder, self.progress)
        mark_complete(folder)
        prune_resume_points(folder.parent, keep=folder)

    @property
    def _resume_dir(self) -> Path:
        return self.run_dir / RESUME_FOLDER

    @property
    def _best_path(self) -> Path:
        return self.run_dir / "best" / WEIGHTS

    def _measure(self, step: int) -> dict[str, float]:
        was_training = self.vlm.model.training
        self.vlm.model.eval()
        with torch.no_grad(), _undisturbed_randomness(self.vlm.device):
            metrics = {name: float(value) for name, value in self.measure(step).items()}
        self.vlm.model.train(was_training)
        if step == 0:
            self.progress.base = metrics
        return metrics

    def _consider(self, step: int, metrics: dict[str, float]) -> None:
        progress = self.progress
        base = progress.base or {}
        best = next((c for c in progress.candidates if c.step == progress.best_step), None)
        progress.candidates.append(Candidate(step=step, metrics=metrics))
        better = best is None or self._key(step, metrics) < self._key(best.step, best.metrics)
        if better:
            progress.best_step, progress.evaluations_since_best = step, 0
            save_trainable(self.vlm.model, self._best_path)
        else:
            progress.evaluations_since_best += 1
        if metrics:
            log(
                f"step {step}: {_in_words(metrics)}{' (best so far)' if better else ''}; base:"
                f" {_in_words(base)}"
            )
        if self._has_stopped_early():
            patience = self.settings.early_stop_patience
            log(
                f"Stopped early: no better checkpoint in {patience} evaluations (rule:"
                f" {self.rule.statement})."
            )
            self.control.should_training_stop = True

    def _has_stopped_early(self) -> bool:
        patience = self.settings.early_stop_patience
        return 0 < patience <= self.progress.evaluations_since_best

    def _key(self, step: int, metrics: Mapping[str, float]) -> tuple[float, ...]:
        return self.rule.key({**metrics, "step": step}, self.progress.base or {})


@contextmanager
def _undisturbed_randomness(device: torch.device) -> Iterator[None]:
    """Leave the random states as they were, so that measuring (or not) does not change the training."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _in_words(metrics: Mapping[str, float]) -> str:
    """Metrics on one line, without the ends of their intervals (`NAME/low`)."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items() if "/" not in name)
