"""Attention of pieces of queries to pieces of keys: by FlashAttention's kernel, or by definition.

Rows are N tokens of H heads (G for keys and values, G divides H) of width D. The backward pass
takes output and log-sum-exp as arguments: given those of a softmax over *more* keys, it gives the
part of the gradients that comes from these ones.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Pieces(NamedTuple):
    """Which queries look at which keys: piece i at piece i."""

    queries: Tensor
    """Bounds of the pieces of queries (int32, P + 1)."""
    keys: Tensor
    """Bounds of the pieces of keys (int32, P + 1)."""
    longest_queries: int
    """At least the length of the longest piece of queries."""
    longest_keys: int
    """At least the length of the longest piece of keys."""
    scale: float
    """Scores are multiplied by it."""
    causal: bool
    """Whether a query sees only the keys up to its own place in the piece."""


def forward(query: Tensor, key: Tensor, value: Tensor, pieces: Pieces) -> tuple[Tensor, Tensor]:
    """What each query reads (N H D), and the log-sum-exp of its scores (H N, float32)."""
    if not query.is_cuda:
        return _forward_by_definition(query, key, value, pieces)
    out, lse, *_ = torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        *pieces[:4],
        0.0,
        pieces.causal,
        return_debug_mask=False,
        scale=pieces.scale,
    )
    return out, lse


def backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    pieces: Pieces,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values."""
    if not query.is_cuda:
        return _backward_by_definition(grad, query, key, value, out, lse, pieces)
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten._flash_attention_backward(
        grad,
        query,
        key,
        value,
        out,
        lse,
        *pieces[:4],
        0.0,
        pieces.causal,
        torch.zeros(2, dtype=torch.uint64, device=query.device),  # without dropout not looked at
        torch.empty(0, device=query.device),
        scale=pieces.scale,
    )
    return gradients


def _forward_by_definition(
    query: Tensor, key: Tensor, value: Tensor, pieces: Pieces
) -> tuple[Tensor, Tensor]:
    out = torch.zeros_like(query)
    lse = query.new_full((query.shape[1], len(query)), -torch.inf, dtype=torch.float32)
    groups = query.shape[1] // key.shape[1]
    for here, there in _slices(pieces):
        scores = _scores(query[here], key[there], pieces)
        lse[:, here] = scores.logsumexp(-1)
        read = torch.einsum("hqk,khd->qhd", scores.softmax(-1), _spread(value[there], groups))
        out[here] = read.to(out.dtype)
    return out, lse


def _backward_by_definition(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    pieces: Pieces,
) -> tuple[Tensor, Tensor, Tensor]:
    grads = [torch.zeros_like(tensor) for tensor in (query, key, value)]
    groups = query.shape[1] // key.shape[1]
    for here, there in _slices(pieces):
        chances = (_scores(query[here], key[there], pieces) - lse[:, here].unsqueeze(-1)).exp()
        towards = torch.einsum("qhd,khd->hqk", grad[here].float(), _spread(value[there], groups))
        mean = (grad[here].float() * out[here].float()).sum(-1).T.unsqueeze(-1)
        slope = chances * (towards - mean) * pieces.scale
        to_query = torch.einsum("hqk,khd->qhd", slope, _spread(key[there], groups))
        grads[0][here] = to_query.to(query.dtype)
        for number, (weights, source) in enumerate(((slope, query), (chances, grad)), start=1):
            found = torch.einsum("hqk,qhd->khd", weights, source[here].float())
            of_heads = found.reshape(len(found), key.shape[1], groups, key.shape[2])
            grads[number][there] = of_heads.sum(2).to(key.dtype)
    return grads[0], grads[1], grads[2]


def _slices(pieces: Pieces) -> Iterator[tuple[slice, slice]]:
    queries, keys = pieces.queries.tolist(), pieces.keys.tolist()
    for number in range(len(queries) - 1):
        yield (
            slice(queries[number], queries[number + 1]),
            slice(keys[number], keys[number + 1]),
        )


def _spread(tensor: Tensor, groups: int) -> Tensor:
    """Keys or values (N G D) once for each head that reads them (N H D), in float32."""
    return tensor.float().repeat_interleave(groups, dim=1)


def _scores(query: Tensor, key: Tensor, pieces: Pieces) -> Tensor:
    groups = query.shape[1] // key.shape[1]
    scores = torch.einsum("qhd,khd->hqk", query.float(), _spread(key, groups)) * pieces.scale
    if pieces.causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    return scores
