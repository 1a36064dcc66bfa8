r"""Best-of-n: its expected value, from one set of N samples, and its distance from the policy.

Draw n responses from a policy π, keep the one of highest reward. Two facts make it a yardstick of
training:

- **Distance.** KL(best-of-n ‖ π) ≤ log n − (n−1)/n nats. Long taken for the KL itself, it is an
  upper bound (Beirami et al. 2024, arXiv 2401.01879): near where no response has a probability
  worth mentioning, loose where a few hold most.
- **Value at every n from N samples.** With the N samples ordered by reward, the best of n of them
  drawn without replacement is the i-th smallest with probability C(i−1, n−1) / C(N, n). The mean of
  another value v (a judge's score) under these weights is an unbiased estimate of what best-of-n
  scores, for every n ≤ N at once (so does WebGPT, Nakano et al. 2021, arXiv 2112.09332). Samples of
  one reward share their weights, as if drawn by lot.

Worked by hand: rewards 1, 2, 3 with values 6, 0, 3. n = 1: (6+0+3)/3 = 3. n = 2: weights 0, 1/3,
2/3 give 2. n = 3: 3.
"""

import math

import torch
from torch import Tensor


def kl_bound(n: int) -> float:
    """Upper bound on KL(best-of-n ‖ policy) in nats: log n − (n−1)/n; 0 for n = 1.

    Raises:
        ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError(f"best-of-n needs n of at least 1, got {n}.")
    return math.log(n) - (n - 1) / n


def best_of_n_values(rewards: Tensor, values: Tensor | None = None) -> Tensor:
    """Estimate what the best of n samples scores, for n = 1 … N.

    Args:
        rewards: What the best is chosen by, (… N), finite.
        values: What is wanted of the chosen one, (… N); None: the rewards themselves.

    Returns:
        Unbiased estimates (… N) in float64; place n−1 is that of best-of-n.

    Raises:
        ValueError: The shapes differ, or a reward is not finite.
    """
    values = rewards if values is None else values
    if rewards.shape != values.shape or not rewards.shape[-1:].numel():
        raise ValueError(
            f"rewards and values must both be (… N) with N >= 1, got {tuple(rewards.shape)} and"
            f" {tuple(values.shape)}."
        )
    if not bool(rewards.isfinite().all()):
        raise ValueError("Rewards that are not finite have no order. Leave these samples out.")
    ordered, order = rewards.sort(dim=-1, stable=True)
    found = values.double().gather(-1, order)
    return _mean_over_ties(ordered, found) @ _weights(rewards.shape[-1]).T


def _weights(count: int) -> Tensor:
    """Probability (n, i) that the best of n is the i-th smallest; integers until the division."""
    every = range(1, count + 1)
    rows = [[math.comb(i - 1, n - 1) / math.comb(count, n) for i in every] for n in every]
    return torch.tensor(rows, dtype=torch.float64)


def _mean_over_ties(ordered: Tensor, values: Tensor) -> Tensor:
    """Give each of the samples that share a reward the mean of their values."""
    same = (ordered.unsqueeze(-1) == ordered.unsqueeze(-2)).double()
    return (same @ values.unsqueeze(-1)).squeeze(-1) / same.sum(-1)
