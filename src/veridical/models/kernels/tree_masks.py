"""Who sees whom in a row that holds a prompt and its branches."""

from collections.abc import Mapping

import torch
from torch import Tensor

from veridical.models.architectures.table import architecture_of
from veridical.models.loading import Model, unwrap


def tree_mask(
    model: Model, segments: Tensor, *, first: int = 0, blocks: Tensor | None = None
) -> Tensor:
    """Who sees whom (B 1 Q Q), from each column's segment (B Q); without the rows before `first`.

    Segment 0 is the prompt, k + 1 is branch k, -1 is padding. A prompt token sees the prompt's
    past, and all tokens of its block where it has one; a branch token sees the prompt and its own
    branch's past, never another branch. Padding sees itself alone: a row of a mask that allows
    nothing gives NaN.
    """
    allowed, columns, rows = _causal(segments, first)
    return _as_read(model, _with_blocks(allowed, blocks) | (columns == rows))


def masks_by_layer(
    model: Model, segments: Tensor, positions: Tensor, *, blocks: Tensor | None
) -> Tensor | dict[str, Tensor]:
    """What a model takes as `attention_mask`: one mask, or one for each kind of layer.

    Args:
        model: The model.
        segments: See `tree_mask`.
        positions: Where tokens stand (B Q): a sliding window counts from there.
        blocks: Tokens of a prompt with the same number see each other (B Q); -1 is none.
    """
    config = unwrap(model).config
    text, row = config.get_text_config(), architecture_of(config)
    everywhere = None if row.attention == "local image blocks" else blocks
    full = tree_mask(model, segments, blocks=everywhere)
    if row.one_mask or "sliding_attention" not in (getattr(text, "layer_types", None) or ()):
        return full
    allowed, columns, rows = _causal(segments, 0)
    near = positions.unsqueeze(2) - positions.unsqueeze(1) < text.sliding_window
    slid = (_with_blocks(allowed, blocks) & near) | (columns == rows)
    return {"full_attention": full, "sliding_attention": _as_read(model, slid)}


def prompt_blocks(model: Model, prompt: Mapping[str, Tensor]) -> Tensor | None:
    """Tokens of a prompt that see each other have the same number (B L); -1 is none.

    None where every token sees its past alone.
    """
    config, held = unwrap(model).config, prompt["attention_mask"]
    attention = architecture_of(config).attention
    if attention == "prefix":
        return held.long() - 1
    if attention == "local image blocks":
        if config.get_text_config().use_bidirectional_attention is None:
            return None
        types = prompt["mm_token_type_ids"]
    elif attention == "image blocks":
        types = prompt["token_type_ids"]
    else:
        return None
    image = (types == 1) & held.bool()
    before = torch.nn.functional.pad(image, (1, 0))[:, :-1]
    return torch.where(image, (image & ~before).long().cumsum(-1) - 1, -1)


def _causal(segments: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """Who sees whom (B Q Q) among the past, and the numbers of columns and rows."""
    seen, seeing = segments.unsqueeze(1), segments[:, first:].unsqueeze(2)
    columns = torch.arange(segments.shape[1], device=segments.device)
    rows = columns[first:].unsqueeze(1)
    tree = ((seen == 0) & (seeing >= 0)) | ((seen == seeing) & (seen > 0))
    return (columns <= rows) & tree, columns, rows


def _with_blocks(allowed: Tensor, blocks: Tensor | None) -> Tensor:
    if blocks is None:
        return allowed
    together = (blocks.unsqueeze(1) == blocks.unsqueeze(2)) & (blocks.unsqueeze(1) >= 0)
    return allowed | together


def _as_read(model: Model, allowed: Tensor) -> Tensor:
    """A mask as the model's attention takes it."""
    allowed = allowed.unsqueeze(1)
    if unwrap(model).config.get_text_config()._attn_implementation == "sdpa":
        return allowed
    dtype = next(p.dtype for p in unwrap(model).get_input_embeddings().parameters())
    return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)
