"""A trainer whose steps keep a GPU busy: nothing in them waits for the device.

The host prepares a step while the device is at the one before it, unless it asks for a number that
the device has yet to compute. So batches are sent from pinned memory without waiting, with their
masks kept on the host, too, for the layout of prompts and responses.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from veridical.models.adapters import leave_casts_to_autocast
from veridical.models.branches import BranchBatch, HostMasks
from veridical.models.sending import send

_HOST_MASKS = "host_masks"
"""Name in a batch of the masks that stay on the host."""
_NO_CHECKS = "TRANSFORMERS_DISABLE_TORCH_CHECK"


def branches_of(batch: Mapping[str, Any]) -> BranchBatch:
    """The prompts and responses of a batch of the trainer."""
    return BranchBatch(
        batch["prompt"], batch["response_ids"], batch["response_mask"], batch.get(_HOST_MASKS)
    )


class StepTrainer(Trainer):  # type: ignore[misc, unused-ignore]
    """The trainer of transformers, with steps for a GPU."""

    def training_step(self, model: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Forward and backward of one batch."""
        with leave_casts_to_autocast(model, active=self.args.bf16), _no_checks_of_values():
            return self.learn(model, *args, **kwargs)

    def learn(self, *args: Any, **kwargs: Any) -> Tensor:
        """What a step does: by default a loss and its gradients."""
        learnt: Tensor = super().training_step(*args, **kwargs)
        return learnt

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
def _no_checks_of_values() -> Iterator[None]:
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
