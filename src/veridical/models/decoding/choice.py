"""How the next token is chosen: the rule that all ways of decoding share."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class TokenChoice(NamedTuple):
    """How the next token is chosen."""

    temperature: float
    """0 is greedy."""
    top_p: float
    """Sample from the smallest set of tokens with this much probability."""
    suppressed: Tensor
    """Ids of tokens that are never chosen."""
    noise: Tensor | None
    """Uniform numbers (R, steps) that decide each token of each response; None: greedy."""
    num_samples: int
    """K responses per prompt."""
    max_new_tokens: int
    """The longest response, in tokens."""


def uniform_noise(seeds: Sequence[int], steps: int) -> Tensor:
    """Uniform numbers (seeds, steps), each row from a stream of its own."""
    generator = torch.Generator()
    return torch.stack(
        [
            torch.rand(steps, generator=generator.manual_seed(seed), dtype=torch.float64)
            for seed in seeds
        ]
    )


def choose(logits: Tensor, noise: Tensor | None, choice: TokenChoice) -> Tensor:
    """Choose the next token (R) from logits (R V).

    Without noise the most probable one; else the one at which the cumulated probabilities reach the
    noise, so that the token is a function of the response's own stream.
    """
    logits = logits.index_fill(-1, choice.suppressed, -torch.inf)
    if noise is None:
        return logits.argmax(-1)
    probabilities = (logits.double() / choice.temperature).softmax(-1)
    if choice.top_p < 1:
        ranked, order = probabilities.sort(dim=-1, descending=True, stable=True)
        beyond = ranked.cumsum(-1) - ranked >= choice.top_p
        probabilities = probabilities.masked_fill(beyond.gather(-1, order.argsort(-1)), 0.0)
    reached = probabilities.cumsum(-1)
    threshold = noise.unsqueeze(-1) * reached[:, -1:]
    return (
        torch.searchsorted(reached, threshold, right=True)
        .squeeze(-1)
        .clamp(max=logits.shape[-1] - 1)
    )
