"""Branches or copies of the prompt: the way that computes less, for families that allow both.

Branches save the prompt's matrix products, K - 1 times; but under one mask every branch token is
also compared with its siblings' tokens, which long responses to a short prompt make dear. The rule:
of each layer of the decoder count matrix products, 2 floating-point operations a weight and token,
and attention, 4 a pair of tokens and unit of width, taken one and a half times for the softmax and
the mask between them (measured: benchmarks/branches). The prompt counts as often as it is computed.
"""

from collections import Counter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor

from veridical.models.architectures.positions import no_fast_path_reason, window_of_all_layers
from veridical.models.architectures.table import architecture_of
from veridical.models.branch_layout import splits_attention
from veridical.models.loading import Model, unwrap

_PER_PAIR = 4 * 1.5
_taken: WeakKeyDictionary[Any, Counter[str]] = WeakKeyDictionary()


class Costs(NamedTuple):
    """Floating-point operations of a decoder's layer for a batch, forward only."""

    branches: float
    """All responses after one prompt."""
    copies: float
    """Each response after a prompt of its own."""


def costs(model: Model, prompt_mask: Tensor, response_mask: Tensor) -> Costs:
    """Count what both ways compute.

    Args:
        model: The model.
        prompt_mask: True at the prompts' tokens (B L).
        response_mask: True at the responses' tokens (B K T).
    """
    text = unwrap(model).config.get_text_config()
    weights, width = _weights_and_width(text)
    K, T = response_mask.shape[1:]
    L = prompt_mask.shape[1]
    N = int(response_mask.sum((1, 2)).max())
    split = splits_attention(model, L, K * T)
    pairs = L * L / 2 + N * (L + N) if split else (L + N) ** 2
    branches = (L + N) * 2 * weights + pairs * _PER_PAIR * width
    lengths = (prompt_mask.sum(-1, keepdim=True) + response_mask.sum(-1)).flatten()
    longest = int(lengths.max())
    # Where every token sees its past alone, kernels skip the half that is never seen.
    seen = 0.5 if no_fast_path_reason(model) is None else 1.0
    copies = K * (longest * 2 * weights + seen * longest**2 * _PER_PAIR * width)
    return Costs(branches, copies)


def copies_reason(model: Model, prompt_mask: Tensor, response_mask: Tensor) -> str | None:
    """Why a batch takes copies of the prompt, where its model allows branches; None for branches.

    Args:
        model: The model.
        prompt_mask: True at the prompts' tokens (B L).
        response_mask: True at the responses' tokens (B K T).
    """
    return _short_window_reason(model, prompt_mask, response_mask) or _copies_cost_less_reason(
        model, prompt_mask, response_mask
    )


def _short_window_reason(model: Model, prompt_mask: Tensor, response_mask: Tensor) -> str | None:
    """Why one mask for all layers would not keep to a sliding window; None where it does."""
    config = unwrap(model).config
    text, window = config.get_text_config(), window_of_all_layers(model)
    kinds = getattr(text, "layer_types", None) or ()
    if architecture_of(config).one_mask and "sliding_attention" in kinds:
        window = text.sliding_window
    if window is None:
        return None
    length = int((prompt_mask.sum(-1) + response_mask.sum(-1).amax(-1)).max())
    if length <= window:
        return None
    return (
        f"the language model attends over a sliding window of {window} tokens, shorter than prompt"
        f" and response ({length})"
    )


def _copies_cost_less_reason(
    model: Model, prompt_mask: Tensor, response_mask: Tensor
) -> str | None:
    """Why copies of the prompt compute less than branches; None where they do not."""
    if response_mask.shape[1] == 1:
        return None
    found = costs(model, prompt_mask, response_mask)
    if found.branches <= found.copies:
        return None
    return (
        "with responses so long after a prompt so short it computes less"
        " (this choice is made for each batch)"
    )


def note_path(model: Model, path: str) -> None:
    """Count a batch that took a path."""
    _taken.setdefault(unwrap(model), Counter())[path] += 1


def paths_taken(model: Model) -> dict[str, int]:
    """How many batches of a model took which path, for the manifest."""
    return dict(_taken.get(unwrap(model), {}))


def _weights_and_width(text: Any) -> tuple[float, float]:
    """Weights of the first layer that a token meets, and the width of its attention."""
    if getattr(text, "is_heterogeneous", False):  # Gemma 4's layers are of two kinds
        text = text.per_layer_config[0]
    heads = text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // heads
    width, shared = heads * size, (getattr(text, "num_key_value_heads", None) or heads) * size
    experts = getattr(text, "num_experts_per_tok", None)
    inner = text.moe_intermediate_size * experts if experts else text.intermediate_size
    return text.hidden_size * (2 * width + 2 * shared + 3 * inner), width
