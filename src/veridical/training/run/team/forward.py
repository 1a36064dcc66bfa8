"""A loss that is more than a model's forward, computed inside that forward.

DDP and FSDP act where the module that they wrap is called: that is where gradients are summed and
shards gathered. A loss over branches calls parts of the model instead, past the wrapper. So the
wrapped module is called, and its forward computes the loss for once.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from veridical.training.run.team.sharding import is_sharded

T = TypeVar("T")


def run_inside(wrapped: nn.Module, model: nn.Module, work: Callable[[], T]) -> T:
    """Call a wrapped model so that its forward does some work, and give what that gives.

    Args:
        wrapped: What DDP or FSDP made of the model; the model itself, where nothing wraps it.
        model: The model within.
        work: What is done; calls of the model in it are as always.
    """
    if wrapped is model and not is_sharded(model):
        return work()
    before = vars(model).get("forward")

    def once(work: Callable[[], T]) -> T:
        _restore(model, before)
        return work()

    vars(model)["forward"] = once
    try:
        # A function goes through the wrapper as it is; tensors would be moved and copied.
        done: T = wrapped(work)
    finally:
        _restore(model, before)
    return done


def _restore(model: nn.Module, before: Any) -> None:
    if before is None:
        vars(model).pop("forward", None)
    else:
        vars(model)["forward"] = before
