"""What the batches of an optimiser step add up to, in all processes, for its line in the log."""

from collections import defaultdict
from math import isfinite

from torch import Tensor

from veridical.errors import ModelError
from veridical.processes import said_once
from veridical.training.run.team.work import totals


class StepSums:
    """Sums over the items of a step's batches."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, dict[str, Tensor]]] = []

    def add(self, items: int, sums: dict[str, Tensor]) -> None:
        """Keep what a batch adds: how many items it has, and sums over them by name."""
        self._kept.append((items, sums))

    def take_means(self) -> dict[str, float]:
        """Means over the items of all batches that have a name, in all processes; begins anew."""
        sums, items = defaultdict[str, float](float), defaultdict[str, float](float)
        for count, values in self._kept:
            for name, value in values.items():
                items[name] += count
                sums[name] += float(value.sum())
        self._kept.clear()
        counts = totals(items)
        return {name: value / counts[name] for name, value in totals(sums).items()}


def check_finite(step: int, *, loss: float, grad_norm: float) -> None:
    """Stop a training that runs away.

    Raises:
        ModelError: The loss or its gradient is not a finite number.
    """
    if not (isfinite(loss) and isfinite(grad_norm)):
        raise said_once(
            ModelError(
                f"The training diverged at step {step}: loss {loss}, gradient norm {grad_norm}."
                " Take a smaller train.learning_rate (or objective.beta), or float32, in a new run"
                " directory."
            )
        )
