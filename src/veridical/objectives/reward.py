r"""The loss of a reward model trained on comparisons (Stiennon et al. 2020, equation 1).

With rewards r₁ and r₂ of the two responses and the probability p that the first is the better one,

    L = −p·log σ(r₁ − r₂) − (1 − p)·log σ(r₂ − r₁)

p is 1 or 0 for a clear judgement, ½ for a tie, anything between where several people judged. Only
differences count, so rewards may drift; a centring term holds them near 0. LLaVA-RLHF's released
code adds 10⁻³·|mean over the batch of (r₁ + r₂)|; the mean of (r₁ + r₂)² (Eisenstein et al. 2023,
arXiv 2312.09244) does not depend on who shares the batch.

Worked by hand: r₁ = 1.0, r₂ = 0.4: margin 0.6, −log σ(0.6) = 0.437488, −log σ(−0.6) = 1.037488; p =
1 gives 0.437488, p = 0 gives 1.037488, p = ½ gives 0.737488. Centring by squares adds weight·1.96,
by batch mean weight·1.4.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

Centring = Literal["squares", "batch_mean"]
"""(r₁ + r₂)² of each pair · |mean of r₁ + r₂| over the pairs that are in memory together, as the
original has it."""


class PairwiseLoss(NamedTuple):
    """The loss of every pair and what it is made of; all (B)."""

    loss: Tensor
    """Loss of each pair in nats, weighted, centring included; not averaged."""
    preference_loss: Tensor
    """Its part that learns the preference, not weighted. Detached; ln 2 where the margin is 0."""
    margin: Tensor
    """Reward of the first response minus that of the second. Detached."""


def pairwise_loss(
    first: Tensor,
    second: Tensor,
    preference: Tensor,
    *,
    weight: Tensor | None = None,
    centring: Centring = "squares",
    centring_weight: float = 0.0,
) -> PairwiseLoss:
    """Compute the loss of B comparisons.

    Args:
        first: Rewards of the responses shown first (B).
        second: Rewards of the responses shown second (B).
        preference: Probability that the first is the better one (B), in [0, 1]; a tie is 0.5.
        weight: How much each comparison counts (B), at least 0; None: all alike.
        centring: How rewards are held near 0.
        centring_weight: How strongly; 0: not at all. LLaVA-RLHF: 0.001.

    Raises:
        ValueError: A preference outside of [0, 1], a negative weight, or shapes that differ.
    """
    if not first.shape == second.shape == preference.shape or first.ndim != 1:
        raise ValueError(
            f"Rewards and preferences must be (B) alike, got {tuple(first.shape)},"
            f" {tuple(second.shape)} and {tuple(preference.shape)}."
        )
    if bool(((preference < 0) | (preference > 1)).any()):
        raise ValueError(f"Preferences are probabilities, got {preference.tolist()}.")
    if (weight is not None and bool((weight < 0).any())) or centring_weight < 0:
        raise ValueError("Weights must be at least 0.")
    margin = first - second
    preference_loss = -preference * logsigmoid(margin) - (1 - preference) * logsigmoid(-margin)
    loss = preference_loss if weight is None else weight * preference_loss
    if centring_weight:
        total = first + second
        away = total.square() if centring == "squares" else total.mean().abs().expand_as(total)
        loss = loss + centring_weight * away
    return PairwiseLoss(loss, preference_loss.detach(), margin.detach())


def preference_accuracy(margin: Tensor, preference: Tensor, *, tolerance: float = 1e-5) -> Tensor:
    """Whether the reward agrees with people, for each pair: 1, 0, or 0.5 where the margin is a tie.

    Args:
        margin: Reward of the first response minus that of the second (B).
        preference: Probability that the first is the better one (B).
        tolerance: Margins below this are ties: rounding, not preference.

    Returns:
        Agreement (B); NaN for pairs that people called a tie, which are right either way.
    """
    right = ((margin > 0) == (preference > 0.5)).to(margin.dtype)
    agreement = torch.where(margin.abs() < tolerance, torch.full_like(right, 0.5), right)
    return torch.where(preference == 0.5, torch.full_like(right, torch.nan), agreement)
