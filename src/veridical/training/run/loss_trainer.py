"""The shared loop for methods with a loss of each row: forward, backward and held-out loss.

A method adds the loss of a batch. Losses are summed over items (rows, or tokens) and divided by the
items of the whole optimiser step, so that accumulation and a short last batch change nothing.
"""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil
from typing import Generic, NamedTuple, TypedDict, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler

from veridical.errors import ConfigError
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.processes import said_once
from veridical.seeding import child_random
from veridical.training.run.loop import Course, Evaluate, Row, RunTrainer, TrainerInputs
from veridical.training.run.steps.packing import cut_by_tokens
from veridical.training.run.steps.trainer import is_empty
from veridical.training.run.team.sharding import (
    asked_for,
    is_sharded,
    picture_weights,
    shards_model,
)
from veridical.training.run.team.work import here, on_first, share, totals


class BranchTensors(TypedDict):
    """What every batch of prompts with branches holds; methods add their own."""

    prompt: dict[str, Tensor]
    """The encoded prompts."""
    image_keys: list[str] | None
    """Keys of their images' features; None where features are not kept."""
    response_ids: Tensor
    """Token ids (B K T)."""
    response_mask: Tensor
    """True at the responses' tokens (B K T)."""


Branches = TypeVar("Branches", bound=BranchTensors)
"""The batches of one method."""


class RowLosses(NamedTuple):
    """What a batch says."""

    loss: Tensor
    """Loss of every row (B), summed over its items."""
    logged: dict[str, Tensor]
    """What else is logged, by name, also (B), detached."""


class Rows(NamedTuple, Generic[Row]):
    """What a method learns from and measures on."""

    train: Sequence[Row]
    """Rows that are learnt from."""
    held_out: Sequence[Row]
    """Rows that are only measured on; may be empty."""
    collate: Callable[[Sequence[Row]], Mapping[str, object]]
    """Makes a batch of rows."""
    length: Callable[[Row], int]
    """Tokens of a row."""
    by_length: bool = False
    """Put rows of like length into one micro-batch."""
    features: FeatureCache | None = None
    """Where features of their images are kept."""

    def cut(self, rows: Sequence[Row], *, tokens: int, processes: int = 1) -> list[Sequence[Row]]:
        """Cut rows into micro-batches by their tokens."""
        return cut_by_tokens(rows, self.length, tokens=tokens, processes=processes)

    def batch(self, rows: Sequence[Row]) -> Mapping[str, object]:
        """Make a batch, and read the pictures that it needs and nobody kept."""
        made = self.collate(rows)
        keys = made.get("image_keys")
        if isinstance(keys, list) and self.features is not None:
            self.features.read_ahead(keys)
        return made


