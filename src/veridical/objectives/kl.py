r"""Estimators of KL(π ‖ ref) from sampled tokens, and the penalty made of them.

With d = log π(y_t) − log ref(y_t) at tokens sampled from π (Schulman 2020, "Approximating KL
divergence"):

    k1       d                 unbiased, of either sign
    k2       d²/2              never negative; biased, little while π is near
    k3       e^(−d) − 1 + d    unbiased and never negative
    clamped  max(d, 0)         LLaVA-RLHF's released code: biased upward, never below 0

The coefficient is fixed, or follows a target (Ziegler et al. 2019, arXiv 1909.08593, section 2.2):

    e = clip(KL / target − 1, −0.2, 0.2),    coefficient ← coefficient·(1 + e·samples/horizon)

Worked by hand: log π = −1, log ref = −1.5 gives d = 0.5: k1 0.5, k2 0.125, k3 e^(−0.5) − 0.5 =
0.106531, clamped 0.5. With d = −0.5: −0.5, 0.125, e^(0.5) − 1.5 = 0.148721, 0. A coefficient of 0.1
at KL 9, target 6, 512 samples of horizon 10,000: e = 0.2, 0.1·(1 + 0.2·0.0512) = 0.101024.
"""

from typing import Literal

import torch
from torch import Tensor

KlEstimator = Literal["k1", "k2", "k3", "clamped"]

ESTIMATORS: tuple[KlEstimator, ...] = ("k1", "k2", "k3", "clamped")
"""All of them; the log shows each."""


def kl_estimate(
    policy_logprobs: Tensor, reference_logprobs: Tensor, *, estimator: KlEstimator
) -> Tensor:
    """Estimate the divergence at every token.

    Args:
        policy_logprobs: Log-probabilities of the sampled tokens under the policy, in nats.
        reference_logprobs: The same under the reference.
        estimator: "k1", "k2", "k3" or "clamped".

    Returns:
        One estimate per token, in nats, of the same shape; differentiable.

    Raises:
        ValueError: An unknown estimator.
    """
    difference = policy_logprobs - reference_logprobs
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return 0.5 * difference.square()
    if estimator == "k3":
        return torch.expm1(-difference) + difference
    if estimator == "clamped":
        return difference.clamp(min=0)
    raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {estimator!r}.")


def adapt_kl_coefficient(
    coefficient: float,
    *,
    observed: float,
    target: float,
    samples: int,
    horizon: int,
    clip: float = 0.2,
) -> float:
    """Move the coefficient so that the divergence goes towards its target.

    Args:
        coefficient: The coefficient so far.
        observed: Mean divergence of a whole response, in nats.
        target: Where it should be, above 0.
        samples: Responses since the last change.
        horizon: Responses over which an error of `clip` changes the coefficient by `clip`.
        clip: Largest relative error that counts.

    Raises:
        ValueError: `target` or `horizon` is not above 0.
    """
    if not (target > 0 and horizon > 0):
        raise ValueError(f"target and horizon must be above 0, got {target} and {horizon}.")
    error = min(max(observed / target - 1, -clip), clip)
    return coefficient * (1 + error * samples / horizon)
