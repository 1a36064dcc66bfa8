"""The recipe of supervised fine-tuning: every setting with its unit and LLaVA-RLHF's value.

LLaVA-RLHF is arXiv 2309.14525, "its scripts" those of llava-rlhf/LLaVA-RLHF. It fine-tunes twice:
the whole model on augmented instructions (SFT), then an adapter on the preference prompts'
conversations, from which PPO starts (policy init). Defaults are those of the first;
`sft-llava-rlhf.toml` has both.
"""

from typing import Literal

from pydantic import Field

from veridical.training.conversations.section import ConversationSection
from veridical.training.run.paths import WorkPath
from veridical.training.run.settings import ModelSection, TrainingRecipe, TrainSection


class SftTrainSection(TrainSection):
    """How it is optimised (AdamW, β = 0.9 and 0.999)."""

    learning_rate: float = Field(default=2e-5, gt=0)
    """Highest learning rate. LLaVA-RLHF: 2e-5 for full SFT, 1e-4 for the policy's start with
    LoRA."""
    batch_size: int = Field(default=128, ge=1)
    """Conversations per optimiser step. LLaVA-RLHF: 128."""
    micro_batch_size: int = Field(default=8, ge=1)
    """Conversations in memory at once; must divide `batch_size`. Does not change the loss of a step
    beyond rounding. LLaVA-RLHF: 16 per device (7B), 8 (13B)."""
    epochs: int = Field(default=3, ge=1)
    """Passes over the conversations. LLaVA-RLHF: 3 for SFT, 1 for the policy's start."""
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps over which the learning rate rises. LLaVA-RLHF: 0.03."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up. LLaVA-RLHF: cosine."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decay. LLaVA-RLHF: 0."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm. LLaVA-RLHF: 1 (the trainer's default)."""
    seed: int = Field(default=0, ge=0)
    """Root seed of the split, the adapter's start and the order of the conversations."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: about a third slower, far less memory.
    LLaVA-RLHF: on."""
    bf16: bool = False
    """Compute in bfloat16 while trained weights stay as they are. LLaVA-RLHF: on."""
    cache: WorkPath = ""
    """Folder for image features, which runs may share. Empty: `cache` in the run directory."""
    by_length: bool = True
    """Put conversations of like length into one micro-batch, so that little is padded; which ones
    meet and when stays random. LLaVA-RLHF: off."""


class SftRecipe(TrainingRecipe):
    """Fine-tune a model on the answers of conversations (`veridical train sft`)."""

    model: ModelSection
    """The model. LLaVA-RLHF: full (language model and projector) for SFT, LoRA for the policy's
    start."""
    data: ConversationSection = Field(default_factory=ConversationSection)
    """The data."""
    train: SftTrainSection = Field(default_factory=SftTrainSection)
    """The optimisation."""
