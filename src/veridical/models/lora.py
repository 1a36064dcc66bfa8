"""LoRA adapters on the language model, and what is trained and what is frozen.

One base, many adapters: policy, value and reward are named adapters over the same frozen base, one
active at a time; the reference is the base with all of them off, so that no second copy of the
weights is held. (LoRA: Hu et al. 2021, arXiv 2106.09685.)
"""

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from pydantic import Field
from torch import nn

from veridical.config import Recipe
from veridical.errors import ModelError
from veridical.models.adapter_files import expected_warnings_ignored
from veridical.models.adapters import lost_weights, use_adapter
from veridical.models.architectures.parts import (
    language_model,
    language_parameters,
    projector_parameters,
    vision_tower,
)
from veridical.models.loading import Model, VisionLanguageModel, unwrap
from veridical.models.prompts.settings import save_settings


class LoraRecipe(Recipe):
    """Settings of a LoRA adapter."""

    rank: int = Field(default=64, ge=1)
    """Rank of the update. LLaVA-RLHF trains with 64 (arXiv 2309.14525, appendix)."""
    alpha: int = Field(default=16, ge=1)
    """Scale: the update is multiplied by alpha / rank. LLaVA-RLHF: 16."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the adapter's input. Keep it 0 for preference training: policy and reference are
    then compared without noise."""
    target_modules: tuple[str, ...] = ()
    """Names of the linear layers that get an adapter (such as q_proj), within the language model;
    empty means all, the fused experts of a mixture of experts included."""


DEFAULT_ADAPTER = "default"
"""PEFT's name for a single adapter."""


def add_lora(
    vlm: VisionLanguageModel, recipe: LoraRecipe | None = None, *, name: str = DEFAULT_ADAPTER
) -> VisionLanguageModel:
    """Put a fresh LoRA adapter on the language model's layers; the base is frozen.

    The vision tower, the projector and the vocabulary head never get one. The adapter starts as the
    identity. The first one is trainable and active; one that joins others is frozen and inactive
    (see `use_adapter`).

    Args:
        vlm: The model, with other adapters or without.
        recipe: The adapter's settings.
        name: The adapter's name, unique on this model.

    Raises:
        ModelError: There is an adapter of this name already, a named layer is missing, fused
            experts are to have dropout, or PEFT would not read the adapter's file back.
    """
    recipe = recipe or LoraRecipe()
    present = vlm.model.peft_config if isinstance(vlm.model, PeftModel) else {}
    if name in present:
        raise ModelError(
            f"`{vlm.name}` already has an adapter named {name!r}. Merge it, or load the base"
            " without it."
        )
    targets = _targets(vlm.model, recipe.target_modules)
    if targets.experts and recipe.dropout:
        raise ModelError(
            f"Fused experts take no dropout, got lora.dropout = {recipe.dropout}. Set it to 0, or"
            " name linear layers in lora.target_modules."
        )
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=targets.layers,
        target_parameters=targets.experts or None,
        exclude_modules=targets.others if targets.experts else None,
        bias="none",
        task_type=None,
    )
    if not present:
        with expected_warnings_ignored():
            model = get_peft_model(vlm.model, config, adapter_name=name)
        _require_readable(vlm, model, name)
        return replace(vlm, model=model)
    # PEFT activates an adapter that it adds.
    with use_adapter(vlm.model, None), expected_warnings_ignored():
        vlm.model.add_adapter(name, config)
    set_trainable_adapters(vlm.model, {name}, trainable=False)
    return vlm


def _require_readable(vlm: VisionLanguageModel, model: PeftModel, name: str) -> None:
    lost, kept = lost_weights(model, name)
    if not lost:
        return
    model.unload()
    layers, others = ({_last(key.partition(".lora_")[0]) for key in keys} for keys in (kept, lost))
    usable = ", ".join(sorted(layers - others))
    way_out = f", or name some of these in lora.target_modules: {usable}" if usable else ""
    raise ModelError(
        f"PEFT would not read an adapter of `{vlm.name}` back from its file: {len(lost)} of"
        f" {len(lost) + len(kept)} weights, such as {lost[0]}, get other names there. Train the"
        f' whole model (model.tuning = "full"){way_out}.'
    )


