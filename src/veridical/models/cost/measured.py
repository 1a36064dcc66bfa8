"""Steps that were measured on a card, beside what the model of cost says of them.

Random weights in LLaVA-1.5-7B's shape, bfloat16, LoRA of rank 64, a prompt of 602 tokens and two
responses of 99, no gradient checkpointing; `docs/results/speed.md` has the records.
"""

from typing import NamedTuple

from veridical.models.cost.cards import H100, H200, Card, decoding_seconds, seconds
from veridical.models.cost.work import LLAVA_7B, encoding_images, learning, reading

RANK = 64
PROMPT, RESPONSE = 602, 99
LIVE_SECONDS = 0.068
"""What a live reference adds however many pairs there are: the host starts a second forward and the
vision tower's, and the card waits for it (calibrated)."""
_DECODED, _SHOWN, _ROWS = 128, 593, 64


class Measured(NamedTuple):
    """A measurement and its prediction."""

    what: str
    """The step."""
    card: Card
    """Where."""
    seconds: float
    """Measured."""
    predicted: float
    """What the model says, in seconds."""
    calibrates: bool
    """Whether a constant of the model was chosen by this figure."""

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted / self.seconds - 1


def preference_step(card: Card, pairs: float, *, how: str, live: bool = False) -> float:
    """Seconds of forward and backward of a preference step over pairs of the size above.

    Args:
        card: Where.
        pairs: How many.
        how: As `learning` takes it.
        live: Reference and image features are computed in every step.
    """
    tokens, scored = pairs * (PROMPT + 2 * RESPONSE), pairs * 2 * RESPONSE
    work = learning(LLAVA_7B, tokens, scored=scored, rank=RANK, how=how)
    if live:
        work = work.plus(reading(LLAVA_7B, tokens, scored=scored)).plus(encoding_images(pairs))
    return seconds(work, card) + LIVE_SECONDS * live


def measurements() -> list[Measured]:
    """All of them."""
    second = H200._replace(name="H200, second machine", matrix_rate=738e12, copy_rate=4.29e12)
    prompts = reading(LLAVA_7B, _ROWS * _SHOWN).plus(encoding_images(_ROWS))
    context = _SHOWN + _DECODED / 2

    def step(
        what: str,
        card: Card,
        measured: float,
        pairs: int,
        how: str,
        *,
        live: bool = False,
        calibrates: bool = False,
    ) -> Measured:
        predicted = preference_step(card, pairs, how=how, live=live)
        return Measured(what, card, measured, predicted, calibrates)

    return [
        step("4 pairs, kept reference", H200, 0.302, 4, "casts", calibrates=True),
        step("the same without PEFT's casts", H200, 0.278, 4, "eager", calibrates=True),
        step("the same, layers compiled", H200, 0.209, 4, "compiled", calibrates=True),
        step("4 pairs, live reference", H200, 0.476, 4, "casts", live=True, calibrates=True),
        step("4 pairs, without casts", second, 0.268, 4, "eager"),
        step("4 pairs, kept reference", H100, 0.342, 4, "casts", calibrates=True),
        step("2 pairs, live reference", H100, 0.302, 2, "casts", live=True),
        Measured("64 prompts read", H200, 1.138, seconds(prompts, H200), calibrates=False),
        Measured(
            "a decoding step of 64 rows",
            H200,
            0.01314,
            decoding_seconds(LLAVA_7B, H200, rows=_ROWS, context=context),
            calibrates=True,
        ),
    ]
