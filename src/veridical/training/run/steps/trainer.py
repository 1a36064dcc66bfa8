"""A trainer whose steps keep a GPU busy: nothing in them waits for the device.

The host prepares a step while the device is at the one before it, unless it asks for a number that
the device has yet to compute. So batches are sent from pinned memory without waiting, with their
masks kept on the host, too, for the layout of prompts and responses.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
from accelerate.data_loader import prepare_data_loader
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer

from veridical.models.adapters import leave_casts_to_autocast
from veridical.models.branches import BranchBatch, HostMasks
from veridical.models.kernels.compiled_layers import compile_layers, restore_layers
from veridical.models.loading import Model
from veridical.models.sending import send
from veridical.progress import log
from veridical.seeding import child_seed
from veridical.training.run.team import zero
from veridical.training.run.team.forward import run_inside
from veridical.training.run.team.fsdp import check_sharded, name_layers
from veridical.training.run.team.sharding import asked_for, settle, shards_model
from veridical.training.run.team.work import here, share

T = TypeVar("T")
Row = TypeVar("Row")
B = TypeVar("B", bound=Mapping[str, Any])
Collate = Callable[[Sequence[Row]], Mapping[str, object]]
"""Makes a batch of rows."""
Cut = Callable[[Sequence[Row]], Sequence[Sequence[Row]]]
"""Makes parts of rows."""

_HOST_MASKS = "host_masks"
"""Name in a batch of the masks that stay on the host."""
_PARTS = "parts"
"""Name in what the data loader gives of a step's micro-batches, where tokens decide on them."""
_EMPTY = "empty"
"""Name in a batch of the sign that it stands in for one without rows, and counts nothing."""
Compile = Literal["auto", "on", "off"]
"""Whether decoder layers are compiled."""
_WORTH_COMPILING = 1000
"""Batches after which a minute of compiling has been made up for (H200, 7 B, four pairs)."""
_NO_CHECKS = "TRANSFORMERS_DISABLE_TORCH_CHECK"


def branches_of(batch: Mapping[str, Any]) -> BranchBatch:
    """The prompts and responses of a batch of the trainer."""
    return BranchBatch(
        batch["prompt"], batch["response_ids"], batch["response_mask"], batch.get(_HOST_MASKS)
    )


def collate_share(rows: Sequence[Row], collate: Collate[Row]) -> Mapping[str, object]:
    """Make a batch of this process's share of rows.

    Where there are fewer rows than processes, one that has none takes part with a row that does not
    count, since gradients are averaged over all.
    """
    mine = share(rows)
    return collate(mine) if mine else {**collate(rows[:1]), _EMPTY: True}


def collator(collate: Collate[Row], cut: Cut[Row] | None) -> Collate[Row]:
    """What makes this process's share of what the data loader drew: a micro-batch, or several.

    Args:
        collate: Makes a micro-batch.
        cut: Makes micro-batches of the rows of an optimiser step, where their number does not.
    """
    if cut is None:
        return partial(collate_share, collate=collate)
    return lambda rows: {_PARTS: [collate_share(part, collate) for part in cut(rows)]}


def parts_of(loaded: B) -> list[B]:
    """The micro-batches in what the data loader gave: itself, or several."""
    return cast("list[B]", loaded[_PARTS]) if _PARTS in loaded else [loaded]


def is_empty(batch: Mapping[str, Any]) -> bool:
    """Whether a batch only stands in for one without rows."""
    return _EMPTY in batch


def as_empty_as(one: Mapping[str, Any], batch: B) -> B:
    """Mark a batch that was made of another as empty where that is."""
    return cast("B", {**batch, _EMPTY: True}) if is_empty(one) else batch