def save_lora(vlm: VisionLanguageModel, folder: Path | str, *, name: str | None = None) -> Path:
    """Write an adapter for `PeftModel.from_pretrained` to read.

    The files are adapter_config.json and adapter_model.safetensors, and next to them what the
    processor was given (`prompts.settings`).

    Args:
        vlm: The model that has it.
        folder: Where the files go.
        name: Which adapter; by default the only one.

    Raises:
        ModelError: The model has no adapter, or none of this name.
    """
    present = list(vlm.model.peft_config) if isinstance(vlm.model, PeftModel) else []
    chosen = present[0] if name is None and len(present) == 1 else name
    if chosen not in present:
        raise ModelError(
            f"`{vlm.name}` has no adapter {name!r} to save, got {', '.join(present) or 'none'}."
            " Attach it first."
        )
    folder = Path(folder)
    vlm.model.save_pretrained(str(folder), safe_serialization=True, selected_adapters=[chosen])
    if (folder / chosen).is_dir():  # PEFT puts named adapters one folder down
        for file in (folder / chosen).iterdir():
            file.replace(folder / file.name)
        shutil.rmtree(folder / chosen)
    (folder / "README.md").unlink(missing_ok=True)  # an empty card that names a local path
    save_settings(vlm.settings, folder)
    return folder


def save_model(vlm: VisionLanguageModel, folder: Path | str) -> None:
    """Write a whole model with its processor, and what that was given."""
    vlm.model.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    save_settings(vlm.settings, Path(folder))


def set_trainable_adapters(model: Model, names: Collection[str], *, trainable: bool = True) -> None:
    """Make the named adapters' weights trainable, or not; others stay as they are."""
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            for part in module.adapter_layer_names:
                for name, layer in getattr(module, part).items():
                    if name in names:
                        layer.requires_grad_(trainable)


@contextmanager
def adapter_disabled(model: Model) -> Iterator[None]:
    """Use the model as its own reference: the base with its adapters off.

    Raises:
        ModelError: The model has no adapter.
    """
    if not isinstance(model, PeftModel):
        raise ModelError(
            f"{type(model).__name__} has no adapter, so its base is not a reference. Keep a frozen"
            " copy of the model."
        )
    with use_adapter(model, None):
        yield


def freeze(
    model: nn.Module, *, vision: bool = True, projector: bool = False, language: bool = False
) -> int:
    """Freeze parts of a model; parts that are not named stay as they are.

    Args:
        model: The model.
        vision: Freeze the vision tower.
        projector: Freeze what turns image features into the language model's width: what lies
            between the two, or the merger inside a tower that has one.
        language: Freeze the language model and its vocabulary head.

    Returns:
        The number of weights that still take gradients.
    """
    inner = unwrap(model)
    projecting = projector_parameters(inner)
    tower = {id(p) for p in vision_tower(inner).parameters()} - projecting
    spoken = language_parameters(inner)
    for parameter in inner.parameters():
        key = id(parameter)
        frozen = vision if key in tower else language if key in spoken else projector
        if frozen:
            parameter.requires_grad_(requires_grad=False)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


class _Targets(NamedTuple):
    """What an adapter is put on."""

    layers: str
    """A pattern of full module names; it matches nothing if only experts are adapted."""
    experts: list[str]
    """Full names of weights that hold all experts of a layer at once (experts, out, in)."""
    others: str
    """A pattern of what lies outside the language model: where there are experts, PEFT reads
    `layers` as the last parts of names, which a tower may have too."""


def _targets(model: Model, names: tuple[str, ...]) -> _Targets:
    """The named layers within the language model, or all of them."""
    inner, decoder = unwrap(model), language_model(model)
    prefix = next(name for name, module in inner.named_modules() if module is decoder)
    inside = [name for name, module in decoder.named_modules() if _is_linear(module)]
    # Under an adapter a layer is called base_layer, inside a module of its old name.
    inside = [name.removesuffix(".base_layer") for name in inside if ".lora_" not in name]
    experts = sorted(
        {
            f"{prefix}.{name.replace('.base_layer', '')}"
            for name, parameter in decoder.named_parameters()
            if parameter.ndim == 3 and ".experts." in name and ".lora_" not in name
        }
    )
    linear = {_last(name) for name in inside}
    known = linear | {_last(name) for name in experts}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ModelError(
            f"The language model has no layer named {', '.join(unknown)}. It has:"
            f" {', '.join(sorted(known))}."
        )
    chosen = set(names) or known
    wanted = "|".join(map(re.escape, sorted(chosen & linear))) or "(?!)"
    return _Targets(
        rf"{re.escape(prefix)}\.(?:.*\.)?(?:{wanted})",
        [name for name in experts if _last(name) in chosen],
        rf"(?!{re.escape(prefix)}\.).*",
    )


def _is_linear(module: nn.Module) -> bool:
    """Whether a layer maps a state to a state; some routers are linear and give experts instead."""
    return isinstance(module, nn.Linear) and not type(module).__name__.endswith("Router")


def _last(name: str) -> str:
    """What a layer is called; the entries of a list are called by its name and their number."""
    before, _, last = name.rpartition(".")
    return f"{before.rpartition('.')[2]}.{last}" if last.isdigit() else last
