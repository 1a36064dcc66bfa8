r"""Scores of whole responses from token log-probabilities, as dense DPO (RLHF-V) defines them.

RLHF-V (Yu et al. 2023, arXiv 2312.00849, equation 5) weighs the tokens of corrected segments y_c by
γ > 1 and the unchanged ones y_u by 1,

    s(y) = (1/N)·[Σ_{i ∈ y_u} log p_i + γ·Σ_{i ∈ y_c} log p_i],    N = |y_u| + γ·|y_c|

so that the credit goes to what was corrected and no response scores higher for being longer. Three
ways to normalise:

    sum            no 1/N: with γ = 1 plain DPO; a shared beginning cancels
    weighted_mean  1/N as in the paper; a shared beginning leaves (1/N_w − 1/N_l)·prefix
    mean           1/|y|: with γ = 1 length-normalised DPO

With `unchanged_weight` 0 and γ = 1, summed, only changed tokens count (what VL-RLHF calls "ddpo").

Worked by hand, γ = 5: log-probabilities −1, −0.5, −2, −0.7, the middle two changed: sum (−1 − 0.7)
+ 5·(−0.5 − 2) = −14.2; N = 2 + 5·2 = 12; weighted mean −14.2/12 = −1.183333. In DPO with β = 0.5
this is the first row of

    policy   chosen −1, −0.5, −2, −0.7 (changed 2, 3)      rejected −1, −1.5, −0.9 (changed 2)
    reference       −1.1, −0.6, −2.2, −0.7                          −1, −1.2, −0.8

    normalize, γ, β        scores of chosen; rejected (policy, reference)     margin    loss
    weighted_mean 5 0.5    −1.183333, −1.316667; −1.342857, −1.114286         0.180952  0.606758
    sum 5 0.5              −14.2, −15.8; −9.4, −7.8                           1.6       0.183901
    sum 1.1 0.1            −4.45, −4.88; −3.55, −3.12                         0.086     0.651071
    sum 1 0.1 (DPO)        −4.2, −4.6; −3.4, −3.0                             0.08      0.653947
    mean 1 0.1             −1.05, −1.15; −1.133333, −1.0                      0.023333  0.681549
    changed only, 0.1      −2.5, −2.8; −1.5, −1.2                             0.06      0.663597
"""

from typing import Literal

import torch
from torch import Tensor

Normalization = Literal["sum", "weighted_mean", "mean"]


def sequence_score(
    token_logprobs: Tensor,
    response_mask: Tensor,
    changed_mask: Tensor,
    *,
    segment_weight: float,
    normalize: Normalization,
    unchanged_weight: float = 1.0,
) -> Tensor:
    """Score responses by their weighted token log-probabilities.

    Args:
        token_logprobs: Token log-probabilities (… T) in nats; values where `response_mask` is False
            are ignored, whatever they are.
        response_mask: True at the responses' tokens (… T).
        changed_mask: True at the tokens of corrected segments (… T); ignored outside of the
            response.
        segment_weight: γ, the weight of changed tokens; not negative.
        normalize: "sum", "weighted_mean" (RLHF-V) or "mean".
        unchanged_weight: Weight of unchanged tokens; 1 in RLHF-V, 0 counts changed tokens only.

    Returns:
        Scores (…) in nats. A response of no tokens, or of no weight, says nothing: its score is 0,
        with no gradient.

    Raises:
        ValueError: A negative weight, or an unknown normalisation.
    """
    if not (segment_weight >= 0 and unchanged_weight >= 0):
        raise ValueError(
            f"Weights must not be negative, got {segment_weight} and {unchanged_weight}."
        )
    kept = torch.where(response_mask, token_logprobs, 0.0)
    weights = (
        torch.full_like(kept, unchanged_weight).masked_fill(changed_mask, segment_weight)
        * response_mask
    )
    total = (weights * kept).sum(-1)
    if normalize == "sum":
        return total
    if normalize == "weighted_mean":
        size = weights.sum(-1)
    elif normalize == "mean":
        size = response_mask.sum(-1).to(kept.dtype)
    else:
        raise ValueError(f"normalize must be sum, weighted_mean or mean, got {normalize!r}.")
    return total / torch.where(size > 0, size, 1.0)
