r"""Robust DPO (arXiv 2403.00409): DPO's loss made unbiased under swapped labels.

Source: Chowdhury, Kini, Natarajan 2024.

If a share ε of the pairs is labelled the wrong way round, the mean DPO loss over the data is not
that of the right labels. With L(m) = −log σ(m) at DPO's margin m,

    L_robust = [(1 − ε)·L(m) − ε·L(−m)] / (1 − 2ε)

has it as its expectation: a right pair gives L_robust(m), a swapped one L_robust(−m), and
(1 − ε)·L_robust(m) + ε·L_robust(−m) = L(m). Conservative DPO (`label_smoothing` of `dpo`) has a
plus in place of the minus and no divisor: it stays bounded from below, but is biased.

Worked by hand, scores as in `dpo` (β = 0.1, margin 0.08): L(m) = 0.653947, L(−m) = 0.733947;
ε = 0.1: (0.9·0.653947 − 0.1·0.733947)/0.8 = (0.588552 − 0.073395)/0.8 = 0.643947.
"""

from torch import Tensor

from veridical.objectives.dpo import DpoLoss, dpo_loss


def robust_dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
    error_rate: float,
) -> DpoLoss:
    """Compute the robust DPO loss of B pairs; it may be negative.

    Args:
        policy_chosen: Scores of the chosen responses under the policy (B), in nats.
        policy_rejected: Scores of the rejected responses under the policy (B).
        reference_chosen: Scores of the chosen responses under the reference (B).
        reference_rejected: Scores of the rejected responses under the reference (B).
        beta: How dearly the policy pays for leaving the reference; above 0.
        error_rate: ε, the share of pairs labelled the wrong way round, in [0, 0.5).

    Raises:
        ValueError: `beta` or `error_rate` out of range.
    """
    if not 0 <= error_rate < 0.5:
        raise ValueError(f"error_rate must be in [0, 0.5), got {error_rate}.")
    right = dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=beta
    )
    swapped = dpo_loss(
        policy_rejected, policy_chosen, reference_rejected, reference_chosen, beta=beta
    )
    loss = ((1 - error_rate) * right.loss - error_rate * swapped.loss) / (1 - 2 * error_rate)
    return right._replace(loss=loss)
