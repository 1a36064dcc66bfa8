r"""From rewards of responses to advantages of tokens, as a recipe says: KL penalty, place of the reward, whitening.

With the score s of a response of n tokens and the divergence kl_t at each (LLaVA-RLHF, arXiv
2309.14525; the constants are its released code's):

    r_t = −kl_coef·kl_t,    r_n += s

The released code lays out a window of T slots and puts s on slot T, far behind most responses'
ends; its statistics count all slots. With γ = λ = 1 that changes no response token's advantage
before whitening.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from veridical.objectives.gae import Advantages, gae
from veridical.objectives.grpo import grpo
from veridical.objectives.kl import kl_estimate
from veridical.objectives.masked import masked_whiten
from veridical.objectives.rloo import rloo
from veridical.training.ppo.config import PpoRecipe


class Credit(NamedTuple):
    """What each token is given; 0 where the mask is False."""

    advantages: Tensor
    """How much better than expected (N K T)."""
    returns: Tensor
    """What the value should have said (N K T)."""


def assign_credit(
    scores: Tensor,
    logprobs: Tensor,
    reference: Tensor,
    values: Tensor,
    mask: Tensor,
    recipe: PpoRecipe,
    *,
    kl_coefficient: float,
) -> Credit:
    """Turn rewards into advantages.

    Args:
        scores: Rewards of responses (N K); those that are masked are ignored.
        logprobs: Log-probabilities under the policy that sampled (N K T), in nats.
        reference: The same under the reference (N K T).
        values: What was expected (N K T).
        mask: True at the tokens that count (N K T); nowhere in a response that does not count.
        recipe: Says how.
        kl_coefficient: Price of a nat.
    """
    objective, width = recipe.objective, mask.shape[-1]
    rewards = torch.zeros_like(logprobs)
    if recipe.kl.where == "reward":
        rewards = (
            -kl_coefficient * kl_estimate(logprobs, reference, estimator=recipe.kl.estimator) * mask
        )
    slots, last = mask, mask.sum(-1, keepdim=True) - 1
    valid = mask.any(-1)
    if objective.slots == "window":
        more = (0, recipe.rollout.max_new_tokens - width)
        rewards, values, slots = pad(rewards, more), pad(values * mask, more), pad(mask, more)
        slots = valid.unsqueeze(-1).expand_as(slots)
        last = torch.full_like(last, recipe.rollout.max_new_tokens - 1)
    given = torch.where(valid, scores, 0.0).unsqueeze(-1)
    rewards = rewards.scatter_add(-1, last.clamp(min=0), given)
    if objective.whiten_rewards:
        rewards = masked_whiten(rewards, slots, shift_mean=False)
    found = _estimate(rewards, values, slots, recipe)
    advantages = found.advantages
    if objective.whiten_advantages:
        advantages = masked_whiten(advantages, slots)
    advantages, returns = advantages[..., :width], found.returns[..., :width]
    return Credit(torch.where(mask, advantages, 0.0), torch.where(mask, returns, 0.0))


def _estimate(rewards: Tensor, values: Tensor, slots: Tensor, recipe: PpoRecipe) -> Advantages:
    objective = recipe.objective
    if objective.advantage == "gae":
        return gae(
            rewards, values, slots, discount=objective.discount, gae_lambda=objective.gae_lambda
        )
    totals, valid = rewards.sum(-1), slots.any(-1)
    if objective.advantage == "rloo":
        each = rloo(totals, valid)
    else:
        each = grpo(totals, valid, scale=objective.advantage == "grpo")
    spread = torch.where(slots, each.unsqueeze(-1), 0.0)
    return Advantages(spread, torch.zeros_like(spread))
