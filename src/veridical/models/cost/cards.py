"""Work → seconds on a card, and gradients → seconds between cards."""

from typing import NamedTuple

from veridical.models.cost.work import LanguageShape, Work, decoding_bytes

MATRIX_SHARE = 0.56
"""Share of a card's rate in one large product that a step's products reach (calibrated)."""
DECODING_SHARE = 0.63
"""Share of a card's copying rate at which a decoding step reads (calibrated)."""
_FLOAT = 4
"""Bytes of a gradient in float32."""


class Card(NamedTuple):
    """A GPU."""

    name: str
    matrix_rate: float
    """Operations per second in a large product in bfloat16, as measured."""
    copy_rate: float
    """Bytes per second of a copy, read and written bytes counted, as measured."""
    link_rate: float
    """Bytes per second of a sum over the GPUs of a machine, and per GPU between machines
    (assumed)."""


H100 = Card("H100", 790e12, 2.98e12, 150e9)
"""NVIDIA H100 80GB HBM3. Its copying rate is not measured: the H200's by their memories'."""
H200 = Card("H200", 797e12, 4.27e12, 150e9)
"""NVIDIA H200, first machine."""


def seconds(work: Work, card: Card) -> float:
    """How long a card takes: its products, then its passes over memory."""
    return work.operations / (card.matrix_rate * MATRIX_SHARE) + work.bytes / card.copy_rate


def decoding_seconds(shape: LanguageShape, card: Card, *, rows: float, context: float) -> float:
    """How long one decoding step takes, with captured graphs."""
    return decoding_bytes(shape, rows=rows, context=context) / (card.copy_rate * DECODING_SHARE)


def summing_seconds(shape: LanguageShape, card: Card, *, rank: int, gpus: int) -> float:
    """How long it takes to sum an adapter's gradients over GPUs (ring: each byte twice)."""
    if gpus == 1:
        return 0.0
    moved = 2 * (gpus - 1) / gpus * shape.adapter(rank) * _FLOAT
    return moved / card.link_rate
