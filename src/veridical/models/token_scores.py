"""From hidden states to log-probabilities and entropies of tokens, chunk by chunk.

Logits are V numbers per token (32,000 and more). They are computed only where a response token is
scored, in chunks, and again in the backward pass, so that memory does not grow with V times the
length.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from veridical.models.architectures.parts import project_to_vocabulary
from veridical.models.loading import Model, unwrap

_LOGITS_AT_ONCE = 2**26
"""Logits held at a time (256 MiB in float32)."""


class Sampling(NamedTuple):
    """The distribution that tokens are drawn from, as far as it differs from the model's own."""

    temperature: float = 1.0
    """What logits are divided by."""
    forbidden: tuple[int, ...] = ()
    """Ids of tokens that are never chosen; the others share their probability."""


class TokenScores(NamedTuple):
    """What a model assigns to tokens."""

    logprobs: Tensor
    """Log-probability of each token (N), in nats."""
    entropies: Tensor
    """Entropy of the distribution that each token was chosen from (N), in nats; detached. Zeros
    unless asked for."""


def score_tokens(
    model: Model,
    hidden: Tensor,
    ids: Tensor,
    *,
    sampling: Sampling | None = None,
    with_entropies: bool = False,
) -> TokenScores:
    """Score tokens from the states that predict them.

    Args:
        model: The model whose vocabulary head is used.
        hidden: Last hidden states (N D).
        ids: The tokens (N).
        sampling: The distribution; by default the model's own.
        with_entropies: Compute entropies, too.
    """
    if not len(ids):
        nothing = hidden.sum(-1).float()
        return TokenScores(nothing, nothing.detach())

    def score(states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return score_logits(
            project_to_vocabulary(model, states),
            targets,
            sampling=sampling,
            with_entropies=with_entropies,
        )

    vocabulary = unwrap(model).get_output_embeddings().weight.shape[0]
    size = max(1, _LOGITS_AT_ONCE // vocabulary)
    if len(ids) <= size:
        return TokenScores(*score(hidden, ids))
    parts = [
        (
            checkpoint(score, states, targets, use_reentrant=False)
            if torch.is_grad_enabled()
            else score(states, targets)
        )
        for states, targets in zip(torch.split(hidden, size), torch.split(ids, size), strict=True)
    ]
    return TokenScores(*(torch.cat(column) for column in zip(*parts, strict=True)))


def score_logits(
    logits: Tensor, ids: Tensor, *, sampling: Sampling | None = None, with_entropies: bool = False
) -> TokenScores:
    """Score tokens (N) from logits (N V); see `score_tokens`."""
    logits = logits.float()
    if sampling is not None:
        if sampling.temperature != 1:
            logits = logits / sampling.temperature
        if sampling.forbidden:
            index = torch.tensor(sampling.forbidden, device=logits.device)
            logits = logits.index_fill(-1, index, -torch.inf)
    logprobs = -cross_entropy(logits, ids, reduction="none")
    if not with_entropies:
        return TokenScores(logprobs, torch.zeros_like(logprobs))
    with torch.no_grad():
        entropies = torch.special.entr(logits.softmax(-1)).sum(-1)
    return TokenScores(logprobs, entropies)
