r"""Group relative advantages: a reward against the mean of its prompt's, in standard deviations.

GRPO (Shao et al. 2024, arXiv 2402.03300, section 4.1.2):

    A_k = (s_k − mean(s)) / std(s)

Without the division (Liu et al. 2025, arXiv 2503.20783, "Dr. GRPO") prompts whose responses hardly
differ weigh less, as they should. No value is learnt.

Worked by hand: scores 1, 2, 6: mean 3, standard deviation √7 = 2.645751 (n − 1): −0.755929,
−0.377964, 1.133893; unscaled −2, −1, 3.
"""

import torch
from torch import Tensor

_EPSILON = 1e-4
"""Added to the standard deviation, so that equal scores give advantages of 0 and not noise over
noise."""


def grpo(scores: Tensor, valid: Tensor, *, scale: bool = True) -> Tensor:
    """Advantages of responses relative to their prompt's group.

    Args:
        scores: What each response got in all (B K); values where `valid` is False are ignored.
        valid: True at responses that count (B K).
        scale: Divide by the group's standard deviation (unbiased, n − 1).

    Returns:
        Advantages (B K), 0 where `valid` is False and where a prompt has no second response.
    """
    kept = torch.where(valid, scores, 0.0)
    count = valid.sum(-1, keepdim=True)
    centred = torch.where(valid, kept - kept.sum(-1, keepdim=True) / count.clamp(min=1), 0.0)
    if scale:
        spread = (centred.square().sum(-1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
        centred = centred / (spread + _EPSILON)
    return torch.where(valid & (count > 1), centred, 0.0)
