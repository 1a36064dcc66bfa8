"""Where tokens stand, and where the fast paths hold.

The fast paths (branches after one prompt, lean decoding) compute positions and masks themselves.
They are used for families whose row says so, with decoders and rotary kinds on which they have been
shown to agree with the plain forward; everything else takes the plain path.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any, NamedTuple

from torch import Tensor

from veridical.models.architectures.table import architecture_of, is_listed
from veridical.models.loading import Model, unwrap
from veridical.progress import log

_ROTARY_TEXT_MODELS = frozenset(
    {
        "glm4v_text",
        "llama",
        "mistral",
        "qwen2",
        "qwen2_5_vl_text",
        "qwen2_vl_text",
        "qwen3",
        "qwen3_vl_moe_text",
        "qwen3_vl_text",
    }
)
"""Decoders whose only sense of place is rotary, from `position_ids`."""
_FIXED_ROTARY = frozenset({"default", "linear", "llama3", "yarn", "mrope", "proportional"})
"""Rotary kinds that do not depend on the length of the input."""

_logged: set[str] = set()


class Positions(NamedTuple):
    """Where a prompt's tokens stand and where its continuation starts."""

    ids: Tensor
    """Position ids of the prompt: (B L), or (3 B L) with multimodal rotary positions."""
    next: Tensor
    """First position after the prompt (B)."""


def no_fast_path_reason(model: Model) -> str | None:
    """Why positions and masks are left to the model itself; None if they can be computed here."""
    window, reason = window_of_all_layers(model), _no_causal_reason(model)
    if reason is None and window is not None:
        return f"the language model attends over a sliding window of {window}"
    return reason


def window_of_all_layers(model: Model) -> int | None:
    """The sliding window that every layer of the decoder has; None if some see everything."""
    text = unwrap(model).config.get_text_config()
    if getattr(text, "layer_types", None):
        return None
    window: int | None = getattr(text, "sliding_window", None)
    return window


def _no_causal_reason(model: Model) -> str | None:
    """Why it is not shown that every token sees its past alone, with its place from rotations."""
    config = unwrap(model).config
    text = config.get_text_config()
    row = architecture_of(config)
    if not is_listed(config):
        return f"the architecture `{config.model_type}` has not been checked"
    if row.attention != "causal":
        return f"`{config.model_type}` has {row.attention} attention"
    if not row.branches:
        return f"`{config.model_type}` masks its layers differently"
    if text.model_type not in _ROTARY_TEXT_MODELS | set(row.decoders):
        return f"the language model `{text.model_type}` has not been checked"
    kinds = set(getattr(text, "layer_types", None) or ())
    if kinds - {"full_attention"}:
        return f"the language model has layers of {', '.join(sorted(kinds - {'full_attention'}))}"
    rope = getattr(text, "rope_parameters", None) or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    return (
        None
        if kind in _FIXED_ROTARY
        else f"its rotary positions ({kind}) depend on the length of the input"
    )


def no_tree_reason(model: Model) -> str | None:
    """Why responses cannot be scored as branches; None if they can.

    A window of all layers does no harm as long as it is not shorter than prompt and response,
    which is looked at for each batch (`path_choice`).
    """
    config = unwrap(model).config
    text, row = config.get_text_config(), architecture_of(config)
    if not row.tree:
        return row.copies or _no_causal_reason(model)
    if text.model_type not in row.decoders:
        return f"the language model `{text.model_type}` has not been checked"
    if row.logits != "capped" and getattr(text, "final_logit_softcapping", None):
        return "the language model caps its logits"
    both_ways = getattr(text, "use_bidirectional_attention", None)
    if row.attention.endswith("image blocks") and both_ways not in (None, False, "vision"):
        return "the language model attends both ways"
    kinds = _rotary_kinds(getattr(text, "rope_parameters", None) or {}) - _FIXED_ROTARY
    return (
        f"its rotary positions ({min(kinds)}) depend on the length of the input" if kinds else None
    )


def _rotary_kinds(rope: Mapping[str, Any]) -> set[str]:
    """The rotary kind, or those of each kind of layer."""
    inner = [value for value in rope.values() if isinstance(value, Mapping)]
    return {str(one.get("rope_type", "default")) for one in inner or [rope]}


def prompt_positions(model: Model, prompt: Mapping[str, Tensor]) -> Positions:
    """Compute the position ids of padded prompts as the model itself would.

    Args:
        model: The model.
        prompt: What `encode_prompts` gives, padded on either side.
    """
    mask = prompt["attention_mask"].long()
    backbone = unwrap(model).base_model
    if hasattr(backbone, "get_rope_index"):
        known = signature(backbone.get_rope_index).parameters
        ids, deltas = backbone.get_rope_index(
            **{key: value for key, value in prompt.items() if key in known}
        )
        return Positions(ids, mask.sum(-1) + deltas.reshape(-1))
    return Positions((mask.cumsum(-1) - 1).clamp(min=0), mask.sum(-1))


def log_once(text: str) -> None:
    """Tell the user something that would otherwise be repeated for every batch."""
    if text not in _logged:
        _logged.add(text)
        log(text)
