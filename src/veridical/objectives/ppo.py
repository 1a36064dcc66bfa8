r"""Proximal policy optimization: the clipped losses of policy and value, token by token.

Schulman et al. 2017, arXiv 1707.06347, equation 7; the clipped value loss is that of its released
code, which LLaVA-RLHF (arXiv 2309.14525) uses too. With ρ = π(y_t)/π_old(y_t):

    policy   max(−A·ρ, −A·clip(ρ, 1 − ε, 1 + ε))
    value    ½·max((V − R)², (clip(V, V_old − ε_v, V_old + ε_v) − R)²)

At the first step ρ = 1, and the policy's gradient is −A·∇log π: plain policy gradient.

Worked by hand, ε = 0.2: ρ = 1.5, A = 1: max(−1.5, −1.2) = −1.2, no gradient; ρ = 1.5, A = −1: 1.5;
ρ = 0.5, A = 1: −0.5; ρ = 0.5, A = −1: 0.8, no gradient. V = 1, V_old = 0.5, R = 2, ε_v = 0.2:
clipped V = 0.7, ½·max(1, 1.69) = 0.845.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class PolicyLoss(NamedTuple):
    """Loss of every token and what to watch; all of the tokens' shape."""

    loss: Tensor
    """Loss of each token; not averaged."""
    ratio: Tensor
    """ρ, how much likelier the token has become since it was sampled. Detached."""
    clipped: Tensor
    """True where the clip holds the gradient back."""
    approximate_kl: Tensor
    """½·(log ρ)², how far the policy has moved since the rollout, in nats. Detached."""


class ValueLoss(NamedTuple):
    """Loss of every token and what to watch; all of the tokens' shape."""

    loss: Tensor
    """Loss of each token; not averaged."""
    clipped: Tensor
    """True where the clip holds the gradient back."""


def clipped_policy_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, *, clip_range: float
) -> PolicyLoss:
    """Compute the policy's loss of each token.

    Args:
        logprobs: Log-probabilities under the policy now, in nats.
        old_logprobs: Log-probabilities under the policy that sampled the tokens.
        advantages: How much better than expected each token was.
        clip_range: ε, above 0. LLaVA-RLHF: 0.2.

    Raises:
        ValueError: `clip_range` is not above 0.
    """
    if not clip_range > 0:
        raise ValueError(f"clip_range must be above 0, got {clip_range}.")
    change = logprobs - old_logprobs
    ratio = change.exp()
    plain = -advantages * ratio
    held = -advantages * ratio.clamp(1 - clip_range, 1 + clip_range)
    return PolicyLoss(
        torch.maximum(plain, held),
        ratio.detach(),
        (held > plain).detach(),
        0.5 * change.detach().square(),
    )


def clipped_value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, *, clip_range: float
) -> ValueLoss:
    """Compute the value's loss of each token.

    Args:
        values: V now.
        old_values: V at the rollout.
        returns: What the value should have said.
        clip_range: ε_v, how far a value may usefully move in one rollout, in units of the reward;
            0: as far as it likes. LLaVA-RLHF: 0.2 (with rewards scaled by 10).

    Raises:
        ValueError: `clip_range` is negative.
    """
    if clip_range < 0:
        raise ValueError(f"clip_range must not be negative, got {clip_range}.")
    plain = (values - returns).square()
    if not clip_range:
        return ValueLoss(0.5 * plain, torch.zeros_like(plain, dtype=torch.bool))
    change = values - old_values
    near = old_values + change.clamp(-clip_range, clip_range)
    held = (near - returns).square()
    # Within the range `near` is the value but for rounding, which alone may make one greater.
    clipped = (held > plain) & (change.abs() > clip_range)
    return ValueLoss(0.5 * torch.maximum(plain, held), clipped.detach())
