"""Means, variances and whitening over response tokens only: padding never enters a statistic.

The released code of LLaVA-RLHF (arXiv 2309.14525) takes them over its whole padded window; to do
the same, pass a mask of the window.
"""

from typing import Literal

import torch
from torch import Tensor


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of the values where the mask is True (scalar); others are ignored, NaN included."""
    return torch.where(mask, values, 0.0).sum()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is True (scalar); 0 where it is True nowhere."""
    return masked_sum(values, mask) / mask.sum().clamp(min=1)


def masked_variance(values: Tensor, mask: Tensor) -> Tensor:
    """Variance (biased, divided by n) of the values where the mask is True (scalar)."""
    return masked_mean((values - masked_mean(values, mask)).square(), mask)


def masked_whiten(
    values: Tensor,
    mask: Tensor,
    *,
    shift_mean: bool = True,
    epsilon: float = 1e-8,
    epsilon_to: Literal["variance", "deviation"] = "variance",
) -> Tensor:
    """Scale to a standard deviation of 1, and shift to a mean of 0.

    Args:
        values: Numbers of any shape.
        mask: True where they count, of the same shape.
        shift_mean: Take the mean away; without it the mean stays, and what lies around it is
            scaled.
        epsilon: Keeps numbers that hardly vary small. LLaVA-RLHF's released code: 1e-8.
        epsilon_to: What it is added to. LLaVA-RLHF's released code: the standard deviation.

    Returns:
        Whitened values, 0 where the mask is False.
    """
    kept = torch.where(mask, values, 0.0)
    mean = masked_mean(kept, mask)
    variance = masked_variance(kept, mask)
    if epsilon_to == "variance":
        white = (kept - mean) * torch.rsqrt(variance + epsilon)
    else:
        white = (kept - mean) / (variance.sqrt() + epsilon)
    if not shift_mean:
        white = white + mean
    return torch.where(mask, white, 0.0)


def explained_variance(predicted: Tensor, actual: Tensor, mask: Tensor) -> Tensor:
    """Share of the variance of `actual` that `predicted` explains (scalar): 1 at best.

    A constant `predicted` explains nothing: 0. Where `actual` does not vary there is nothing to
    explain: 0.
    """
    total = masked_variance(actual, mask)
    left = masked_variance(actual - predicted, mask)
    return torch.where(total > 0, 1 - left / total.clamp(min=torch.finfo(total.dtype).tiny), 0.0)
