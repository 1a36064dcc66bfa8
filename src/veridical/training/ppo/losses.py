r"""From rewards of responses to advantages and losses of tokens, as a recipe says.

With the score s of a response of n tokens and the divergence kl_t at each (LLaVA-RLHF, arXiv
2309.14525; the constants are its released code's):

    r_t = −kl_coef·kl_t,    r_n += s

The released code lays out a window of T slots and puts s on slot T, far after most responses'
ends; its statistics count all slots, and its critic is judged on all of them
(`veridical.objectives.window`). With γ = λ = 1 that changes no response token's advantage before
whitening.

Losses are sums over tokens, each with its weight; they are divided by the weights of the whole
optimiser step, so that padding, accumulation and the way responses are put together change nothing.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from veridical.models.branches import BranchOutputs
from veridical.objectives.gae import Advantages, gae
from veridical.objectives.grpo import grpo
from veridical.objectives.kl import kl_estimate
from veridical.objectives.masked import masked_whiten
from veridical.objectives.ppo import clipped_policy_loss, clipped_value_loss
from veridical.objectives.rloo import rloo
from veridical.objectives.window import append_padding, spread_over_window, window_weights
from veridical.training.ppo.config import PpoRecipe
from veridical.training.run.loss_trainer import BranchTensors


class Credit(NamedTuple):
    """What each token is given; 0 where the mask is False."""

    advantages: Tensor
    """How much better than expected (N K T)."""
    returns: Tensor
    """What the value should have predicted (N K T); at all slots of a window (N K W)."""


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
        values: What was expected (N K T); with `objective.slots` "window" at all of its slots
            (N K W).
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
    valid, whiten = mask.any(-1), masked_whiten
    if objective.slots == "window":
        more = (0, recipe.rollout.max_new_tokens - width)
        rewards, slots = pad(rewards, more), pad(mask, more)
        slots = valid.unsqueeze(-1).expand_as(slots)
        last = torch.full_like(last, recipe.rollout.max_new_tokens - 1)
        whiten = partial(masked_whiten, epsilon_to="deviation")
    given = torch.where(valid, scores, 0.0).unsqueeze(-1)
    rewards = rewards.scatter_add(-1, last.clamp(min=0), given)
    if objective.whiten_rewards:
        rewards = whiten(rewards, slots, shift_mean=False)
    found = _estimate(rewards, values, slots, recipe)
    advantages = found.advantages
    if objective.whiten_advantages:
        advantages = whiten(advantages, slots)
    return Credit(torch.where(mask, advantages[..., :width], 0.0), found.returns)


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


class RolloutBatch(BranchTensors):
    """A micro-batch: some prompts of a rollout with their responses; all tensors are (B K T)."""

    weights: Tensor
    """How much each token's loss counts."""
    logprobs: Tensor
    """Log-probabilities under the policy that sampled, in nats."""
    reference: Tensor
    """Log-probabilities under the reference, in nats."""
    advantages: Tensor
    """How much better than expected each token was."""
    value_ids: Tensor
    """Token ids that the value reads: the responses, with padding after them in a window."""
    value_mask: Tensor
    """True where the value is read."""
    value_weights: Tensor
    """How much the value's loss counts there."""
    values: Tensor
    """What was expected there."""
    returns: Tensor
    """What the value should have predicted there."""


class ValueSlots(NamedTuple):
    """What the value reads of responses, and how much each slot counts; all (B K S)."""

    ids: Tensor
    mask: Tensor
    weights: Tensor


def value_slots(ids: Tensor, mask: Tensor, recipe: PpoRecipe, *, pad_token_id: int) -> ValueSlots:
    """Slots that a value is learnt at: the responses' tokens, in a window the padding too.

    Args:
        ids: Token ids of responses (B K T).
        mask: True at the tokens that count (B K T).
        recipe: Says which slots there are.
        pad_token_id: What a padding token is.
    """
    if recipe.objective.slots == "response":
        return ValueSlots(ids, mask, token_weights(mask, recipe))
    window = recipe.rollout.max_new_tokens
    read = append_padding(ids, mask, pad_token_id=pad_token_id, window=window)
    return ValueSlots(*read, window_weights(mask, window=window))


def values_of_slots(values: Tensor, mask: Tensor, recipe: PpoRecipe) -> Tensor:
    """Values as `assign_credit` takes them: in a window those of all its slots."""
    if recipe.objective.slots == "response":
        return values
    return spread_over_window(values, mask, window=recipe.rollout.max_new_tokens)


def token_weights(mask: Tensor, recipe: PpoRecipe) -> Tensor:
    """Weight of each token's loss (B K T): 1, or 1/n in a response of n tokens."""
    weights = mask.float()
    if recipe.objective.average == "responses":
        return weights / mask.sum(-1, keepdim=True).clamp(min=1)
    return weights


def loss_divisor(weights: Tensor, recipe: PpoRecipe) -> float:
    """What summed losses are divided by: the sum of the weights, or all slots of the window."""
    if recipe.objective.slots == "window":
        return float(weights.any(-1).sum()) * recipe.rollout.max_new_tokens
    return float(weights.sum())


def policy_losses(
    read: BranchOutputs, batch: RolloutBatch, recipe: PpoRecipe, *, kl_coefficient: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Policy loss of each response, summed over its tokens (B K), and sums to log.

    Args:
        read: What the policy says now.
        batch: Tensors of a rollout: `logprobs`, `reference`, `advantages`, `response_mask`,
            `weights`, each (B K T).
        recipe: The clip and the KL penalty.
        kl_coefficient: Price of a nat, where the penalty is in the loss.
    """
    mask, weights = batch["response_mask"], batch["weights"]
    result = clipped_policy_loss(
        read.logprobs,
        batch["logprobs"],
        batch["advantages"],
        clip_range=recipe.objective.clip_range,
    )
    losses = result.loss
    divergence = kl_estimate(read.logprobs, batch["reference"], estimator=recipe.kl.estimator)
    if recipe.kl.where == "loss":
        losses = losses + kl_coefficient * divergence
    losses = torch.where(mask, losses, 0.0) * weights
    shown = {
        "policy_loss": result.loss,
        "clip_fraction": result.clipped.float(),
        "approximate_kl": result.approximate_kl,
        "ratio": result.ratio,
        "kl_to_reference": divergence,
        "entropy": read.entropies,
    }
    return losses.sum(-1), {name: _sums(values, mask) for name, values in shown.items()}


def value_losses(
    values: Tensor, batch: RolloutBatch, recipe: PpoRecipe
) -> tuple[Tensor, dict[str, Tensor]]:
    """Value loss of each response, weighted and summed over its tokens (B K), and sums to log.

    Args:
        values: What is expected now, as wide as the batch's.
        batch: Tensors of a rollout: `values`, `returns`, `value_mask`, `value_weights`, each
            (B K T), in a window (B K T+2).
        recipe: The clip and the loss's weight.
    """
    mask = batch["value_mask"]
    result = clipped_value_loss(
        values, batch["values"], batch["returns"], clip_range=recipe.value.clip_range
    )
    losses = recipe.value.coefficient * torch.where(mask, result.loss, 0.0) * batch["value_weights"]
    shown = {"value_loss": result.loss, "value_clip_fraction": result.clipped.float()}
    return losses.sum(-1), {name: _sums(one, mask) for name, one in shown.items()}


def _sums(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values.detach(), 0.0).sum((-2, -1))
