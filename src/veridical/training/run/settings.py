"""Settings that all methods share, and how presets fill in what a recipe leaves out.

RLHF-V is arXiv 2312.00849, "released code" its training repository (thunlp/Muffin); RLAIF-V is
arXiv 2405.17220.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from veridical.config import Recipe
from veridical.models.lora import LoraRecipe
from veridical.models.prompts.settings import ProcessorRecipe
from veridical.training.run.paths import AdapterPath, ModelPath, WorkPath

Part = Literal["language_model", "projector", "vision"]
Reporter = Literal["tensorboard", "wandb", "trackio", "mlflow"]


class ModelSection(Recipe):
    """Which model is trained, and which of its parts."""

    base: ModelPath = Field(min_length=1)
    """Folder or hub id of the model to start from, which is also the reference; "world" is the
    embedded world's."""
    adapter: AdapterPath = ""
    """Folder of a LoRA adapter to start from; the reference is then the base with that adapter.
    Empty: none."""
    tuning: Literal["lora", "full"] = "lora"
    """Train an adapter, or the weights themselves. RLHF-V: full."""
    trainable: tuple[Part, ...] = ("language_model", "projector")
    """Parts that learn under "full"; LoRA goes into the language model only. RLHF-V says all, its
    released code keeps the image branch of the vision tower fixed by a learning rate of 0."""
    lora: LoraRecipe = Field(default_factory=LoraRecipe)
    """The adapter under "lora"."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the frozen weights; "auto" is the checkpoint's (float32 on a CPU). RLHF-V:
    bfloat16."""
    quantization: Literal["none", "4bit"] = "none"
    """ "4bit" holds the frozen base in NF4 (QLoRA, arXiv 2305.14314); needs CUDA and
    bitsandbytes."""
    device: str = "auto"
    """Where to train: "auto", "cpu", "cuda" …"""
    processor: ProcessorRecipe | None = None
    """System message, options of the chat template, sizes of images; saved with the weights. Left
    out: those that the base or its adapter was trained with."""
    trust_remote_code: bool = False
    """Run code that the model's repository carries. Only after reading it."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.tuning == "full" and self.quantization != "none":
            raise ValueError(
                'weights in 4 bits cannot be trained themselves: set tuning = "lora", or no'
                " quantization"
            )
        if self.tuning == "full" and self.adapter:
            raise ValueError(
                '`adapter` goes with tuning = "lora"; merge it into the base for full training'
            )
        if self.tuning == "full" and not self.trainable:
            raise ValueError("`trainable` names no part, so nothing would learn")
        return self


class FeatureSection(Recipe):
    """How much of the images is kept; part of every training's section."""

    feature_cache_gib: float = Field(default=32.0, ge=0)
    """Most that features of images may take of the folder `cache`, in GiB; those of images that do
    not fit are computed for every batch. 1,400 images take 1.5 GiB with LLaVA-1.5 in half
    precision, 15 GiB with Qwen2.5-VL-7B at 1,600 tokens."""

    @property
    def feature_cache_bytes(self) -> int:
        """The same in bytes."""
        return round(self.feature_cache_gib * 2**30)


class LoopSection(FeatureSection):
    """What surrounds the steps; part of every training's section."""

    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the decoder's layers on a GPU (`torch.compile`): a minute before the first step, then
    a quarter faster. "auto" does so for runs of at least 1,000 micro-batches."""
    report_to: tuple[Reporter, ...] = ()
    """Where metrics go besides the run directory, as transformers reports them: tensorboard, wandb,
    trackio, mlflow. Each needs its package; addresses and projects come from its environment
    variables."""


class TrainSection(LoopSection):
    """How it is optimised (AdamW, β = 0.9 and 0.999)."""

    learning_rate: float = Field(default=5e-7, gt=0)
    """Highest learning rate. RLHF-V: 5e-7 for full training; RLAIF-V's LoRA script: 1e-5."""
    batch_size: int = Field(default=32, ge=1)
    """Pairs per optimiser step. RLHF-V: 32."""
    micro_batch_size: int = Field(default=8, ge=1)
    """Pairs in memory at once; must divide `batch_size`. Does not change the result beyond
    rounding."""
    micro_batch_tokens: int = Field(default=0, ge=0)
    """Most tokens in memory at once, padding included, in place of `micro_batch_size`: the rows of
    an optimiser step are put together by length, as many as fit, and a longer one alone. 0: by
    number. Scoring without gradients goes by `micro_batch_size`."""
    epochs: int = Field(default=7, ge=1)
    """Passes over the pairs. RLHF-V: 7."""
    max_steps: int = Field(default=0, ge=0)
    """Stop after so many optimiser steps; 0: after `epochs`. The learning rate's schedule ends
    there too."""
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises. RLHF-V: 0.1 (its released code:
    0.03)."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up. RLHF-V's released code: cosine."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decay. RLHF-V's released code: 0."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm. RLHF-V's released code: 1 (the trainer's default)."""
    seed: int = Field(default=0, ge=0)
    """Root seed of the split, the adapter's start and the order of the pairs."""
    evaluation_steps: int = Field(default=0, ge=0)
    """Optimiser steps between evaluations on held-out data, which make candidate checkpoints; 0: at
    the end of every epoch."""
    early_stop_patience: int = Field(default=0, ge=0)
    """Stop after so many evaluations without a better candidate; 0: never."""
    coverage_tolerance: float = Field(default=0.02, ge=0, le=1)
    """How much coverage a checkpoint may lose against the base and still be chosen, where coverage
    is measured."""
    save_steps: int = Field(default=0, ge=0)
    """Optimiser steps between resume points; 0: at every evaluation."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: about a third slower, far less memory.
    RLHF-V: on."""
    bf16: bool = False
    """Compute in bfloat16 while trained weights stay as they are. RLHF-V: on."""
    cache: WorkPath = ""
    """Folder for image features and reference log-probabilities, which runs may share: what is
    stale is never read, what was scored in other batches differs by rounding. Empty: `cache` in the
    run directory."""

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"`micro_batch_size` ({self.micro_batch_size}) must divide `batch_size`"
                f" ({self.batch_size})"
            )
        return self


class TrainingRecipe(Recipe):
    """What the recipe of every training has."""

    model: ModelSection
    """The model; its start is the reference."""
    data: Recipe
    """The data."""


Sections = Mapping[str, Mapping[str, Any]]
"""Settings by section and name."""


def settings_of(table: Mapping[Any, Sections], name: Any) -> Sections:
    """What a table says under a name; nothing for a name that the recipe's checks will refuse."""
    return table.get(name, {}) if isinstance(name, str) else {}


def given_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe sets, section by section; defaults are left out."""
    return {
        key: value.model_dump(exclude_unset=True) if isinstance(value, Recipe) else value
        for key, value in data.items()
    }


def fill_in(said: Mapping[str, Any], *defaults: Sections) -> dict[str, Any]:
    """Fill in what is not given; of several defaults the first that has a setting counts."""
    filled = dict(said)
    for table in defaults:
        for section, values in table.items():
            given = filled.get(section, {})
            if isinstance(given, dict):
                filled[section] = {**values, **given}
    return filled
