"""Batches of encoded pairs: two branches after each prompt, chosen first, and their masks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.models.branches import BranchBatch, stack_responses
from veridical.models.prompts.encoding import image_keys, stack_prompts
from veridical.training.run.loss_trainer import BranchTensors


class PreparedPair(NamedTuple):
    """One pair as the training loop wants it."""

    id: str
    """Id of the correction."""
    prompt: Mapping[str, Tensor]
    """The encoded prompt, a batch of one, not padded; shared by pairs about the same. It holds the
    image's pixels only where the image's features are not kept."""
    image_keys: tuple[str, ...]
    """Keys of the images' features in the `FeatureCache`; empty where they are not kept."""
    response_ids: tuple[list[int], list[int]]
    """Token ids of the chosen and the rejected response."""
    changed: tuple[list[bool], list[bool]]
    """Which of these tokens were corrected."""

    @property
    def tokens(self) -> int:
        """Tokens of the prompt and both responses."""
        return self.prompt["input_ids"].shape[-1] + sum(map(len, self.response_ids))


ScoredPair = tuple[PreparedPair, Tensor]
"""A pair with the reference's token log-probabilities of both responses (2 T), in nats."""


class PreferenceBatch(BranchTensors):
    """Pairs as two branches after their prompts, chosen first."""

    changed_mask: Tensor
    """True at corrected tokens (B 2 T)."""
    reference: Tensor
    """Token log-probabilities under the reference (B 2 T), in nats."""


def stack_changed(changed: Sequence[Sequence[Sequence[bool]]], response_mask: Tensor) -> Tensor:
    """Put changed masks into the shape of `response_mask` (B K T)."""
    stacked = torch.zeros_like(response_mask)
    for b, row in enumerate(changed):
        for k, flags in enumerate(row):
            stacked[b, k, : len(flags)] = torch.tensor(flags, dtype=torch.bool)
    return stacked


def branch_batch(pairs: Sequence[PreparedPair], *, pad_token_id: int) -> BranchBatch:
    """Lay out pairs as prompts with two branches: chosen, rejected."""
    response_ids, response_mask = stack_responses([row.response_ids for row in pairs])
    prompt = stack_prompts([row.prompt for row in pairs], pad_token_id=pad_token_id)
    return BranchBatch(prompt, response_ids, response_mask)


def collate(pairs: Sequence[ScoredPair], *, pad_token_id: int) -> PreferenceBatch:
    """Make one batch of pairs, each with its reference log-probabilities (2 T)."""
    prepared = [pair for pair, _ in pairs]
    batch = branch_batch(prepared, pad_token_id=pad_token_id)
    reference = torch.zeros(batch.response_ids.shape)
    for b, (_, scores) in enumerate(pairs):
        reference[b, :, : scores.shape[-1]] = scores
    return {
        "prompt": batch.prompt,
        "image_keys": image_keys(prepared),
        "response_ids": batch.response_ids,
        "response_mask": batch.response_mask,
        "changed_mask": stack_changed([pair.changed for pair in prepared], batch.response_mask),
        "reference": reference,
    }
