"""From token log-probabilities to the losses of pairs, and what is logged beside them."""

import torch
from torch import Tensor

from veridical.training.preference.objectives.protocol import Objective
from veridical.training.run.loss_trainer import RowLosses

_TIE = 1e-5
"""Margins below this are ties: rounding, not preference."""


def preference_losses(
    policy: Tensor,
    reference: Tensor,
    response_mask: Tensor,
    changed_mask: Tensor,
    objective: Objective,
) -> RowLosses:
    """Compute the objective's losses from token log-probabilities.

    Args:
        policy: Token log-probabilities (B 2 T) of the policy, chosen first.
        reference: The same of the reference.
        response_mask: True at the responses' tokens (B 2 T).
        changed_mask: True at corrected tokens (B 2 T).
        objective: The recipe's objective.

    Returns:
        Losses (B), and what is logged next to them, each (B): `reward_margin` (the objective's
        margin), `accuracy` (1 where the margin is positive, 0.5 for ties) and the responses' summed
        log-probabilities in nats.
    """
    losses, margin = objective.loss(
        objective.score(policy, response_mask, changed_mask),
        objective.score(reference, response_mask, changed_mask),
    )
    if objective.sft_weight:
        mask = response_mask[:, 0]
        weighted = objective.sft_weight * (policy[:, 0] * mask).sum(-1)
        losses = losses - weighted / mask.sum(-1).clamp(min=1)
    tie = margin.abs() < _TIE
    summed = (policy.detach() * response_mask).sum(-1)
    measures = {
        "reward_margin": margin,
        "accuracy": torch.where(tie, 0.5, (margin > 0).float()),
        "chosen_logprob": summed[:, 0],
        "rejected_logprob": summed[:, 1],
    }
    return RowLosses(losses, measures)
