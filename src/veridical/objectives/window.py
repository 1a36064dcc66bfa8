r"""The padded window of LLaVA-RLHF's released PPO (arXiv 2309.14525): T slots for every response.

A response of n tokens is followed by T − n slots of padding, and the score stands on slot T. There
the original's critic says something, too, and learns what it should say: the score. The slot after
the end is judged by the state that has read the end; each later one by a state that has read
padding. All padding is one and the same token, which later slots do not look at, so one padding
token is read here and stands for all of them (in the original only their positions differ).
With γ = λ = 1 the return is the same on all of them: the score.
"""

import torch
from torch import Tensor

_READ = 2
"""Slots after a response whose values are read: the one after its end, one for all later ones."""


def append_padding(
    ids: Tensor, mask: Tensor, *, pad_token_id: int, window: int
) -> tuple[Tensor, Tensor]:
    """Let each response be followed by the padding that the critic reads.

    Args:
        ids: Token ids of responses (… T).
        mask: True at their tokens (… T), which fill T from the left.
        pad_token_id: What a padding token is.
        window: Slots per response; a response that fills it is followed by nothing.

    Returns:
        Ids and mask, both (… T+2). A response without any token stays empty.
    """
    lengths = mask.sum(-1, keepdim=True)
    slots = torch.arange(mask.shape[-1] + _READ, device=mask.device)
    read = (slots < (lengths + _READ).clamp(max=window)) & (lengths > 0)
    wider = torch.nn.functional.pad(ids, (0, _READ))
    return torch.where(slots < lengths, wider, pad_token_id), read


def spread_over_window(values: Tensor, mask: Tensor, *, window: int) -> Tensor:
    """Give all slots of the window (… window) the values that were read (… T+2).

    Args:
        values: Values of the slots that `append_padding` lays out (… T+2).
        mask: True at the responses' tokens (… T).
        window: Slots per response.
    """
    last = mask.sum(-1, keepdim=True) + _READ - 1
    slots = torch.arange(window, device=mask.device).expand(*mask.shape[:-1], window)
    return values.gather(-1, torch.minimum(slots, last))


def window_weights(mask: Tensor, *, window: int) -> Tensor:
    """How many slots of the window each read slot stands for (… T+2); 0 where nothing is read.

    Args:
        mask: True at the responses' tokens (… T).
        window: Slots per response. The weights of a response add up to it.
    """
    lengths = mask.sum(-1, keepdim=True)
    slots = torch.arange(mask.shape[-1] + _READ, device=mask.device)
    last = lengths + _READ - 1
    weights = (slots <= last).float() + torch.where(slots == last, window - 1.0 - last, 0.0)
    return torch.where((lengths > 0) & (slots < window), weights, 0.0)