class LossTrainer(RunTrainer[Row, Branches]):
    """The shared loop for a loss of each row."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        rows: Rows[Row],
        course: Course,
        *,
        evaluate: Evaluate | None = None,
    ) -> None:
        """Set up training on `rows`, measured on those held out and by `evaluate`."""
        self._rows = rows
        self._evaluate_model = evaluate
        if evaluate is not None and shards_model():
            raise said_once(
                ConfigError(
                    f"`evaluate` lets one process ask the model, which {asked_for()} spreads over"
                    " all. Start without it, or evaluate the result."
                )
            )
        tokens = course.settings.micro_batch_tokens
        super().__init__(
            vlm,
            rows.train,
            course,
            collate=rows.batch,
            measure=self.measure_held_out,
            cut=partial(rows.cut, tokens=tokens, processes=here().world) if tokens else None,
        )
        if tokens:
            step = course.settings.batch_size / len(rows.train)
            self.parts_per_batch = step * sum(map(rows.length, rows.train)) / tokens

    @abstractmethod
    def batch_loss(self, batch: Branches) -> RowLosses:
        """Give the loss of every row of a batch."""

    def batch_items(self, batch: Branches) -> int:
        """The rows of a batch."""
        return len(batch["response_ids"])

    def mean_over(self, rows: Sequence[Row]) -> dict[str, float]:
        """Loss and whatever else is logged, as means over the items of rows."""
        sums: defaultdict[str, float] = defaultdict(float)
        parts = self._parts(rows)
        mine = list(share(parts))
        counted = len(mine)
        if is_sharded(self.vlm.model) and counted < ceil(len(parts) / here().world):
            mine.append(parts[0])  # all processes must go through the model at once
        for number, part in enumerate(mine):
            batch = self.on_device(self._rows.collate(part))
            with self.autocast():
                found = self.inside(self.vlm.model, partial(self.batch_loss, batch))
            if number >= counted:
                continue
            sums[_ITEMS] += self.batch_items(batch)
            for name, values in {"loss": found.loss, **found.logged}.items():
                sums[name] += float(values.sum())
        summed = totals(sums)
        items = summed.pop(_ITEMS)
        return {name: value / items for name, value in summed.items()}

    def _parts(self, rows: Sequence[Row]) -> list[Sequence[Row]]:
        settings = self.settings
        if settings.micro_batch_tokens:
            return self._rows.cut(rows, tokens=settings.micro_batch_tokens)
        size = settings.micro_batch_size
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def compute_loss(
        self,
        model: nn.Module,
        inputs: TrainerInputs,
        return_outputs: bool = False,  # noqa: ARG002, FBT001, FBT002 (the trainer's signature)
        num_items_in_batch: Tensor | float | None = None,
    ) -> Tensor:
        """Sum the batch's losses, divided by the items of the whole optimiser step."""
        batch = cast("Branches", inputs)
        with self.autocast():
            found = self.inside(model, partial(self._learnt_from, batch))
        if is_empty(batch):
            return found.loss.sum() * 0
        items = self.batch_items(batch)
        self.note(items, {"loss": found.loss.detach(), **found.logged})
        loss = found.loss.sum() / (items if num_items_in_batch is None else num_items_in_batch)
        return loss * here().world  # gradients are averaged over the processes

    def _learnt_from(self, batch: Branches) -> RowLosses:
        found = self.batch_loss(batch)
        return found._replace(loss=self.for_all_weights(found.loss))

    def for_all_weights(self, losses: Tensor) -> Tensor:
        """Losses with a gradient for each weight: FSDP sums those of a module together.

        A row without a picture passes by what encodes pictures; DDP looks for such weights itself.
        """
        weights = picture_weights(self.vlm.model) if asked_for() == "FSDP2" else []
        return losses + 0.0 * torch.stack([w.sum() for w in weights]).sum() if weights else losses

    def _get_train_sampler(self, train_dataset: Dataset[Row] | None = None) -> Sampler[int] | None:
        if not self._rows.by_length:
            return super()._get_train_sampler(train_dataset)  # type: ignore[no-any-return, unused-ignore]
        return LengthOrder(
            [self._rows.length(row) for row in self._rows.train],
            batch_size=self.settings.micro_batch_size,
            seed=self.settings.seed,
        )

    def measure_held_out(self, step: int) -> dict[str, float]:
        """Loss and measures of the rows held out, and what `evaluate` finds."""
        metrics = self.mean_over(self._rows.held_out) if self._rows.held_out else {}
        if self._evaluate_model is not None:
            evaluate = self._evaluate_model
            metrics |= on_first(lambda: dict(evaluate(self.vlm, step)))
        return metrics


_ITEMS = "/items"
_BATCHES_A_BLOCK = 50


class LengthOrder(Sampler[int]):
    """A random order of rows that puts those of like length into one batch, against padding.

    Rows are shuffled, cut into blocks of many batches, sorted by length within each block and cut
    into batches, which are shuffled again. The order depends on seed and epoch alone: a resumed run
    finds the place where it was.
    """

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        """Set up the order.

        Args:
            lengths: Length of each row.
            batch_size: Rows of a batch.
            seed: The root seed.
        """
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which pass over the rows comes next; the trainer does."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        random = child_random(self._seed, "length order", self._epoch)
        rows = list(range(len(self._lengths)))
        random.shuffle(rows)
        # The batch that is not full must be the last one, or all after it would be cut elsewhere.
        whole = len(rows) - len(rows) % self._batch_size
        rest = rows[whole:]
        size = self._batch_size * _BATCHES_A_BLOCK
        batches: list[list[int]] = []
        for start in range(0, whole, size):
            block = sorted(rows[start : min(start + size, whole)], key=self._lengths.__getitem__)
            batches += [
                block[place : place + self._batch_size]
                for place in range(0, len(block), self._batch_size)
            ]
        random.shuffle(batches)
        yield from (row for batch in batches for row in batch)
        yield from rest
