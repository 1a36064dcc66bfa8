"""Decoder layers compiled by `torch.compile`: norms, rotations and sums become few kernels.

One layer is compiled and serves them all, for any number of tokens. Only forwards that will be
differentiated go through it; scoring and generation keep the model's own code.
"""

from typing import Any, final

import torch

from veridical.models.architectures.parts import language_model
from veridical.models.architectures.positions import log_once
from veridical.models.loading import Model


def compile_layers(model: Model, *, backend: str = "inductor") -> None:
    """Compile a model's decoder layers for training; the first step then waits for the compiler.

    Args:
        model: The model, with its adapters on.
        backend: Who compiles; others than inductor are for tests.
    """
    layers = list(getattr(language_model(model), "layers", ()))
    for kind in {type(layer) for layer in layers}:
        compiled = torch.compile(kind.forward, dynamic=True, backend=backend)
        for layer in layers:
            if type(layer) is kind and not isinstance(layer.forward, _Forward):
                layer.forward = _Forward(layer, compiled)


def restore_layers(model: Model) -> None:
    """Undo `compile_layers`."""
    for layer in getattr(language_model(model), "layers", ()):
        if isinstance(layer.forward, _Forward):
            del layer.forward


@final
class _Forward:
    """The forward of one layer: compiled where gradients are taken."""

    failed = False
    """Whether the compiler has failed in this process; it is not asked again."""

    def __init__(self, layer: Any, compiled: Any) -> None:
        self._layer = layer
        self._own = layer.forward
        self._compiled = compiled

    def __call__(self, hidden: torch.Tensor, *others: Any, **named: Any) -> Any:
        # A first layer whose input takes no gradient would need a compilation of its own.
        if _Forward.failed or not (torch.is_grad_enabled() and hidden.requires_grad):
            return self._own(hidden, *others, **named)
        from torch._dynamo.exc import TorchDynamoException  # takes seconds to import

        try:
            return self._compiled(self._layer, hidden, *others, **named)
        except TorchDynamoException as error:
            _Forward.failed = True
            reason = str(error).strip().splitlines()[0]
            log_once(f"Decoder layers are not compiled: {reason}")
            return self._own(hidden, *others, **named)
