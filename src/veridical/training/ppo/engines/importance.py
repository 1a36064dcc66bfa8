r"""Tokens that another engine sampled, weighed by what the policy itself gives them.

An engine of its own kernels and number types samples from μ, which is close to the policy π and not
equal to it. With the policy's log-probabilities computed anew, each token's loss is multiplied by

    w_t = min(π(a_t | s_t) / μ(a_t | s_t), C)

(truncated importance sampling; Yao et al. 2025, "Your efficient RL framework secretly brings you
off-policy RL training"). The clipped loss is linear in the advantage, so the weight goes onto that.
How far π and μ are apart is reported, and what was truncated is counted.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.errors import ModelError
from veridical.training.ppo.engines.protocol import Sampled


class Weighed(NamedTuple):
    """How much tokens count."""

    weights: Tensor
    """Truncated weights (N K T); 1 where the policy itself sampled, and where there is no token."""
    metrics: dict[str, float]
    """What is logged; empty where the policy itself sampled."""


def weigh(sampled: Sequence[Sampled], logprobs: Tensor, mask: Tensor, *, cap: float) -> Weighed:
    """Weigh tokens.

    Args:
        sampled: The responses, with the log-probabilities of the engine that sampled them.
        logprobs: Log-probabilities under the policy (N K T), in nats.
        mask: True at the responses' tokens (N K T).
        cap: C, the highest weight.

    Raises:
        ModelError: An engine gives not one finite log-probability per token.
    """
    if any(one.logprobs is None for one in sampled):
        return Weighed(torch.ones_like(logprobs), {})
    rows = [row for one in sampled for row in one.logprobs or []]
    theirs = torch.full((len(rows), mask.shape[-1]), torch.nan)
    for values, row in zip(theirs, rows, strict=True):
        values[: len(row)] = torch.tensor(row[: mask.shape[-1]])
    theirs = theirs.reshape(mask.shape)
    if not bool((theirs.isfinite() == mask).all()):
        raise ModelError(
            "The engine that sampled gives not one finite log-probability per token, so that its"
            ' tokens cannot be weighed. Use rollout.engine = "hf", or report this.'
        )
    gap = torch.where(mask, logprobs - theirs, 0.0)
    ratio = gap.exp()
    count = mask.sum()
    return Weighed(
        ratio.clamp(max=cap),
        {
            "importance": float((ratio * mask).sum() / count),
            "importance/truncated": float(((ratio > cap) & mask).sum() / count),
            "importance/kl": float(-gap.sum() / count),
            "importance/largest_gap": float(gap.abs().max()),
        },
    )
