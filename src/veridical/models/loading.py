"""Load a vision-language model and its processor, from a folder or the hub.

Both are plain `transformers` objects. Model files are data: only safetensors are read, and code
from a repository runs only where the caller asks for it by name. What the rest of Veridical needs
of a model (a chat template, a fast tokenizer, an image placeholder, an architecture that it can
score) is checked here, once, so that a model that cannot work fails at the door and says why.
"""

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig
from transformers.utils import logging

from veridical.errors import MissingPackageError, ModelError
from veridical.models.adapter_files import ADAPTER_FAULTS, whole_adapter
from veridical.models.architectures.table import find_architecture, unsupported_reason
from veridical.models.architectures.whole_modules import whole_modules
from veridical.models.devices import check_quantization, pick_device
from veridical.models.processors import (
    Processor,
    first_line,
    load_processor,
    missing_package,
    read_json_of,
)
from veridical.models.prompts.pictures import apply_picture_settings
from veridical.models.prompts.settings import ProcessorRecipe, pick_settings
from veridical.plugins import resolve_model

Quantization = Literal["none", "4bit"]

Model = Any
"""A `PreTrainedModel` for images and text, bare or in a PEFT or distributed wrapper."""


@dataclass(frozen=True, eq=False)
class VisionLanguageModel:
    """A model and the processor that belongs to it."""

    model: Model
    """A `PreTrainedModel` for image-text-to-text, or a `PeftModel` around one."""
    processor: Processor
    """Its processor: image processor, fast tokenizer and chat template."""
    name: str
    """Folder or hub id that it was loaded from, followed by the adapter's if it has one."""
    settings: ProcessorRecipe = field(default_factory=ProcessorRecipe)
    """What its processor is given beside texts and pictures."""

    @property
    def tokenizer(self) -> Any:
        """The processor's fast tokenizer."""
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the model's inputs belong."""
        return torch.device(self.model.device)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        dtype = self.model.dtype
        assert isinstance(dtype, torch.dtype)  # noqa: S101 - narrows an untyped attribute
        return dtype

    @property
    def window(self) -> int | None:
        """The longest input in tokens, image tokens included; None if the config has no limit."""
        window: int | None = getattr(
            self.model.config.get_text_config(), "max_position_embeddings", None
        )
        return window

    @property
    def placeholder_token_ids(self) -> tuple[int, ...]:
        """Ids that stand for image or video features; never generated, never part of a text."""
        config, found = self.model.config, set()
        for name in ("image_token_id", "image_token_index", "video_token_id", "video_token_index"):
            found.add(getattr(config, name, None))
        for name in ("image_token_id", "video_token_id"):
            found.add(getattr(self.processor, name, None))
        return tuple(
            sorted(token_id for token_id in found if isinstance(token_id, int) and token_id >= 0)
        )

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """Ids that end a response: the generation config's and the tokenizer's end tokens."""
        ends = getattr(self.model.generation_config, "eos_token_id", None)
        found = set(ends if isinstance(ends, list | tuple) else [ends]) | {
            self.tokenizer.eos_token_id
        }
        return tuple(sorted(token_id for token_id in found if token_id is not None))


def _no_bars_in_logs() -> None:
    """Keep transformers' bars for terminals: in a log file each of their redraws is a line."""
    if not sys.stderr.isatty():
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def load_model(
    name_or_path: str | Path,
    *,
    adapter: str | Path | None = None,
    adapter_trainable: bool = False,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
    quantization: Quantization = "none",
    trust_remote_code: bool = False,
    settings: ProcessorRecipe | None = None,
) -> VisionLanguageModel:
    """Load a vision-language model, ready to score (`eval` mode).

    Args:
        name_or_path: A folder with model and processor, a hub id, or the name of an offered model
            ("world").
        adapter: A folder (or hub id) with a PEFT adapter to put on top.
        adapter_trainable: Whether the adapter's weights take gradients.
        dtype: "auto" (the checkpoint's; half precision becomes float32 on a CPU, which computes it
            slowly), or a torch dtype or its name.
        device: "auto" takes the accelerator where there is one.
        quantization: "4bit" holds the base in NF4 (bitsandbytes, CUDA).
        trust_remote_code: Run code that the model's repository carries. Off unless you have read
            that code.
        settings: System message, options of the chat template, sizes of images; by default those
            that the model was trained with.

    Raises:
        ModelError: It is not a VLM, its architecture is not supported, files or packages are
            missing, there is no chat template, or no fast tokenizer.
        MissingPackageError: 4-bit loading without bitsandbytes.
    """
    name = resolve_model(str(name_or_path))
    config = _load_config(name, trust_remote_code=trust_remote_code)
    target = pick_device(device)
    options: dict[str, Any] = {"dtype": _pick_dtype(dtype, target, config)}
    if quantization == "4bit":
        options |= _four_bit_options(name, target, config)
    _no_bars_in_logs()
    loader: Any = AutoModelForImageTextToText
    try:
        model, report = loader.from_pretrained(
            name,
            config=config,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **options,
        )
    except ImportError as error:
        raise ModelError(missing_package(f"The model `{name}`", error)) from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"Cannot load the weights of `{name}`: {first_line(error)}. Veridical reads"
            " only safetensors; check that the download is complete, or convert the checkpoint."
        ) from error
    if report["missing_keys"]:
        some = ", ".join(sorted(report["missing_keys"])[:3])
        raise ModelError(
            f"The checkpoint `{name}` lacks {len(report['missing_keys'])} weights ({some} …), which"
            " would be random. Check that the download is complete and that config.json belongs"
            " to it."
        )
    if quantization == "none":
        model.to(target)
    processor = load_processor(name, config, trust_remote_code=trust_remote_code)
    given = pick_settings(settings, name, adapter=None if adapter is None else str(adapter))
    apply_picture_settings(name, model, processor, given)
    if adapter is not None:
        name = f"{name}+{adapter}"
        model = _load_adapter(model, str(adapter), trainable=adapter_trainable)
    model.train(mode=False)
    loaded = VisionLanguageModel(model, processor, name, given)
    if not loaded.placeholder_token_ids:
        raise ModelError(
            f"`{name}` has no image placeholder token in its config. Veridical needs one."
        )
    return loaded


