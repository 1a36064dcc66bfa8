"""LoRA adapters on the language model, what is trained and what is frozen, and the reference inside the policy.

One base, many adapters: the policy is the base with an adapter, the reference is the same base with it switched off,
so that no second copy of the weights is held. (LoRA: Hu et al. 2021, arXiv 2106.09685.)
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from pydantic import Field
from torch import nn

from veridical.config import Recipe
from veridical.errors import ModelError
from veridical.models.architectures import language_model, vision_tower
from veridical.models.loading import VisionLanguageModel, unwrap


class LoraRecipe(Recipe):
    """Settings of a LoRA adapter."""

    rank: int = Field(default=64, ge=1)
    """Rank of the update. LLaVA-RLHF trains with 64 (arXiv 2309.14525, appendix)."""
    alpha: int = Field(default=16, ge=1)
    """Scale: the update is multiplied by alpha / rank. LLaVA-RLHF: 16."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the adapter's input. Keep it 0 for preference training: policy and reference are then compared
    without noise."""
    target_modules: tuple[str, ...] = ()
    """Names of the linear layers that get an adapter (such as q_proj), within the language model; empty means all."""


def add_lora(vlm: VisionLanguageModel, recipe: LoraRecipe | None = None) -> VisionLanguageModel:
    """Put a fresh, trainable LoRA adapter on the language model's linear layers; all else is frozen.

    The vision tower, the projector and the vocabulary head never get one. The adapter starts as the identity.

    Raises:
        ModelError: There is an adapter already, or a named module is not there.
    """
    recipe = recipe or LoraRecipe()
    if isinstance(vlm.model, PeftModel):
        raise ModelError(f"`{vlm.name}` wears an adapter already. Merge it, or load the base without it.")
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=_target_pattern(vlm.model, recipe.target_modules),
        bias="none",
        task_type=None,
    )
    return VisionLanguageModel(get_peft_model(vlm.model, config), vlm.processor, vlm.name)


def save_lora(vlm: VisionLanguageModel, folder: Path | str) -> Path:
    """Write the adapter (adapter_config.json, adapter_model.safetensors); `PeftModel.from_pretrained` reads it.

    Raises:
        ModelError: The model wears no adapter.
    """
    if not isinstance(vlm.model, PeftModel):
        raise ModelError(f"`{vlm.name}` wears no adapter that could be saved.")
    vlm.model.save_pretrained(str(folder), safe_serialization=True)
    return Path(folder)


@contextmanager
def adapter_disabled(model: Any) -> Iterator[None]:
    """Within it the model is its own reference: the base with the adapter switched off.

    Raises:
        ModelError: The model wears no adapter.
    """
    if not isinstance(model, PeftModel):
        raise ModelError(
            f"{type(model).__name__} wears no adapter, so it has no reference inside. Keep a frozen copy of the model."
        )
    with model.disable_adapter():
        yield


def freeze(model: nn.Module, *, vision: bool = True, projector: bool = False, language: bool = False) -> int:
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
    decoder = language_model(model)
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    inside = [name for name, module in decoder.named_modules() if _is_linear(module)]
    known = {name.rpartition(".")[2] for name in inside}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ModelError(
            f"The language model has no linear layer named {', '.join(unknown)}. It has: {', '.join(sorted(known))}."
        )
    wanted = "|".join(map(re.escape, sorted(names or known)))
    return rf"{re.escape(prefix)}\.(?:.*\.)?(?:{wanted})"


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)
