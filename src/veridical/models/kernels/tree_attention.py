"""Attention of prompts with branches as two variable-length kernel calls, without a mask.

Under a tree mask a prompt's token sees the prompt's past, a branch's token sees its whole prompt
and its own branch's past. A dense mask makes a kernel compute all pairs and read the mask in every
layer. Laid out as all prompts, then all branches (`packed_layout`),

    prompt 1 | prompt 2 | … | branch 1 of prompt 1 | branch 2 of prompt 1 | branch 1 of prompt 2 | …

the same attention is (1) causal attention within every piece and (2) full attention of every
prompt's branches to that prompt, both contiguous, so that FlashAttention's variable-length kernel
does just the pairs that are needed. Their softmaxes are joined by their log-sum-exps. The backward
pass is the kernel's own, called once for each part with the *joined* output and log-sum-exp:
probabilities are exp(score − log-sum-exp), whichever keys a call looks at (FlashAttention-2, Dao
2023, arXiv 2307.08691, section 3.1; the splitting is that of flash-decoding). Elsewhere than on a
GPU everything is computed by definition, which is there to test the other.
"""

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from veridical.models.kernels.pieces import Pieces, backward, forward
from veridical.models.sending import send

TREE = "branch_tree"
"""Name of the argument that carries a `Tree` through a model's forward to its attention layers."""
_HALF = (torch.bfloat16, torch.float16)
_ROUND_LENGTHS_TO = 256
_HALF_PRECISION = 2e-2
"""How far, relatively, a result in half precision may be off."""


class Tree(NamedTuple):
    """Where prompts and branches begin and end in a packed row of N tokens."""

    pieces: Tensor
    """Bounds of all pieces, prompts first (int32, B + number of branches + 1), from 0 to N."""
    prompts: Tensor
    """Bounds of the prompts (int32, B + 1), from 0 to `split`."""
    families: Tensor
    """Bounds of each prompt's branches taken together (int32, B + 1), counted from `split`."""
    split: int
    """The first token of a branch: how many tokens the prompts have."""
    longest_piece: int
    """At least the length of the longest piece."""
    longest_prompt: int
    """At least the length of the longest prompt."""
    longest_family: int
    """At least the length of the longest family."""


