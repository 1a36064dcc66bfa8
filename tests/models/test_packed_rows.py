"""Packed rows under the tree attention that GPUs have a kernel for, computed here by definition."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from miniatures import picture
from veridical.models import branches
from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.kernels import tree_attention
from veridical.models.kernels.packed_layout import no_packing_reason
from veridical.models.kernels.tree_attention import (
    Heads,
    attend,
    make_tree,
    no_kernel_reason,
    wrong_result_reason,
)
from veridical.models.prompts.encoding import encode_prompts

PROMPTS, BRANCHES = [5, 3], [[2, 0, 4], [1, 3, 2]]


def dense_mask():
    """The same tree, said of every pair of tokens."""
    owners = [(b, None) for b, length in enumerate(PROMPTS) for _ in range(length)]
    owners += [
        (b, k)
        for b, lengths in enumerate(BRANCHES)
        for k, length in enumerate(lengths)
        for _ in range(length)
    ]
    return torch.tensor(
        [
            [i >= j and (own == other or other == (own[0], None)) for j, other in enumerate(owners)]
            for i, own in enumerate(owners)
        ]
    )


def test_attention_and_its_gradients_are_those_under_a_dense_mask():
    mask = dense_mask()
    torch.manual_seed(0)
    query, key, value = (
        torch.randn(len(mask), heads, 8, requires_grad=True) for heads in (4, 2, 2)
    )
    tree = make_tree(PROMPTS, BRANCHES, torch.device("cpu"))
    found = attend(query, key, value, tree, scale=0.3)
    rows = [x.transpose(0, 1).unsqueeze(0) for x in (query, key, value)]
    dense = scaled_dot_product_attention(*rows, mask, scale=0.3, enable_gqa=True)
    expected = dense.squeeze(0).transpose(0, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    toward = torch.randn_like(found)
    for mine, theirs in zip(
        torch.autograd.grad(found, (query, key, value), toward),
        torch.autograd.grad(expected, (query, key, value), toward),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_packed_batch_scores_and_learns_as_a_padded_one(vlm, side, monkeypatch):
    images = [picture(seed, size=size) for seed, size in enumerate([(64, 48), (40, 64)])]
    vlm.tokenizer.padding_side = side
    prompt = encode_prompts(vlm, ["Is there a knife?", "Describe the image in detail."], images)
    vlm.tokenizer.padding_side = "left"
    responses = [[[7, 8, 9, 10], [11, 12]], [[], [13, 14, 15]]]
    batch = BranchBatch(prompt, *stack_responses(responses))
    weight = next(vlm.model.get_decoder().layers[0].self_attn.q_proj.parameters())
    results = []
    for reason in ("not here", None):
        monkeypatch.setattr(branches, "no_packing_reason", lambda model, reason=reason: reason)
        scores = score_branches(vlm.model, batch)
        results.append((scores, *torch.autograd.grad(scores.sum(), weight)))
    for padded, packed in zip(*results, strict=True):
        torch.testing.assert_close(packed, padded, rtol=1e-4, atol=1e-5)


def test_a_row_is_packed_only_where_the_kernel_is(llava):
    assert no_packing_reason(llava.model) == "the device is cpu"
    cuda = torch.device("cuda")
    assert "half precision" in no_kernel_reason(cuda, torch.float32, Heads(4, 2, 64))
    assert "width 60" in no_kernel_reason(cuda, torch.bfloat16, Heads(4, 2, 60))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_kernel_is_tried_whoever_asks_first(mode, monkeypatch):
    """Here against itself; scoring asks without gradients and under autocast."""
    cpu = torch.device("cpu")
    wrong_result_reason.cache_clear()
    with mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert wrong_result_reason(cpu, torch.bfloat16, Heads(2, 1, 8)) is None


def test_a_kernel_that_is_wrong_or_fails_is_not_used(monkeypatch):
    cpu = torch.device("cpu")
    right = tree_attention.forward
    calls = []

    def wrong(query, key, value, pieces):
        out, lse = right(query, key, value, pieces)
        calls.append(pieces)
        return out * (1.1 if len(calls) < 3 else 1.0), lse

    wrong_result_reason.cache_clear()
    monkeypatch.setattr(tree_attention, "forward", wrong)
    assert "off the definition" in wrong_result_reason(cpu, torch.bfloat16, Heads(2, 1, 8))
    wrong_result_reason.cache_clear()
    monkeypatch.setattr(tree_attention, "forward", lambda *_: torch.zeros(1).view(3))
    assert "the kernel failed" in wrong_result_reason(cpu, torch.bfloat16, Heads(2, 1, 8))
    wrong_result_reason.cache_clear()