class StepTrainer(Trainer):  # type: ignore[misc, unused-ignore]
    """The trainer of transformers, with steps for a GPU."""

    parts_per_batch: float = 1.0
    """About how many micro-batches the data loader gives at once."""

    def __init__(self, *, model: Model, bf16: bool, **settings: Any) -> None:
        """Set up the trainer; the model's configuration stays as it is.

        Args:
            model: The model.
            bf16: Whether forwards compute in bfloat16.
            settings: What else `transformers.Trainer` takes.
        """
        self._bf16 = bf16
        name_layers(model)
        config = model.config
        use_cache = config.use_cache if hasattr(config, "use_cache") else None
        super().__init__(model=model, **settings)
        if use_cache is not None:
            config.use_cache = use_cache  # the trainer turns it off, and it would be saved so
        elif hasattr(config, "use_cache"):
            del config.use_cache
        settle(self.accelerator, model, self.args, bf16=bf16)

    def train_compiled(self, how: Compile, *, resume_from: Path | None) -> None:
        """Train, with compiled decoder layers where that is wanted and possible."""
        rows = len(cast("Sized", self.train_dataset)) * self.args.num_train_epochs
        if self.args.max_steps > 0:
            rows = self.args.max_steps * self.args.train_batch_size * here().world
            rows *= self.args.gradient_accumulation_steps
        batches = rows / self.args.train_batch_size / here().world * self.parts_per_batch
        on_gpu = self.args.device.type == "cuda"
        wanted = on_gpu and (how == "on" or (how == "auto" and batches >= _WORTH_COMPILING))
        compiled = wanted and asked_for() != "ZeRO-3"
        if wanted and not compiled:
            log("Decoder layers are not compiled: ZeRO-3 gathers weights within them.")
        if compiled:
            compile_layers(self.model)
        try:
            self.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
        finally:
            if compiled:
                restore_layers(self.model)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Rows in the order of one process; each of several takes its share of every batch.

        So a step has the same rows in any number of processes, and a run resumes in any number.
        """
        if here().world == 1:
            return super().get_train_dataloader()  # type: ignore[no-any-return, unused-ignore]
        loader: DataLoader[Any] = DataLoader(
            cast("Dataset[Any]", self.train_dataset),
            batch_size=self.args.train_batch_size * here().world,
            sampler=self._get_train_sampler(),
            collate_fn=self.data_collator,
        )
        prepared: DataLoader[Any] = prepare_data_loader(
            loader, num_processes=1, process_index=0, use_seedable_sampler=True
        )
        # What is drawn from now on, such as dropout, differs; the order of the rows is fixed.
        torch.manual_seed(child_seed(self.args.seed, "process", here().rank))
        return prepared

    def epochs_done(self) -> float:
        """Passes over the rows so far, in micro-batches: as one process would count them."""
        if here().world == 1:
            return self.state.epoch or 0.0
        size, step = self.args.train_batch_size, self.state.global_step
        whole = ceil(len(cast("Sized", self.train_dataset)) / size)
        each = self.args.gradient_accumulation_steps * here().world
        epochs, more = divmod(step, ceil(whole / each))
        return epochs + more * each / whole

    def inside(self, model: nn.Module, work: Callable[[], T]) -> T:
        """Do some work as the forward of the model, where DDP sees it; give what it gives."""
        return run_inside(model, cast("nn.Module", self.model), work)

    def autocast(self) -> AbstractContextManager[object]:
        """The precision that a forward computes in.

        A model in shards keeps no cast weights for later: they would be whole ones.
        """
        return torch.autocast(
            self.args.device.type,
            torch.bfloat16,
            enabled=self._bf16,
            cache_enabled=not shards_model(),
        )

    def training_step(self, model: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Forward and backward of one batch."""
        check_sharded(cast("nn.Module", self.model))
        with leave_casts_to_autocast(model, active=self._bf16), no_checks_of_values():
            return self.learn(model, *args, **kwargs)

    def backward(self, loss: Tensor) -> None:
        """Add to the gradients of the optimiser step; with its last one DeepSpeed takes it."""
        scaling = {"scale_wrt_gas": False} if zero.is_asked_for() else {}  # the loss has its share
        self.accelerator.backward(loss, **scaling)

    @contextmanager
    def more_to_come(self, *, active: bool = True) -> Iterator[None]:
        """Say, for the block, that another backward of the same optimiser step follows."""
        state = self.accelerator.gradient_state
        before = state.sync_gradients
        state._set_sync_gradients(before and not active)
        try:
            yield
        finally:
            state._set_sync_gradients(before)

    def report(self, values: Mapping[str, object], *, prefix: str = "") -> None:
        """Hand the numbers among these values to the reporters that the recipe names."""
        numbers = {f"{prefix}{n}": v for n, v in values.items() if isinstance(v, int | float)}
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, numbers)

    def learn(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """What a step does: by default a loss and its gradients."""
        *before, last = parts_of(inputs)
        learnt: list[Tensor] = []
        for part in before:
            with self.accelerator.no_sync(model=model), self.more_to_come():
                learnt.append(super().training_step(model, part, *args, **kwargs))
        learnt.append(super().training_step(model, last, *args, **kwargs))
        return torch.stack(learnt).sum() if before else learnt[0]

    def _prepare_inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        device = self.args.device
        if device.type != "cuda":
            prepared: dict[str, Any] = super()._prepare_inputs(dict(inputs))
            return prepared
        moved = {name: _move(value, device) for name, value in inputs.items()}
        mask = inputs.get("response_mask")
        if mask is not None and mask.device.type == "cpu":
            moved[_HOST_MASKS] = HostMasks(inputs["prompt"]["attention_mask"].bool(), mask)
        return moved


def _move(value: Any, device: torch.device) -> Any:
    """Send the tensors in a value to the device, without waiting for them to arrive."""
    if isinstance(value, Tensor):
        return send(value, device)
    if isinstance(value, Mapping):
        return {name: _move(part, device) for name, part in value.items()}
    return value


@contextmanager
def no_checks_of_values() -> Iterator[None]:
    """Keep transformers from waiting for the device to count what was counted when encoding."""
    before = os.environ.get(_NO_CHECKS)
    os.environ[_NO_CHECKS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NO_CHECKS]
        else:
            os.environ[_NO_CHECKS] = before
