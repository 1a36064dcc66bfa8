"""Hours and dollars of whole trainings on a number of GPUs, each GPU with a process of its own.

Rows of a step are divided among the processes; a step has as many rows as in one process, so that
more GPUs than rows help nothing. Before the first step one process reads the images and scores with
the reference, as `veridical train` does. Left out: evaluations, opening and scaling pictures on the
CPU, and features of images that do not fit on the disk.
"""

from math import ceil
from typing import NamedTuple

from veridical.models.cost.cards import Card, decoding_seconds, seconds, summing_seconds
from veridical.models.cost.work import (
    LLAVA_7B,
    LanguageShape,
    Work,
    encoding_images,
    learning,
    reading,
)

PRICE = 2.5
"""Dollars per hour of an H100 (assumed)."""
RANK = 64
START = 60.0
"""Seconds before the first step: imports, loading 14 GB, compiling (assumed)."""


class Cost(NamedTuple):
    """What a training takes."""

    hours: float
    """From start to end."""
    gpus: int
    """GPUs that are paid for."""
    used: int
    """GPUs that have rows in a step."""

    @property
    def dollars(self) -> float:
        """At `PRICE`."""
        return self.hours * self.gpus * PRICE


class Branches(NamedTuple):
    """Prompts with responses that branch off them."""

    prompt: int
    """Tokens of a prompt, its image's among them."""
    responses: int
    """Responses of each."""
    response: int
    """Tokens of a response."""

    @property
    def tokens(self) -> int:
        """Tokens of a prompt with its responses."""
        return self.prompt + self.scored

    @property
    def scored(self) -> int:
        """Tokens of its responses."""
        return self.responses * self.response


PAIR = Branches(prompt=602, responses=2, response=99)
"""A pair of RLHF-V on LLaVA-1.5, as it was measured."""
COMPARISON = Branches(prompt=750, responses=2, response=250)
"""A comparison of LLaVA-RLHF with facts, by the sizes that the shipped recipe states."""
ROLLOUT = Branches(prompt=640, responses=4, response=256)
"""A prompt of PPO with four responses of the shipped recipe's greatest length."""
_ROLLOUT_PROMPTS, _AT_ONCE, _WARM = 128, 8, 5


def pairwise_training(
    rows: int,
    card: Card,
    *,
    gpus: int,
    epochs: int,
    row: Branches,
    reference: bool,
    batch: int = 32,
    shape: LanguageShape = LLAVA_7B,
) -> Cost:
    """Preference training, or that of a reward model.

    Args:
        rows: Pairs, each with an image of its own.
        card: The GPU.
        gpus: How many.
        epochs: Passes over the pairs.
        row: What a pair is.
        reference: Whether a reference scores each pair once beforehand.
        batch: Pairs per step.
        shape: The model.
    """
    each = ceil(batch / gpus)
    step = learning(shape, each * row.tokens, scored=each * row.scored, rank=RANK, how="compiled")
    once = encoding_images(rows)
    if reference:
        once = once.plus(reading(shape, rows * row.tokens, scored=rows * row.scored))
    steps = ceil(rows / batch) * epochs
    per_step = seconds(step, card) + summing_seconds(shape, card, rank=RANK, gpus=gpus)
    total = START + seconds(once, card) + steps * per_step
    return Cost(total / 3600, gpus, min(gpus, batch))


def ppo_training(
    prompts: int,
    card: Card,
    *,
    gpus: int,
    epochs: int = 1,
    row: Branches = ROLLOUT,
    passes: int = 1,
    batch: int = 64,
    shape: LanguageShape = LLAVA_7B,
) -> Cost:
    """PPO with policy, value, reference and reward model as adapters on one base.

    Args:
        prompts: Prompts, each with an image of its own.
        card: The GPU.
        gpus: How many.
        epochs: How often each prompt is answered.
        row: A prompt with its responses; all are taken to be as long as they may be.
        passes: Passes over each rollout.
        batch: Prompts per step.
        shape: The model.
    """
    share = ceil(_ROLLOUT_PROMPTS / gpus)
    together = min(_AT_ONCE, share)
    writing = row.response * decoding_seconds(
        shape,
        card,
        rows=together * row.responses,
        context=row.prompt + row.response / 2,
    )
    sampling = ceil(share / together) * writing
    scored = reading(shape, share * row.prompt)
    for _ in range(4):  # policy, reference, value, reward
        scored = scored.plus(reading(shape, share * row.tokens, scored=share * row.scored))
    each = ceil(batch / gpus)
    step = Work(0, 0)
    for role_scores in (each * row.scored, 0):  # policy, value
        step = step.plus(
            learning(
                shape,
                each * row.tokens,
                scored=role_scores,
                rank=RANK,
                how="compiled",
                checkpointing=True,
            )
        )
    steps = passes * _ROLLOUT_PROMPTS // batch
    summing = 2 * summing_seconds(shape, card, rank=RANK, gpus=gpus)
    rollout = sampling + seconds(scored, card) + steps * (seconds(step, card) + summing)
    total = START + seconds(encoding_images(prompts), card)
    total += epochs * prompts // _ROLLOUT_PROMPTS * rollout
    return Cost(total / 3600, gpus, min(gpus, batch))