def make_tree(prompts: list[int], branches: list[list[int]], device: torch.device) -> Tree:
    """Lay out pieces of these lengths.

    Args:
        prompts: Tokens of each prompt.
        branches: Tokens of each prompt's branches.
        device: Where the bounds are needed.
    """
    families = [sum(lengths) for lengths in branches]
    pieces = prompts + [length for lengths in branches for length in lengths]
    bounds = [
        send(torch.tensor([0, *lengths]).cumsum(0).to(torch.int32), device)
        for lengths in (pieces, prompts, families)
    ]
    longest = [
        -(-max(lengths) // _ROUND_LENGTHS_TO) * _ROUND_LENGTHS_TO
        for lengths in (pieces, prompts, families)
    ]
    return Tree(bounds[0], bounds[1], bounds[2], sum(prompts), *longest)


def attend(query: Tensor, key: Tensor, value: Tensor, tree: Tree, *, scale: float) -> Tensor:
    """Attention over a packed row.

    Args:
        query: Queries (N H D).
        key: Keys (N G D); G divides H.
        value: Values (N G D).
        tree: The row's layout.
        scale: Scores are multiplied by it.

    Returns:
        What each token reads (N H D).
    """
    attended: Tensor = torch.ops.veridical.tree_attention(query, key, value, *tree, scale)[0]
    return attended


def _parts(numbers: tuple[Any, ...]) -> tuple[Pieces, Pieces]:
    """Every piece to itself, and every prompt's branches to the prompt."""
    tree = Tree(*numbers[:-1])
    own = Pieces(
        tree.pieces, tree.pieces, tree.longest_piece, tree.longest_piece, numbers[-1], causal=True
    )
    read = Pieces(
        tree.families,
        tree.prompts,
        tree.longest_family,
        tree.longest_prompt,
        numbers[-1],
        causal=False,
    )
    return own, read


@torch.library.custom_op("veridical::tree_attention", mutates_args=())
def _tree_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pieces: Tensor,
    prompts: Tensor,
    families: Tensor,
    split: int,
    longest_piece: int,
    longest_prompt: int,
    longest_family: int,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Give what each token reads (N H D), and the log-sum-exp of its scores (H N)."""
    lengths = (split, longest_piece, longest_prompt, longest_family, scale)
    own, read = _parts((pieces, prompts, families, *lengths))
    out, lse = forward(query, key, value, own)
    if split == len(query):
        return out, lse
    more, more_lse = forward(query[split:], key[:split], value[:split], read)
    joined = torch.logaddexp(lse[:, split:], more_lse)
    share = (lse[:, split:] - joined).exp().T.unsqueeze(-1)
    more_share = (more_lse - joined).exp().T.unsqueeze(-1)
    out[split:] = out[split:] * share + more * more_share
    lse[:, split:] = joined
    return out, lse


@_tree_attention.register_fake
def _(query: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    tokens, heads, _width = query.shape
    return query.new_empty(query.shape), query.new_empty((heads, tokens), dtype=torch.float32)


@torch.library.custom_op("veridical::tree_attention_backward", mutates_args=())
def _tree_attention_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    pieces: Tensor,
    prompts: Tensor,
    families: Tensor,
    split: int,
    longest_piece: int,
    longest_prompt: int,
    longest_family: int,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    lengths = (split, longest_piece, longest_prompt, longest_family, scale)
    own, read = _parts((pieces, prompts, families, *lengths))
    of_query, of_key, of_value = backward(grad, query, key, value, out, lse, own)
    if split < len(query):
        found = backward(
            grad[split:],
            query[split:],
            key[:split],
            value[:split],
            out[split:],
            lse[:, split:].contiguous(),
            read,
        )
        of_query[split:] += found[0]
        of_key[:split] += found[1]
        of_value[:split] += found[2]
    return of_query, of_key, of_value


@_tree_attention_backward.register_fake
def _(
    _grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        query.new_empty(query.shape),
        key.new_empty(key.shape),
        value.new_empty(value.shape),
    )


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, pieces, prompts, families, *ctx.numbers = inputs
    ctx.save_for_backward(query, key, value, *output, pieces, prompts, families)


def _differentiate(ctx: Any, grad: Tensor, _lse_grad: Tensor) -> tuple[Tensor | None, ...]:
    gradients = torch.ops.veridical.tree_attention_backward(
        grad.contiguous(), *ctx.saved_tensors, *ctx.numbers
    )
    return (*gradients, *[None] * 8)


_tree_attention.register_autograd(_differentiate, setup_context=_keep_for_backward)


_sdpa: Any = ALL_ATTENTION_FUNCTIONS["sdpa"]


def _sdpa_or_tree(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, Tensor | None]:
    """The "sdpa" attention of transformers, which also takes a `Tree`, with an empty mask.

    Some families hand a forward's arguments to their vision tower, too; there the mask is another.
    """
    tree = others.pop(TREE, None)
    if tree is None or attention_mask is None or attention_mask.shape[-1]:
        given: tuple[Tensor, Tensor | None] = _sdpa(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return given
    kind = query.device.type
    if torch.is_autocast_enabled(kind):
        query, key, value = (x.to(torch.get_autocast_dtype(kind)) for x in (query, key, value))
    query, key, value = (x.squeeze(0).transpose(0, 1).contiguous() for x in (query, key, value))
    attended = attend(query, key, value, tree, scale=scaling or query.shape[-1] ** -0.5)
    return attended.unsqueeze(0), None


ALL_ATTENTION_FUNCTIONS.register("sdpa", _sdpa_or_tree)


class Heads(NamedTuple):
    """The shape of a model's attention."""

    queries: int
    """Heads of queries, H."""
    keys: int
    """Heads of keys and values, G."""
    width: int
    """Width of each, D."""


def no_kernel_reason(device: torch.device, dtype: torch.dtype, heads: Heads) -> str | None:
    """Why this attention has no kernel here; None where it has one."""
    if device.type != "cuda":
        return f"the device is {device.type}"
    if dtype not in _HALF:
        return f"it computes in {dtype}, and the kernel in half precision"
    if heads.width % 8 or heads.width > 256:
        return f"heads of width {heads.width} do not fit the kernel"
    return wrong_result_reason(device, dtype, heads)


@cache
def wrong_result_reason(device: torch.device, dtype: torch.dtype, heads: Heads) -> str | None:
    """Try attention and gradients once on a device, and compare them with the definition."""
    prompts, branches = [600, 311], [[99, 130], [0, 257]]
    tokens = sum(prompts) + sum(map(sum, branches))
    found = []
    # Whoever asks first may be scoring, without gradients or under autocast.
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
    ):
        random = torch.Generator().manual_seed(0)
        drawn = [
            torch.randn(tokens, count, heads.width, generator=random).to(dtype)
            for count in (heads.queries, heads.keys, heads.keys, heads.queries)
        ]
        try:
            for place in (device, torch.device("cpu")):
                query, key, value, grad = (x.to(place).requires_grad_() for x in drawn)
                tree = make_tree(prompts, branches, place)
                out = attend(query, key, value, tree, scale=heads.width**-0.5)
                gradients = torch.autograd.grad(out, (query, key, value), grad.detach())
                found.append([x.detach().float().cpu() for x in (out, *gradients)])
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            return f"the kernel failed: {str(error).splitlines()[0]}"
    gaps = [float((a - b).norm() / b.norm()) for a, b in zip(*found, strict=True)]
    if not max(gaps) < _HALF_PRECISION:
        return f"the kernel's result is {max(gaps):.2g} off the definition"
    return None
