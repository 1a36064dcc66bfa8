r"""REINFORCE leave-one-out: a response's baseline is what the prompt's other responses got.

Kool et al. 2019 ("Buy 4 REINFORCE samples, get a baseline for free"); for language models Ahmadian
et al. 2024, arXiv 2402.14740, equation 8:

    A_k = s_k − (1/(K−1))·Σ_{j≠k} s_j

No value is learnt. The baseline does not depend on the response that it is taken from, so the
estimate is unbiased.

Worked by hand: scores 1, 2, 6: baselines 4, 3.5, 1.5; advantages −3, −1.5, 4.5.
"""

import torch
from torch import Tensor


def rloo(scores: Tensor, valid: Tensor) -> Tensor:
    """Advantages of responses over the mean of the others to the same prompt.

    Args:
        scores: What each response got in all (B K); values where `valid` is False are ignored.
        valid: True at responses that count (B K).

    Returns:
        Advantages (B K), 0 where `valid` is False and where a prompt has no second response.
    """
    kept = torch.where(valid, scores, 0.0)
    count = valid.sum(-1, keepdim=True)
    baseline = (kept.sum(-1, keepdim=True) - kept) / (count - 1).clamp(min=1)
    return torch.where(valid & (count > 1), kept - baseline, 0.0)
