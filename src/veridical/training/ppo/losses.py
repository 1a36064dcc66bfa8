"""The losses of a batch of rollouts as a recipe weighs them, and what is logged beside them.

Losses are sums over tokens, each with its weight; they are divided by the weights of the whole
optimiser step, so that padding, accumulation and the way responses are put together change nothing.
"""

import torch
from torch import Tensor

from veridical.models.branches import BranchOutputs
from veridical.objectives.kl import kl_estimate
from veridical.objectives.ppo import clipped_policy_loss, clipped_value_loss
from veridical.training.ppo.config import PpoRecipe
from veridical.training.run.loss_trainer import BranchTensors


class RolloutBatch(BranchTensors):
    """Some prompts of a rollout with their responses, as one micro-batch; all tensors are (B K T)."""

    weights: Tensor
    """How much each token's loss counts."""
    logprobs: Tensor
    """Log-probabilities under the policy that sampled, in nats."""
    reference: Tensor
    """Log-probabilities under the reference, in nats."""
    values: Tensor
    """What was expected."""
    advantages: Tensor
    """How much better than expected each token was."""
    returns: Tensor
    """What the value should have predicted."""


def token_weights(mask: Tensor, recipe: PpoRecipe) -> Tensor:
    """How much each token's loss counts (B K T): 1, or 1/n in a response of n tokens where responses are averaged."""
    weights = mask.float()
    if recipe.objective.average == "responses":
        return weights / mask.sum(-1, keepdim=True).clamp(min=1)
    return weights


def loss_divisor(weights: Tensor, recipe: PpoRecipe) -> float:
    """What summed losses are divided by: the weights' sum, or all slots of the window, of which most have no loss."""
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
        values: What is expected now (B K T).
        batch: Tensors of a rollout: `values`, `returns`, `response_mask`, `weights`, each (B K T).
        recipe: The clip and the loss's weight.
    """
    mask = batch["response_mask"]
    result = clipped_value_loss(
        values, batch["values"], batch["returns"], clip_range=recipe.value.clip_range
    )
    losses = recipe.value.coefficient * torch.where(mask, result.loss, 0.0) * batch["weights"]
    shown = {"value_loss": result.loss, "value_clip_fraction": result.clipped.float()}
    return losses.sum(-1), {name: _sums(one, mask) for name, one in shown.items()}


def _sums(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values.detach(), 0.0).sum((-2, -1))
