r"""Direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290, equation 7).

With the scores s of a chosen response y_w and a rejected one y_l under policy π and reference,

    L = −log σ(β·[(s_π(y_w) − s_ref(y_w)) − (s_π(y_l) − s_ref(y_l))])

What a score is (a sum of token log-probabilities, or RLHF-V's weighted mean) is decided by
`dense.sequence_score`. Label smoothing takes a share ε of the labels to be wrong (cDPO: Mitchell
2023, "A note on DPO with noisy preferences").

Worked by hand: β = 0.1 and scores −4.2, −3.4 (policy), −4.6, −3.0 (reference) for chosen, rejected:
margin 0.1·[(−4.2 + 4.6) − (−3.4 + 3.0)] = 0.08, loss −log σ(0.08) = 0.653947.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import logsigmoid


class DpoLoss(NamedTuple):
    """The loss of every pair and what it is made of; all (B)."""

    loss: Tensor
    """Loss of each pair, in nats; not averaged. ln 2 where the margin is 0."""
    chosen_reward: Tensor
    """β·(s_π(y_w) − s_ref(y_w)): the implicit reward of the chosen response. Detached."""
    rejected_reward: Tensor
    """β·(s_π(y_l) − s_ref(y_l)): the implicit reward of the rejected response. Detached."""
    margin: Tensor
    """Chosen reward minus rejected reward. Detached."""


def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> DpoLoss:
    """Compute the DPO loss of B pairs.

    Args:
        policy_chosen: Scores of the chosen responses under the policy (B), in nats.
        policy_rejected: Scores of the rejected responses under the policy (B).
        reference_chosen: Scores of the chosen responses under the reference (B).
        reference_rejected: Scores of the rejected responses under the reference (B).
        beta: How dearly the policy pays for leaving the reference; above 0.
        label_smoothing: Share of pairs taken to be labelled the wrong way round, in [0, 0.5).

    Raises:
        ValueError: `beta` or `label_smoothing` out of range.
    """
    if not beta > 0:
        raise ValueError(f"beta must be above 0, got {beta}.")
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing must be in [0, 0.5), got {label_smoothing}.")
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    margin = chosen - rejected
    loss = -(1 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin)
    return DpoLoss(loss, chosen.detach(), rejected.detach(), margin.detach())
