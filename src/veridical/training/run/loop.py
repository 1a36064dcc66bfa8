"""The training loop of all methods: `transformers.Trainer`, plus what a run owes its user.

The trainer does batches, accumulation, mixed precision, optimiser and schedule. Added here: a
metrics file, evaluation on held-out data and the choice of a checkpoint by a stated rule, early
stop, progress, and resume points that survive being killed at any moment. A method gives its
batches and how it learns from one; most do so by a loss, see `loss_trainer`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import torch
from peft import PeftModel
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PrinterCallback

from veridical.errors import StorageError
from veridical.models.loading import VisionLanguageModel
from veridical.progress import log
from veridical.seeding import child_seed
from veridical.training.run.checkpoints import (
    WEIGHTS,
    RunProgress,
    check_optimizer,
    load_trainable,
    mark_complete,
    prune_resume_points,
    read_progress,
    resume_point_error,
    save_trainable,
    write_progress,
)
from veridical.training.run.choice import ChoiceRule
from veridical.training.run.directory import MetricsLog
from veridical.training.run.flow import (
    Flow,
    in_words,
    training_arguments,
    undisturbed_randomness,
)
from veridical.training.run.read_ahead import ReadAhead
from veridical.training.run.settings import TrainSection
from veridical.training.run.steps.sums import StepSums, check_finite
from veridical.training.run.steps.trainer import Cut, StepTrainer, collator, is_empty, parts_of
from veridical.training.run.team.work import here, total, wait_for_all

RESUME_FOLDER = "resume"
"""Where in the run directory resume points lie."""

Metrics = Mapping[str, float]
"""What was measured, by name."""
Measure = Callable[[int], Metrics]
"""Gives metrics of the model as it is after so many steps, on held-out data."""
Evaluate = Callable[[VisionLanguageModel, int], Metrics]
"""Measures a model after so many steps, on validation scenes; gives `hallucination_rate` and
`object_coverage`."""

Row = TypeVar("Row")
"""What batches are made of."""
Batch = TypeVar("Batch", bound=Mapping[str, object])
"""Named tensors, as a `TypedDict`: the trainer moves those to the device."""
TrainerInputs = dict[str, Tensor | Any]
"""What `transformers.Trainer` calls a batch."""


class Course(NamedTuple):
    """How a run is to go, whatever the method."""

    settings: TrainSection
    """How to optimise, evaluate and save."""
    run_dir: Path
    """Where metrics, resume points and the best weights go."""
    rule: ChoiceRule
    """How the checkpoint is chosen."""


class RunTrainer(StepTrainer, Generic[Row, Batch], ABC):
    """A trainer whose run directory lets the run be followed, resumed and judged."""

    roles_apart: ClassVar[bool] = False
    """Whether a step has several forwards, each through an adapter of its own."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        rows: Sequence[Row],
        course: Course,
        *,
        collate: Callable[[Sequence[Row]], Mapping[str, object]],
        measure: Measure,
        cut: Cut[Row] | None = None,
    ) -> None:
        """Set up the loop.

        Args:
            vlm: The model, its trained parts taking gradients.
            rows: What batches are made of.
            course: How the run is to go.
            collate: Makes a batch of rows.
            measure: Called before training and at every evaluation.
            cut: Makes micro-batches of the rows of an optimiser step, where their number does not.
        """
        self._read_ahead: ReadAhead[Row] = ReadAhead(collator(collate, cut))
        super().__init__(
            model=vlm.model,
            bf16=course.settings.bf16,
            args=training_arguments(
                course.settings,
                course.run_dir / RESUME_FOLDER,
                on_cpu=vlm.device.type == "cpu",
                # All of an adapter, but not all of a model: a text has no picture.
                all_weights=isinstance(vlm.model, PeftModel) and not self.roles_apart,
            ),
            train_dataset=rows,  # type: ignore[arg-type, unused-ignore]
            data_collator=self._read_ahead.submit,  # type: ignore[arg-type, unused-ignore]
            callbacks=[Flow(course.settings, lambda: self.progress)],
        )
        self.remove_callback(PrinterCallback)
        # Losses are sums over items, divided by the items of the whole step: a short last batch
        # then has its right weight.
        self.model_accepts_loss_kwargs = True
        self.vlm = vlm
        self.settings, self.run_dir, self.rule = course
        self.metrics_log = MetricsLog(course.run_dir)
        self.measure = measure
        self.progress = RunProgress()
        self._sums = StepSums()
        self._started = time.monotonic()

    # What a method gives.

    @abstractmethod
    def batch_items(self, batch: Batch) -> int:
        """How many items the losses of a batch sum over; what is logged is a mean over them."""

    def step_divisor(self, batches: Sequence[Batch]) -> float:
        """What the summed losses of an optimiser step are divided by: by default its items."""
        parts = [part for batch in batches for part in parts_of(batch)]
        return sum(self.batch_items(part) for part in parts if not is_empty(part))

    def make_batches(self, loaded: list[TrainerInputs]) -> list[Batch]:
        """Make this process's batches of an optimiser step from what the data loader gave."""
        return cast("list[Batch]", loaded)

    # What the frame calls.

    def run(self, *, resume_from: Path | None) -> None:
        """Train to the end, and load the chosen weights.

        Args:
            resume_from: A whole resume point, or None to start at the beginning.
        """
        if resume_from is None:
            self.metrics_log.clear()
            base = self._measure(0)
            self.metrics_log.append({"step": 0, "part": "validation", **base})
            if base:
                log(f"Before training: {in_words(base)}")
        else:
            check_optimizer(resume_from)
            self.progress = read_progress(resume_from)
            step = int(resume_from.name.rpartition("-")[2])
            self.metrics_log.truncate_after(step)
            log(f"Resuming after step {step}.")
        if here().is_first:
            prune_resume_points(self._resume_dir, keep=resume_from)
        torch.manual_seed(child_seed(self.settings.seed, "training"))
        self._started = time.monotonic() - self.progress.seconds
        try:
            if not self._has_stopped_early():
                self.train_compiled(self.settings.compile, resume_from=resume_from)
        finally:
            self._read_ahead.close()
        self.progress.seconds = time.monotonic() - self._started
        wait_for_all()
        load_trainable(self.vlm.model, self._best_path)
        self.vlm.model.eval()

    def take_over(self, other: "RunTrainer[Row, Batch]") -> None:
        """Take over what another trainer of this run has learnt, as if it had been this one."""
        self.progress = other.progress
        load_trainable(self.vlm.model, self._best_path)
        self.vlm.model.eval()

    def note(self, items: int, sums: dict[str, Tensor]) -> None:
        """Keep what a batch adds to its step's line in the log: sums over its items, by name."""
        self._sums.add(items, sums)

    def on_device(self, batch: Mapping[str, object]) -> Batch:
        """Move the tensors of a batch to where the model is."""
        return cast("Batch", self._prepare_inputs(dict(batch)))

    # What follows are the trainer's own methods, changed only where they need to differ.

    def get_batch_samples(  # type: ignore[override, unused-ignore]
        self,
        epoch_iterator: Iterator[Any],
        num_batches: int,
        device: torch.device,  # noqa: ARG002 (the trainer's signature)
    ) -> tuple[list[Batch], float]:
        """Take the batches of an optimiser step, and what its losses are divided by."""
        loaded: list[Any] = self._read_ahead.take(epoch_iterator, num_batches)
        batches = self.make_batches(loaded)
        return batches, total(self.step_divisor(batches))

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        """Measure the model as it is; keep its weights where it is the best so far."""
        step = self.state.global_step
        metrics = self._measure(step)
        self.metrics_log.append({"step": step, "part": "validation", **metrics})
        self.report(metrics, prefix="eval_")
        self._consider(step, metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:  # noqa: ARG002
        """Append a line to the metrics file.

        Raises:
            ModelError: The loss or its gradient is not a finite number.
        """
        if "grad_norm" not in logs:
            return  # the trainer's summary at the end; the manifest says the same
        means = self._sums.take_means()
        shown = {"epoch": self.epochs_done(), **means}
        shown |= {name: logs[name] for name in ("grad_norm", "learning_rate")}
        shown["seconds"] = time.monotonic() - self._started
        self.metrics_log.append({"step": self.state.global_step, "part": "train", **shown})
        self.report(shown)
        check_finite(self.state.global_step, loss=means["loss"], grad_norm=logs["grad_norm"])

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:  # noqa: FBT001, FBT002
        """Write the weights that learn; the others are those of the base."""
        folder = Path(output_dir) if output_dir else self.run_dir
        save_trainable(self.vlm.model, folder / WEIGHTS)

    def _load_from_checkpoint(
        self,
        resume_from_checkpoint: str,
        model: nn.Module | None = None,  # noqa: ARG002 (the trainer's signature)
    ) -> None:
        load_trainable(self.vlm.model, Path(resume_from_checkpoint) / WEIGHTS)

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        folder = self._resume_dir / f"checkpoint-{self.state.global_step}"
        self.progress.seconds = time.monotonic() - self._started
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:
            if isinstance(error, StorageError):
                raise
            raise resume_point_error(folder, error) from error
        wait_for_all()  # each has put its random state there
        if here().is_first:
            write_progress(folder, self.progress)
            mark_complete(folder)
            prune_resume_points(folder.parent, keep=folder)
        wait_for_all()

    @property
    def _resume_dir(self) -> Path:
        return self.run_dir / RESUME_FOLDER

    @property
    def _best_path(self) -> Path:
        return self.run_dir / "best" / WEIGHTS

    def _measure(self, step: int) -> dict[str, float]:
        was_training = self.vlm.model.training
        self.vlm.model.eval()
        with torch.no_grad(), undisturbed_randomness(self.vlm.device):
            metrics = {name: float(value) for name, value in self.measure(step).items()}
        self.vlm.model.train(was_training)
        if step == 0:
            self.progress.base = metrics
        return metrics

    def _consider(self, step: int, metrics: dict[str, float]) -> None:
        better = self.progress.consider(step, metrics, self.rule)
        if better:
            save_trainable(self.vlm.model, self._best_path)
        if metrics:
            log(f"step {step}: {in_words(metrics)}{' (best so far)' if better else ''}")
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
