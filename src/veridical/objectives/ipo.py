r"""Identity preference optimization (Azar et al. 2023, arXiv 2310.12036, equation 17).

With the scores s of a chosen response y_w and a rejected one y_l under policy π and reference,

    L = (h − 1/(2β))²,    h = (s_π(y_w) − s_ref(y_w)) − (s_π(y_l) − s_ref(y_l))

(β is the paper's τ). DPO's loss falls for ever as h grows, so that a preference that is always seen
the same way round pushes the policy away from the reference without limit; here h has a target,
and passing it costs as much as missing it.

The paper writes log π(y) of the whole response, a sum over its tokens. A sum makes one target of
1/(2β) nats for responses of any length: easily passed by two long ones, out of reach for two short
ones. With the mean per token, which the paper's authors advised for TRL's implementation and TRL
uses, the target is the same per token.

Worked by hand, policy and reference as in `dense`: means −1.05, −1.133333 (policy), −1.15, −1.0
(reference): h = 0.1 + 0.133333 = 0.233333. β = 0.5 has the target 1: loss 0.766667² = 0.587778.
Sums −4.2, −3.4 and −4.6, −3.0: h = 0.8, loss 0.2² = 0.04.
"""

from typing import NamedTuple

from torch import Tensor


class IpoLoss(NamedTuple):
    """The loss of every pair and its margin; both (B)."""

    loss: Tensor
    """Squared distance of h from 1/(2β), in nats²; not averaged."""
    margin: Tensor
    """β·h; 1/2 at the target. Detached."""


def ipo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
) -> IpoLoss:
    """Compute the IPO loss of B pairs.

    Args:
        policy_chosen: Scores of the chosen responses under the policy (B), in nats.
        policy_rejected: Scores of the rejected responses under the policy (B).
        reference_chosen: Scores of the chosen responses under the reference (B).
        reference_rejected: Scores of the rejected responses under the reference (B).
        beta: τ of the paper; above 0. The smaller, the farther the target.

    Raises:
        ValueError: `beta` out of range.
    """
    if not beta > 0:
        raise ValueError(f"beta must be above 0, got {beta}.")
    gap = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return IpoLoss((gap - 1 / (2 * beta)).square(), (beta * gap).detach())