def load_without_weights(
    name_or_path: str | Path,
    *,
    adapter: str | None = None,
    trust_remote_code: bool = False,
    settings: ProcessorRecipe | None = None,
) -> VisionLanguageModel:
    """Load all of a model but its weights, to ask another engine the same; see `load_model`."""
    name = resolve_model(str(name_or_path))
    config = _load_config(name, trust_remote_code=trust_remote_code)
    loader: Any = AutoModelForImageTextToText
    with torch.device("meta"):
        model = loader.from_config(config, trust_remote_code=trust_remote_code)
    with suppress(OSError):  # where there is none, the config's own end tokens count
        model.generation_config = GenerationConfig.from_pretrained(name)  # type: ignore[no-untyped-call, unused-ignore]
    processor = load_processor(name, config, trust_remote_code=trust_remote_code)
    given = pick_settings(settings, name, adapter=adapter)
    apply_picture_settings(name, model, processor, given)
    return VisionLanguageModel(model.eval(), processor, name, given)


def unwrap(model: Model) -> Model:
    """The `transformers` model inside PEFT or distributed wrappers; adapters stay in its layers."""
    while True:
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()
        elif isinstance(getattr(model, "module", None), nn.Module):
            model = model.module
        else:
            return model


def _load_config(name: str, *, trust_remote_code: bool) -> Any:
    if Path(name).exists() and not (Path(name) / "config.json").is_file():
        raise ModelError(
            f"`{name}` holds no config.json, so it is not a model folder. Give the folder of a"
            " saved model."
        )
    try:
        # Another package may have to be imported before transformers knows its architecture.
        find_architecture(str(read_json_of(name, "config.json").get("model_type")))
        config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"Cannot read the config of `{name}`: {first_line(error)}. "
            "Give a folder with a saved model or the id of a model on the Hugging Face hub."
        ) from error
    remote = trust_remote_code and "AutoModelForImageTextToText" in (
        getattr(config, "auto_map", None) or {}
    )
    loader: Any = AutoModelForImageTextToText
    if type(config) not in loader._model_mapping and not remote:
        raise ModelError(
            f"`{name}` is a `{config.model_type}`, which is not a model for images and text in"
            " transformers. Give a vision-language model, for instance llava-hf/llava-1.5-7b-hf."
        )
    reason = unsupported_reason(config)
    if reason is not None:
        raise ModelError(
            f"`{name}` is a `{config.model_type}`, which is not supported: {reason}. Give a model"
            " whose images become tokens of its prompt, such as llava-hf/llava-1.5-7b-hf."
        )
    return config


def _pick_dtype(dtype: str | torch.dtype, device: torch.device, config: Any) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        stored = (
            getattr(config, "dtype", None)
            or getattr(config.get_text_config(), "dtype", None)
            or torch.float32
        )
        stored = getattr(torch, stored) if isinstance(stored, str) else stored
        return torch.float32 if device.type == "cpu" else stored
    found = getattr(torch, dtype, None)
    if not isinstance(found, torch.dtype):
        raise ModelError(f"{dtype!r} is not a dtype. Give auto, float32, bfloat16 or float16.")
    return found


def _four_bit_options(name: str, device: torch.device, config: Any) -> dict[str, Any]:
    check_quantization(name, "4bit", device)
    try:
        import_module("bitsandbytes")
    except ImportError as error:
        raise MissingPackageError("bitsandbytes", extra="4bit", purpose="4-bit loading") from error
    from transformers import BitsAndBytesConfig

    quantized = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=whole_modules(config),
    )
    return {"quantization_config": quantized, "device_map": {"": device}}


def _load_adapter(model: Any, adapter: str, *, trainable: bool) -> Any:
    from peft import PeftModel

    try:
        with whole_adapter():
            return PeftModel.from_pretrained(model, adapter, is_trainable=trainable)
    except (*ADAPTER_FAULTS, SafetensorError) as error:
        raise ModelError(
            f"Cannot put the adapter `{adapter}` on the model: {first_line(error)}. Give a folder"
            " with adapter_config.json and adapter_model.safetensors made for this model."
        ) from error
