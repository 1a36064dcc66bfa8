"""Attention of a prompt with branches in two calls; only the smaller one needs a mask.

Under a dense tree mask a kernel computes all pairs of L prompt and N branch tokens and reads
(L + N)² numbers in every layer, which at 1,600 image tokens costs as much as a second prompt. Here
the prompt's tokens attend causally, without a mask, at half the pairs; the branches' N tokens
attend to everything under a mask of N (L + N). A mask with fewer rows than there are queries says
so: its rows belong to the last queries. The prompt must be padded on the right, where nothing
before the padding sees it.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

SPLIT_FROM = 256
"""Prompt tokens from which two calls cost less than one with a dense mask."""

_sdpa: Any = ALL_ATTENTION_FUNCTIONS["sdpa"]


def _sdpa_in_two(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **others: Any,
) -> tuple[Tensor, Tensor | None]:
    """The "sdpa" attention of transformers, which also takes a mask of the last queries alone."""
    L = 0
    if attention_mask is not None and attention_mask.ndim == 4 and attention_mask.shape[-1]:
        L = query.shape[2] - attention_mask.shape[-2]
    if L <= 0 or attention_mask is None or attention_mask.shape[-2] == 1:
        whole: tuple[Tensor, Tensor | None] = _sdpa(
            module, query, key, value, attention_mask, **others
        )
        return whole
    others.pop("is_causal", None)
    prompt, _ = _sdpa(
        module,
        query[:, :, :L],
        key[:, :, :L],
        value[:, :, :L],
        None,
        is_causal=True,
        **others,
    )
    if not attention_mask.shape[-2]:
        return prompt, None
    branches, _ = _sdpa(module, query[:, :, L:], key, value, attention_mask, **others)
    return torch.cat([prompt, branches], dim=1), None


ALL_ATTENTION_FUNCTIONS.register("sdpa", _sdpa_in_two)
