"""The model of a training run: loaded, its learning parts opened, run in mixed precision, written at the end."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError

from veridical.errors import StorageError
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.models.lora import add_lora, freeze, save_lora
from veridical.progress import log
from veridical.training.run.settings import ModelSection


def load_for_training(settings: ModelSection) -> VisionLanguageModel:
    """Load the model that a run starts from; nothing is opened for training yet, but a tower that stays frozen is."""
    vlm = load_model(
        settings.base,
        adapter=settings.adapter or None,
        adapter_trainable=True,
        dtype=settings.dtype,
        device=settings.device,
        quantization=settings.quantization,
        trust_remote_code=settings.trust_remote_code,
    )
    if settings.tuning == "lora" or "vision" not in settings.trainable:
        freeze(
            vlm.model, vision=True
        )  # said at once, since only a frozen tower's features can be kept
    return vlm


def make_trainable(
    vlm: VisionLanguageModel, settings: ModelSection, *, gradient_checkpointing: bool
) -> VisionLanguageModel:
    """Put on a fresh adapter, or open the named parts; the vision tower stays frozen unless it is named."""
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
    """Give what makes the context in which the model computes; without `bf16` it changes nothing."""
    return lambda: torch.autocast(vlm.device.type, dtype=torch.bfloat16, enabled=bf16)


def precision_name(*, bf16: bool) -> str:
    """Name of the number type that a model computes in; part of the names of what is kept on disk."""
    return "bf16" if bf16 else "plain"


def weights_name(settings: ModelSection) -> str:
    """Name of the folder in a run directory that the trained weights go to."""
    return "adapter" if settings.tuning == "lora" else "model"


def save_weights(vlm: VisionLanguageModel, folder: Path, *, adapter: str | None = None) -> None:
    """Write what `PeftModel.from_pretrained`, or `AutoModelForImageTextToText` and `AutoProcessor`, read.

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
            vlm.model.save_pretrained(folder)
            vlm.processor.save_pretrained(folder)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"Cannot write `{folder}`: {error}. Nothing is lost: free space and run the same"
            " command with --resume."
        ) from error
