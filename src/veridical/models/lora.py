"""LoRA adapters on the language model, what is trained and what is frozen, and the reference inside the policy.

One base, many adapters: policy, value and reward are named adapters over the same frozen base, of
which one works at a time; the reference is the base with all of them switched off, so that no
second copy of the weights is held. (LoRA: Hu et al. 2021, arXiv 2106.09685.)
"""

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from pydantic import Field
from torch import nn

from veridical.config import Recipe
from veridical.errors import ModelError
from veridical.models.adapters import use_adapter
from veridical.models.architectures.parts import language_model, vision_tower
from veridical.models.loading import VisionLanguageModel, unwrap


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
    empty means all."""


DEFAULT_ADAPTER = "default"
"""PEFT's name for an only adapter."""


def add_lora(
    vlm: VisionLanguageModel, recipe: LoraRecipe | None = None, *, name: str = DEFAULT_ADAPTER
) -> VisionLanguageModel:
    """Put a fresh LoRA adapter on the language model's linear layers; the base is frozen.

    The vision tower, the projector and the vocabulary head never get one. The adapter starts as the
    identity. The first one is trainable and works at once; one that joins others is frozen and
    waits for `use_adapter`.

    Args:
        vlm: The model, bare or with other adapters on.
        recipe: The adapter's settings.
        name: The adapter's name; no two are alike.

    Raises:
        ModelError: There is an adapter of this name already, or a named module is not there.
    """
    recipe = recipe or LoraRecipe()
    wears = vlm.model.peft_config if isinstance(vlm.model, PeftModel) else {}
    if name in wears:
        raise ModelError(
            f"`{vlm.name}` wears an adapter already that is named {name!r}. Merge it, or load the"
            " base without it."
        )
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=_target_pattern(vlm.model, recipe.target_modules),
        bias="none",
        task_type=None,
    )
    if not wears:
        return VisionLanguageModel(
            get_peft_model(vlm.model, config, adapter_name=name), vlm.processor, vlm.name
        )
    with use_adapter(vlm.model, None):
        vlm.model.add_adapter(name, config)
    set_trainable_adapters(vlm.model, {name}, trainable=False)
    return vlm


def save_lora(vlm: VisionLanguageModel, folder: Path | str, *, name: str | None = None) -> Path:
    """Write an adapter (adapter_config.json, adapter_model.safetensors); `PeftModel.from_pretrained` reads it.

    Args:
        vlm: The model that wears it.
        folder: Where the files go.
        name: Which adapter; by default the only one.

    Raises:
        ModelError: The model wears no adapter, or none of this name.
    """
    wears = list(vlm.model.peft_config) if isinstance(vlm.model, PeftModel) else []
    chosen = wears[0] if name is None and len(wears) == 1 else name
    if chosen not in wears:
        raise ModelError(
            f"`{vlm.name}` wears no adapter that could be saved ({name!r} of {wears})."
        )
    folder = Path(folder)
    vlm.model.save_pretrained(str(folder), safe_serialization=True, selected_adapters=[chosen])
    if (folder / chosen).is_dir():  # PEFT puts named adapters one folder down
        for file in (folder / chosen).iterdir():
            file.replace(folder / file.name)
        shutil.rmtree(folder / chosen)
    return folder


def set_trainable_adapters(model: Any, names: Collection[str], *, trainable: bool = True) -> None:
    """Let the named adapters' weights take gradients, or not; others stay as they are."""
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            for part in module.adapter_layer_names:
                for name, layer in getattr(module, part).items():
                    if name in names:
                        layer.requires_grad_(trainable)


@contextmanager
def adapter_disabled(model: Any) -> Iterator[None]:
    """Within it the model is its own reference: the base with the adapter switched off.

    Raises:
        ModelError: The model wears no adapter.
    """
    if not isinstance(model, PeftModel):
        raise ModelError(
            f"{type(model).__name__} wears no adapter, so it has no reference inside. Keep a frozen"
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
        projector: Freeze what lies between tower and language model.
        language: Freeze the language model and its vocabulary head.

    Returns:
        The number of weights that still take gradients.
    """
    inner = unwrap(model)
    tower = {id(p) for p in vision_tower(inner).parameters()}
    spoken = {id(p) for p in language_model(inner).parameters()} | {
        id(p) for p in inner.get_output_embeddings().parameters()
    }
    for parameter in inner.parameters():
        key = id(parameter)
        frozen = vision if key in tower else language if key in spoken else projector
        if frozen:
            parameter.requires_grad_(requires_grad=False)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _target_pattern(model: Any, names: tuple[str, ...]) -> str:
    """A pattern that PEFT matches against full module names: given layers within the language model."""
    inner, decoder = unwrap(model), language_model(model)
    prefix = next(name for name, module in inner.named_modules() if module is decoder)
    inside = [name for name, module in decoder.named_modules() if _is_linear(module)]
    # Under an adapter a layer is called base_layer, inside a module of its old name.
    inside = [name.removesuffix(".base_layer") for name in inside if ".lora_" not in name]
    known = {name.rpartition(".")[2] for name in inside}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ModelError(
            f"The language model has no linear layer named {', '.join(unknown)}. It has:"
            f" {', '.join(sorted(known))}."
        )
    wanted = "|".join(map(re.escape, sorted(names or known)))
    return rf"{re.escape(prefix)}\.(?:.*\.)?(?:{wanted})"


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)
