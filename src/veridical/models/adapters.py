"""Several adapters on one base, one active at a time: policy, reward, value.

Which adapter a forward goes through and which weights are trained are two different things. PEFT's
own switch changes both (the active adapter becomes trainable, the others frozen), so that computing
a reward would stop the policy from learning. Here a switch leaves alone what is trained.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.transformers_weight_conversion import (
    convert_peft_adapter_state_dict_for_transformers,
)
from safetensors import SafetensorError
from torch import nn

from veridical.errors import ModelError
from veridical.models.adapter_files import ADAPTER_FAULTS, whole_adapter
from veridical.models.loading import VisionLanguageModel, unwrap
from veridical.models.prompts.settings import read_settings


@contextmanager
def use_adapter(model: nn.Module, adapter: str | None) -> Iterator[None]:
    """Send forwards through one adapter alone; on exit, the adapters active before are again.

    Which weights take gradients does not change.

    Args:
        model: A model, PEFT-wrapped or not.
        adapter: Name of the adapter; None is the bare base.

    Raises:
        ModelError: The model has no adapter of this name.
    """
    layers = _tuned_layers(model)
    if adapter is not None and adapter not in adapter_names(model):
        raise ModelError(
            f"The model has no adapter {adapter!r}, got"
            f" {', '.join(adapter_names(model)) or 'none'}. Attach it first."
        )
    before = [_state(layer) for layer in layers]
    try:
        for layer, state in zip(layers, before, strict=True):
            _restore(
                layer,
                (
                    state._replace(disabled=True)
                    if adapter is None
                    else _AdapterState((adapter,), disabled=False)
                ),
            )
        yield
    finally:
        for layer, state in zip(layers, before, strict=True):
            _restore(layer, state)


def adapter_names(model: nn.Module) -> tuple[str, ...]:
    """Names of the adapters that a model has, active or not."""
    return tuple(
        sorted({name for layer in _tuned_layers(model) for name in layer._get_available_adapters()})
    )


def load_adapter(vlm: VisionLanguageModel, folder: Path | str, *, name: str) -> VisionLanguageModel:
    """Add a saved adapter to those that a model has, frozen and inactive.

    Args:
        vlm: The base, with adapters or without.
        folder: What `PeftModel.save_pretrained` wrote.
        name: What to call it.

    Returns:
        The same model with one more adapter. A bare base is wrapped for it: use what is returned;
        the base itself gives what it gave before.

    Raises:
        ModelError: The model has an adapter of this name, or the folder's does not fit the base.
    """
    if name in adapter_names(vlm.model):
        raise ModelError(f"The model already has an adapter {name!r}. Give another name.")
    before = {id(layer): _state(layer) for layer in _tuned_layers(vlm.model)}
    wrapped: Any = vlm.model
    try:
        with _keep_trainable(unwrap(vlm.model).parameters()):
            if isinstance(wrapped, PeftModel):
                found = wrapped.load_adapter(str(folder), adapter_name=name, is_trainable=False)
                if found.missing_keys:
                    raise KeyError(f"its file lacks {found.missing_keys[0]}")
            else:
                with whole_adapter():
                    wrapped = PeftModel.from_pretrained(
                        wrapped, str(folder), adapter_name=name, is_trainable=False
                    )
    except (*ADAPTER_FAULTS, SafetensorError) as error:
        text = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"Cannot put the adapter `{folder}` on `{vlm.name}`: {text[0].rstrip('.')}. "
            "Give an adapter that was trained on this base."
        ) from error
    for layer in _tuned_layers(wrapped):
        _restore(layer, before.get(id(layer), _AdapterState((), disabled=False)))
    for parameter_name, parameter in wrapped.named_parameters():
        if f".{name}." in parameter_name:
            parameter.requires_grad_(requires_grad=False)
    wrapped.train(mode=vlm.model.training)
    return replace(vlm, model=wrapped, settings=read_settings(str(folder)) or vlm.settings)


@contextmanager
def leave_casts_to_autocast(model: nn.Module, *, active: bool = True) -> Iterator[None]:
    """Keep PEFT from turning a layer's input into float32 for its adapter.

    Under autocast the product is in half precision all the same, so that PEFT's cast only doubles
    the bytes of every activation that the backward pass keeps. The adapter's own weights stay in
    float32, as do their gradients: what the optimiser adds up loses nothing.

    Args:
        model: A model, PEFT-wrapped or not; forwards within must run under autocast.
        active: Whether to do anything.
    """
    layers = _tuned_layers(model) if active else []
    before = [layer.cast_input_dtype_enabled for layer in layers]
    try:
        for layer in layers:
            layer.cast_input_dtype_enabled = False
        yield
    finally:
        for layer, enabled in zip(layers, before, strict=True):
            layer.cast_input_dtype_enabled = enabled


class _AdapterState(NamedTuple):
    """Which adapters a layer uses."""

    adapters: tuple[str, ...]
    disabled: bool


def _tuned_layers(model: nn.Module) -> list[Any]:
    return [module for module in unwrap(model).modules() if isinstance(module, BaseTunerLayer)]


def _state(layer: Any) -> _AdapterState:
    return _AdapterState(tuple(layer.active_adapters), bool(layer.disable_adapters))


def _restore(layer: Any, state: _AdapterState) -> None:
    with _keep_trainable(layer.parameters()):
        layer.enable_adapters(enabled=not state.disabled)
        layer.set_adapter(list(state.adapters))


@contextmanager
def _keep_trainable(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    flags = [(parameter, parameter.requires_grad) for parameter in parameters]
    try:
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad = flag


def lost_weights(model: Any, name: str) -> tuple[list[str], list[str]]:
    """Weights of an adapter that PEFT would not find in its own file, and those that it would.

    PEFT renames what it reads from a file as transformers renames the weights of a checkpoint. In
    some architectures names that are right already match such a rule, and become others.

    Args:
        model: A `PeftModel`.
        name: The adapter's name on it.
    """
    saved = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    shapes = {key: value.to("meta") for key, value in saved.items()}
    read = convert_peft_adapter_state_dict_for_transformers(
        model, model.peft_config[name], dict(shapes), adapter_name=name
    )
    return sorted(shapes.keys() - read.keys()), sorted(shapes.keys() & read.keys())
