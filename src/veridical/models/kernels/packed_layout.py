"""All prompts of a batch and all their branches in one row, without padding.

For attention that needs no mask (`tree_attention`): no token is computed that nobody asked for,
whatever the lengths, and several prompts fill the GPU together.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from veridical.models.architectures.positions import log_once, prompt_positions
from veridical.models.architectures.table import architecture_of
from veridical.models.branch_layout import Layout, is_sequence
from veridical.models.kernels.tree_attention import TREE, Heads, make_tree, no_kernel_reason
from veridical.models.loading import Model, unwrap
from veridical.models.sending import send


def no_packing_reason(model: Model) -> str | None:
    """Why prompts and branches are not packed into one row; None where they are."""
    text = unwrap(model).config.get_text_config()
    if text._attn_implementation != "sdpa":
        return f"the attention implementation is `{text._attn_implementation}`"
    weights = next(unwrap(model).get_input_embeddings().parameters())
    kind = weights.device.type
    autocast = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if autocast else weights.dtype
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    groups = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    heads = Heads(text.num_attention_heads, groups, width)
    reason = no_kernel_reason(weights.device, dtype, heads)
    if reason is not None and kind == "cuda":
        log_once(f"Prompts and responses are padded and attended to under a dense mask: {reason}.")
    return reason


def lay_out_packed(
    model: Model,
    prompt: Mapping[str, Tensor],
    ids: Tensor,
    prompt_mask: Tensor,
    response_mask: Tensor,
    *,
    images: Mapping[str, Any],
) -> Layout:
    """One row: the tokens of all prompts, then those of all branches; see `lay_out_branches`.

    Both masks lie on the host, everything else on the model's device.
    """
    B, K, T = response_mask.shape
    device = ids.device
    lengths = prompt_mask.sum(-1)
    tree = make_tree(lengths.tolist(), response_mask.sum(-1).tolist(), device)
    slots = tree.split + response_mask.reshape(-1).long().cumsum(0) - 1
    at = torch.where(response_mask, slots.reshape(B, K, T), 0)
    last = (lengths.cumsum(0) - 1).reshape(B, 1, 1).expand(B, K, 1)
    before = torch.where(response_mask, torch.cat([last, at[..., :-1]], dim=-1), 0)
    tokens = send(prompt_mask.reshape(-1).nonzero().squeeze(-1), device)
    answers = send(response_mask.reshape(-1).nonzero().squeeze(-1), device)

    continuation = architecture_of(unwrap(model).config).continuation
    packed = {}
    for key, value in prompt.items():
        if is_sequence(prompt, key) and key != "attention_mask":
            own = value.reshape(-1)[tokens]
            more = (
                ids.reshape(-1)[answers].to(own.dtype)
                if key == "input_ids"
                else own.new_full(answers.shape, continuation.get(key, 0))
            )
            packed[key] = torch.cat([own, more]).unsqueeze(0)
    positions = prompt_positions(model, prompt)
    own = positions.ids.reshape(*positions.ids.shape[:-2], -1)[..., tokens]
    steps = positions.next[answers // (K * T)] + answers % T
    steps = steps.expand(*own.shape[:-1], -1)
    arguments = {
        **images,
        **packed,
        "position_ids": torch.cat([own, steps], dim=-1).unsqueeze(-2),
        # A mask of four dimensions is left alone by the model; this one says nothing.
        "attention_mask": torch.empty(1, 1, 1, 0, dtype=torch.bool, device=device),
        TREE: tree,
    }
    rows = torch.zeros(B, 1, 1, dtype=torch.long, device=device)
    return Layout(arguments, rows, send(at, device), send(before, device))
