"""Micro-batches by a budget of tokens: many short rows at once, few long ones.

The rows of an optimiser step are sorted by length and cut where the next one would not fit, so that
little is padded and memory is the same in every part. The loss of a step is a sum over its rows:
which of them meet changes it by rounding alone.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import TypeVar

Row = TypeVar("Row")


def cut_by_tokens(
    rows: Sequence[Row], length: Callable[[Row], int], *, tokens: int, processes: int = 1
) -> list[Sequence[Row]]:
    """Cut rows into parts of like length that fit into a budget.

    Args:
        rows: The rows of an optimiser step.
        length: Tokens of a row.
        tokens: Most tokens of a part in each process, padding included; a longer row is a part of
            its own.
        processes: How many share every part.

    Returns:
        The parts, longest rows first: what does not fit into memory shows in the first step.
    """
    parts: list[list[Row]] = []
    for row in sorted(rows, key=length, reverse=True):
        # The first row of a part is its longest, and what all others are padded to.
        here = parts[-1] if parts else []
        padded = length(here[0]) * ceil((len(here) + 1) / processes) if here else 0
        if here and padded <= tokens:
            here.append(row)
        else:
            parts.append([row])
    return [*parts]
