"""Batches of a stage: prepared by processes of their own, sent to the device, in their order.

Batch number i depends on the seed, the stage and i alone, so that how many processes prepare them
changes nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import torch
from accelerate.utils import send_to_device
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from veridical.models.devices import pick_device
from veridical.records.manifests import usable_cores

B = TypeVar("B")
Loss = tuple[Tensor, Mapping[str, Tensor]]
"""What is minimised, and figures for the log."""
Losses = Callable[[range], Iterator[Loss]]
"""Gives the losses of steps, one after the other."""
_AHEAD = 8
"""Batches that each process prepares ahead."""
_MOST_WORKERS = 6


class Place(NamedTuple):
    """Where a base model is trained, and with how many helping processes."""

    device: torch.device
    workers: int
    """Processes that prepare batches; 0: the training process itself does."""

    @property
    def parts(self) -> int:
        """Batches that a step's examples are split into: on a CPU padding costs, on a GPU calls."""
        return 4 if self.device.type == "cpu" else 1


def find_place(device: str, workers: int | None) -> Place:
    """Find the device, and where nothing is said the number of processes beside it.

    Args:
        device: "auto", "cpu", "cuda" …
        workers: How many processes prepare batches. None: none on a CPU, which has enough to do,
            up to six beside an accelerator.
    """
    found = pick_device(device)
    if workers is None:
        workers = 0 if found.type == "cpu" else min(_MOST_WORKERS, usable_cores() - 1)
    return Place(found, workers)


class _Numbered(Dataset[B]):
    """Batches by their place among the steps that are asked for."""

    def __init__(self, batch_of_step: Callable[[int], B], steps: range) -> None:
        self._batch_of_step = batch_of_step
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> B:
        return self._batch_of_step(self._steps[index])


def prepared(batch_of_step: Callable[[int], B], steps: range, place: Place) -> Iterator[B]:
    """Yield the steps' batches in order, on the device.

    Args:
        batch_of_step: Makes a batch; a pure function of the step.
        steps: Which.
        place: Where they go, and who prepares them.
    """
    loader: DataLoader[B] = DataLoader(
        _Numbered(batch_of_step, steps),
        batch_size=None,
        collate_fn=_as_made,
        num_workers=place.workers,
        prefetch_factor=_AHEAD if place.workers else None,
        pin_memory=place.device.type == "cuda",
        generator=torch.Generator(),  # else it draws from the one that everything shares
    )
    for batch in loader:
        yield send_to_device(batch, place.device, non_blocking=True)


def losses(
    batch_of_step: Callable[[int], B], loss: Callable[[B, int], Loss], place: Place
) -> Losses:
    """Losses of a stage's steps, from how a batch is made and what its loss is.

    Args:
        batch_of_step: Makes a batch.
        loss: Loss of a batch and the step that it belongs to.
        place: Where.
    """

    def of_steps(steps: range) -> Iterator[Loss]:
        for step, batch in zip(steps, prepared(batch_of_step, steps, place), strict=True):
            yield loss(batch, step)

    return of_steps


def _as_made(batch: B) -> B:
    return batch
