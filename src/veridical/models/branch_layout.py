"""How prompts and responses become rows of a forward: as branches, or each with its own prompt.

Names: B prompts of L columns, K responses of at most T tokens, rows of Q columns.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from veridical.models.architectures.images import repeat_images
from veridical.models.architectures.positions import no_fast_path_reason, prompt_positions
from veridical.models.architectures.table import architecture_of
from veridical.models.kernels.split_attention import SPLIT_FROM
from veridical.models.kernels.tree_masks import masks_by_layer, prompt_blocks, tree_mask
from veridical.models.loading import Model, unwrap


class Layout(NamedTuple):
    """Arguments of a forward, and where the responses' tokens are in it."""

    arguments: dict[str, Any]
    """Arguments of the backbone's forward: R rows of Q tokens."""
    rows: Tensor
    """The row that holds a branch (B K 1)."""
    at: Tensor
    """Column of each response token (B K T); 0 where masked."""
    before: Tensor
    """Column of the token before it (B K T); 0 where masked."""


def lay_out_branches(
    model: Model,
    prompt: Mapping[str, Tensor],
    ids: Tensor,
    mask: Tensor,
    images: Mapping[str, Any],
) -> Layout:
    """One row per prompt: the prompt, then the tokens of all its responses, then padding.

    Args:
        model: The model; its positions and kind of mask count.
        prompt: Encoded prompts (B L).
        ids: Response tokens (B K T).
        mask: True at them (B K T).
        images: The arguments that carry the images.
    """
    B, K, T = mask.shape
    L = prompt["input_ids"].shape[1]
    split = splits_attention(model, L, K * T)
    if split:
        prompt = _padded_on_the_right(prompt)
    flat = mask.reshape(B, K * T)
    # Responses stand without gaps: `order` lists, for each row, first the places of all real tokens
    # in reading order (branch by branch), then those of padding. A stable sort of True before False
    # is exactly that.
    order = flat.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
    width = max(int(flat.sum(-1).max()), 2 if split else 0)
    order, valid = order[:, :width], flat.gather(1, order[:, :width])
    # The n-th real token of a row stands in column L + n - 1.
    slots = L + flat.long().cumsum(-1) - 1
    at = torch.where(flat, slots, 0).reshape(B, K, T)
    # Before a response's first token stands the prompt's last one, wherever padding has put it;
    # before each later token, the response's own previous one.
    columns = torch.arange(L, device=mask.device)
    last = torch.where(prompt["attention_mask"].bool(), columns, 0).amax(-1)
    before = torch.cat([last.reshape(B, 1, 1).expand(B, K, 1), at[..., :-1]], dim=-1)
    before = torch.where(mask, before, 0)

    # Every branch continues from the prompt's end: token t of any branch has position next + t.
    positions = prompt_positions(model, prompt)
    steps = torch.where(valid, positions.next.unsqueeze(1) + order % T, 0)
    if positions.ids.ndim == 3:
        steps = steps.unsqueeze(0).expand(positions.ids.shape[0], -1, -1)
    segments = torch.cat(
        [prompt["attention_mask"].long() - 1, torch.where(valid, order // T + 1, -1)], dim=-1
    )
    places = torch.cat([positions.ids, steps], dim=-1)
    blocks = prompt_blocks(model, prompt)
    if blocks is not None:
        blocks = torch.nn.functional.pad(blocks, (0, order.shape[1]), value=-1)
    arguments = {
        **images,
        **_extend(model, prompt, ids.reshape(B, K * T).gather(1, order)),
        "attention_mask": tree_mask(model, segments, first=L)
        if split
        else masks_by_layer(model, segments, places, blocks=blocks),
        "position_ids": places,
    }
    return Layout(arguments, torch.arange(B, device=mask.device).reshape(B, 1, 1), at, before)


def lay_out_plain(
    model: Model,
    prompt: Mapping[str, Tensor],
    ids: Tensor,
    mask: Tensor,
    images: Mapping[str, Any],
) -> Layout:
    """One row per response, each with its own copy of the prompt; see `lay_out_branches`.

    Row k·B + b holds response k to prompt b: the batch is repeated as a whole, and with it the
    images, whatever their layout. Rows are padded on the right, where a causal model sees nothing
    of it: there no mask of all pairs of tokens is made.
    """
    B, K, T = mask.shape
    copies = {key: value.repeat(K, 1) for key, value in prompt.items() if is_sequence(prompt, key)}
    tokens, token_mask = (x.transpose(0, 1).reshape(K * B, T) for x in (ids, mask))
    rows = _extend(model, copies, tokens)
    attention = torch.cat(
        [copies["attention_mask"], token_mask.to(copies["attention_mask"].dtype)], dim=-1
    )
    # Moved together and padded on the right, a row leaves positions and masks to the model itself.
    order = attention.argsort(dim=-1, descending=True, stable=True)
    order = order[:, : int(attention.sum(-1).max())]
    arguments = {key: value.gather(1, order) for key, value in rows.items()}
    if no_fast_path_reason(model) is not None:
        arguments["attention_mask"] = attention.gather(1, order)
    length = prompt["attention_mask"].sum(-1).reshape(B, 1, 1)
    at = torch.where(mask, length + torch.arange(T, device=mask.device), 0)
    before = torch.where(mask, at - 1, 0)
    index = torch.arange(K * B, device=mask.device).reshape(K, B).T.unsqueeze(-1)
    return Layout({**repeat_images(images, times=K), **arguments}, index, at, before)


def splits_attention(model: Model, prompt_tokens: int, branch_tokens: int) -> bool:
    """Whether prompt and branches attend in two calls, see `split_attention`."""
    config = unwrap(model).config
    attention, row = config.get_text_config()._attn_implementation, architecture_of(config)
    if row.attention != "causal" or not row.branches:
        return False
    return attention == "sdpa" and prompt_tokens >= SPLIT_FROM and branch_tokens > 1


def _padded_on_the_right(prompt: Mapping[str, Tensor]) -> dict[str, Tensor]:
    order = prompt["attention_mask"].argsort(dim=-1, descending=True, stable=True)
    return {
        key: value.gather(1, order) if is_sequence(prompt, key) else value
        for key, value in prompt.items()
    }


def is_sequence(prompt: Mapping[str, Tensor], key: str) -> bool:
    """Whether a prompt's tensor goes token by token."""
    return prompt[key].shape == prompt["input_ids"].shape


def _extend(model: Model, prompt: Mapping[str, Tensor], ids: Tensor) -> dict[str, Tensor]:
    """Append the responses to every input that goes token by token.

    To `input_ids` their ids; to others what the architecture's row says of a response, 0 (plain
    text) where it says nothing.
    """
    continuation = architecture_of(unwrap(model).config).continuation
    extended = {}
    for key, value in prompt.items():
        if is_sequence(prompt, key) and key != "attention_mask":
            more = ids if key == "input_ids" else torch.full_like(ids, continuation.get(key, 0))
            extended[key] = torch.cat([value, more.to(value.dtype)], dim=-1)
    return extended
