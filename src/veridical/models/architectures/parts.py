"""The parts of a model: decoder, vision tower, projector, vocabulary head."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from veridical.errors import ModelError
from veridical.models.architectures.table import architecture_of, is_listed
from veridical.models.loading import Model, unwrap

_NAMELESS_TOWERS = ("vqmodel", "vision_embed_tokens", "embed_vision")
"""Image encoders that `get_encoder` does not give: they turn pictures into tokens or patches."""
_USUAL_PROJECTORS = frozenset({"merger", "deepstack_merger_list", "downsample", "patch_merger"})
"""What projectors inside towers are called, in families that are not listed."""


def language_model(model: Model) -> nn.Module:
    """The decoder inside the model, without the vocabulary head."""
    found = unwrap(model).get_decoder()
    if found.get_output_embeddings() is not None:  # a whole text model with its head (Llama 4)
        found = getattr(found, "model", found)
    assert isinstance(found, nn.Module)  # noqa: S101 - narrows an untyped attribute
    return found


def vocabulary_head(model: Model) -> nn.Module:
    """What turns the decoder's last hidden states into logits."""
    inner = unwrap(model)
    found = inner.get_output_embeddings()
    if found is None:
        found = inner.get_decoder().get_output_embeddings()
    assert isinstance(found, nn.Module)  # noqa: S101 - narrows an untyped attribute
    return found


class Forward(NamedTuple):
    """What a whole forward gives."""

    output: Any
    """The model's own output, logits included."""
    states: Tensor
    """The decoder's last hidden states (B Q D), after its final norm."""


def run_whole(model: Model, arguments: Mapping[str, Any]) -> Forward:
    """Run a whole forward and keep what its decoder hands to the vocabulary head."""
    seen: list[Any] = []
    handle = language_model(model).register_forward_hook(lambda _m, _a, given: seen.append(given))
    try:
        output = unwrap(model)(**arguments, use_cache=False)
    finally:
        handle.remove()
    return Forward(output, seen[-1][0])


def last_hidden_states(model: Model, arguments: Mapping[str, Any]) -> Tensor:
    """Run a forward up to the decoder's last hidden states (B Q D), after its final norm."""
    inner = unwrap(model)
    if inner.base_model is inner:  # some families have no backbone apart from the head
        return run_whole(model, arguments).states
    states: Tensor = inner.base_model(**arguments, use_cache=False).last_hidden_state
    return states


def vision_tower(model: Model) -> nn.Module:
    """The image encoder inside the model, with the projector where that lies inside the tower.

    Raises:
        ModelError: The model does not say which of its modules that is.
    """
    inner = unwrap(model)
    found = inner.get_encoder(modality="image")
    if found is inner or not isinstance(found, nn.Module):
        others = (getattr(inner.base_model, name, None) for name in _NAMELESS_TOWERS)
        found = next((module for module in others if isinstance(module, nn.Module)), None)
    if not isinstance(found, nn.Module):
        raise ModelError(f"No vision tower found in `{inner.config.model_type}`.")
    return found


def projector_parameters(model: Model) -> set[int]:
    """`id`s of the weights that turn image features into the decoder's width.

    These are the modules that the architecture's row names, wherever they lie (without a row, those
    of the usual names), and whatever belongs to neither tower nor decoder nor vocabulary head.
    """
    inner = unwrap(model)
    names = architecture_of(inner.config).projector
    if not is_listed(inner.config):
        modules = inner.base_model.named_modules()
        names = tuple(name for name, _ in modules if name.split(".")[-1] in _USUAL_PROJECTORS)
    named = {
        id(parameter)
        for name, parameter in inner.base_model.named_parameters()
        if any(name == known or name.startswith(f"{known}.") for known in names)
    }
    others = {id(parameter) for parameter in vision_tower(inner).parameters()}
    others |= language_parameters(inner)
    return named | {id(parameter) for parameter in inner.parameters()} - others


def language_parameters(model: Model) -> set[int]:
    """`id`s of the weights of decoder and vocabulary head."""
    inner = unwrap(model)
    found = {
        id(parameter)
        for part in (language_model(inner), vocabulary_head(inner))
        for parameter in part.parameters()
    }
    if language_model(inner) is inner.base_model:  # its tower is one of the decoder's own modules
        found -= {id(parameter) for parameter in vision_tower(inner).parameters()}
    return found


def project_to_vocabulary(model: Model, hidden: Tensor) -> Tensor:
    """Turn last hidden states (… D) into logits (… V), in float32.

    For families with `branches` or `tree` this is what the model's own forward does; others may
    scale or cap their logits in other ways.
    """
    config = unwrap(model).config
    kind, text = architecture_of(config).logits, config.get_text_config()
    logits: Tensor = vocabulary_head(model)(hidden).float()
    cap: float | None = None
    if kind == "capped":
        cap = getattr(text, "final_logit_softcapping", None)
    elif kind == "divided":
        logits = logits / text.logits_scaling
    return logits if cap is None else (logits / cap).tanh() * cap
