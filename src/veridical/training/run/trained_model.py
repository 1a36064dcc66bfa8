"""The model of a training run: loaded, made trainable, run in mixed precision, saved."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError

from veridical.errors import StorageError
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.models.lora import add_lora, freeze, save_lora, save_model
from veridical.models.prompts.pictures import warn_about_pictures
from veridical.progress import log
from veridical.training.run.settings import ModelSection


def load_for_training(settings: ModelSection) -> VisionLanguageModel:
    """Load the model that a run starts from, the vision tower frozen where it stays so."""
    vlm = load_model(
        settings.base,
        adapter=settings.adapter or None,
        adapter_trainable=True,
        dtype=settings.dtype,
        device=settings.device,
        quantization=settings.quantization,
        trust_remote_code=settings.trust_remote_code,
        settings=settings.processor,
    )
    warn_about_pictures(vlm.name, vlm.processor, vlm.settings)
    # Frozen at once: only the features of a frozen tower and projector can be kept.
    learnt = () if settings.tuning == "lora" else settings.trainable
    freeze(vlm.model, vision="vision" not in learnt, projector="projector" not in learnt)
    return vlm


def make_trainable(
    vlm: VisionLanguageModel, settings: ModelSection, *, gradient_checkpointing: bool
) -> VisionLanguageModel:
    """Add a fresh adapter, or make the named parts trainable."""
    if settings.tuning == "lora":
        if not settings.adapter:
            vlm = add_lora(vlm, settings.lora)
    else:
        freeze(
            vlm.model,
            vision="vision" not in settings.trainable,
            projector="projector" not in settings.trainable,
            language="language_model" not in settings.trainable,
        )
        if vlm.dtype != torch.float32:
            log(
                f"Warning: full training in {vlm.dtype} loses small updates; set model.dtype ="
                " float32 and train.bf16."
            )
    if gradient_checkpointing:
        vlm.model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False}
        )
    return vlm


def mixed_precision(
    vlm: VisionLanguageModel, *, bf16: bool
) -> Callable[[], AbstractContextManager[object]]:
    """Give a function that makes the autocast context; without `bf16` it does nothing."""
    return lambda: torch.autocast(vlm.device.type, dtype=torch.bfloat16, enabled=bf16)


def precision_name(*, bf16: bool) -> str:
    """Name of the number type that a model computes in; part of the names of caches."""
    return "bf16" if bf16 else "plain"


def weights_name(settings: ModelSection) -> str:
    """Name of the folder in a run directory that the trained weights go to."""
    return "adapter" if settings.tuning == "lora" else "model"


def save_weights(vlm: VisionLanguageModel, folder: Path, *, adapter: str | None = None) -> None:
    """Save the model, or its adapter, as `transformers` and `peft` load them.

    Args:
        vlm: The model.
        folder: Where the files go.
        adapter: Which adapter, where it has several.

    Raises:
        StorageError: The disk refused.
    """
    try:
        if isinstance(vlm.model, PeftModel):
            save_lora(vlm, folder, name=adapter)
        else:
            save_model(vlm, folder)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"Cannot write `{folder}`: {error}. Nothing is lost: free space and run the same"
            " command with --resume."
        ) from error
