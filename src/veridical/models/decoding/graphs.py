"""CUDA graphs of a step: what Python takes 100 ms to launch is launched in one call.

A step reads and writes tensors that never move. Its graph is captured once per shape, after the
step has run plainly from the same state; the first replay must give what the plain run gave, else
the plain step is used, and the reason logged.
"""

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from veridical.models.architectures.positions import log_once

_TOLERANCE, _HALF_TOLERANCE = 1e-3, 5e-2
"""Relative differences of last hidden states that rounding explains, in float32 and below."""


class CapturedSteps:
    """Graphs of one step at several shapes; they run one after another and share their memory."""

    def __init__(self, *, capture: bool) -> None:
        """Hold graphs; without `capture` (not on CUDA) every step runs plainly."""
        self.capture = capture
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle() if capture else None

    def has(self, shape: Hashable) -> bool:
        """Whether a step of this shape costs no capture."""
        return not self.capture or shape in self._graphs

    def run(self, shape: Hashable, step: Callable[[], Tensor], state: Sequence[Tensor]) -> None:
        """Run a step.

        Args:
            shape: Names the shapes that the step works on.
            step: Reads and writes tensors that never move; returns last hidden states (R D).
            state: Those that it changes and reads again.
        """
        graph = self._graphs.get(shape)
        if graph is not None:
            graph.replay()
        elif not self.capture:
            step()
        else:
            self._first(shape, step, state)

    def _first(self, shape: Hashable, step: Callable[[], Tensor], state: Sequence[Tensor]) -> None:
        before = [one.clone() for one in state]
        expected = step().clone()  # also makes the libraries ready, which a capture cannot
        restore(state, before)
        stream = torch.cuda.current_stream()
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                found = step()
            graph.replay()
            difference = relative_difference(found, expected)
        except RuntimeError as error:
            torch.cuda.set_stream(stream)  # a capture that fails leaves its own stream on
            first = str(error).strip().splitlines()[0]
            self._give_up(f"the capture failed ({first[:200]})")
        else:
            if difference <= tolerance(expected):
                self._graphs[shape] = graph
                return
            self._give_up(f"a graph's states differ from the plain step's by {difference:.2g}")
        restore(state, before)
        step()

    def _give_up(self, reason: str) -> None:
        self.capture = False
        self._graphs.clear()
        log_once(f"Decoding runs without CUDA graphs: {reason}.")


def tolerance(states: Tensor) -> float:
    """The relative difference of states that rounding explains."""
    exact = states.dtype == torch.float32 and not torch.is_autocast_enabled(states.device.type)
    return _TOLERANCE if exact else _HALF_TOLERANCE


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference of a row from what is expected of it, relative to its length."""
    gap = (found.double() - expected.double()).norm(dim=-1)
    return float((gap / expected.double().norm(dim=-1).clamp(min=1e-12)).nan_to_num(1e9).max())


def restore(state: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Write values back into tensors that never move."""
    for one, value in zip(state, values, strict=True):
        one.copy_(value)
