r"""Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, equations 11 and 16).

    δ_t = r_t + γ·V_{t+1} − V_t,    A_t = δ_t + γλ·A_{t+1},    R_t = A_t + V_t

Behind the last token of a response there is nothing: V and A are 0 there. λ = 1 is Monte Carlo
(what came minus what was expected), λ = 0 is one-step temporal difference.

Worked by hand: r = 0, 0, 1; V = 0.5, 0.6, 0.8; γ = 1, λ = 0.5: δ = 0.1, 0.2, 0.2; A = 0.25, 0.3,
0.2; R = 0.75, 0.9, 1.0.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Advantages(NamedTuple):
    """What each token was better than expected, and what the value should have said."""

    advantages: Tensor
    """A_t (… T), 0 outside of the mask."""
    returns: Tensor
    """R_t (… T), the value's target, 0 outside of the mask."""


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, *, discount: float, gae_lambda: float
) -> Advantages:
    """Estimate advantages from rewards and values of tokens.

    Args:
        rewards: Reward given at each token (… T).
        values: V_t, what is expected from the state before each token on (… T).
        mask: True at the responses' tokens (… T), which fill T from the left.
        discount: γ in [0, 1]. LLaVA-RLHF: 1.
        gae_lambda: λ in [0, 1]. LLaVA-RLHF: 1.

    Raises:
        ValueError: `discount` or `gae_lambda` out of range.
    """
    if not (0 <= discount <= 1 and 0 <= gae_lambda <= 1):
        raise ValueError(
            f"discount and gae_lambda must be in [0, 1], got {discount} and {gae_lambda}."
        )
    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)
    following = torch.cat([values[..., 1:], torch.zeros_like(values[..., :1])], dim=-1)
    errors = rewards + discount * following - values
    running = torch.zeros_like(errors[..., 0])
    backwards = []
    for error in reversed(errors.unbind(-1)):
        running = error + discount * gae_lambda * running
        backwards.append(running)
    advantages = torch.where(mask, torch.stack(backwards[::-1], dim=-1), 0.0)
    return Advantages(advantages, torch.where(mask, advantages + values, 0.0))
