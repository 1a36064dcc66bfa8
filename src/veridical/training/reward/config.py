"""The recipe of a reward model: every setting with its unit, LLaVA-RLHF's value and its source.

LLaVA-RLHF is arXiv 2309.14525, "its scripts" those of llava-rlhf/LLaVA-RLHF. Its reward model is a
LoRA adapter of 13B on the fine-tuned model, trained on 9,422 comparisons with five captions an
image as facts.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from veridical.config import Recipe
from veridical.objectives.reward import Centring
from veridical.rewards.card import Pooling
from veridical.rewards.template import FACT_KINDS, FactKind, RewardTemplate
from veridical.training.run.paths import DataPath, WorkPath
from veridical.training.run.settings import ModelSection, TrainingRecipe, TrainSection


class ComparisonSection(Recipe):
    """What is learnt from."""

    comparisons: DataPath = ""
    """Folder with comparisons.jsonl (or corrections.jsonl, ratings.jsonl), prompts.jsonl,
    responses.jsonl, facts.jsonl and the images. Needed, unless the data is given in memory.
    LLaVA-RLHF: 9,422 comparisons by people."""
    rating_margin: float = Field(default=1.0, gt=0)
    """Least difference, in points, of the ratings of two responses that make a comparison. Ours."""
    validation: DataPath = ""
    """Another such folder that is held out, to choose the checkpoint and to report on. Empty: a
    share of the first."""
    validation_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of the images whose comparisons are held out where `validation` names no folder; no
    image is on both sides. LLaVA-RLHF: 500 comparisons, drawn at random."""
    leak_check: int = Field(default=500, ge=0)
    """How many held-out comparisons are scored again with facts or image taken away. Ours."""
    ties: Literal["half", "drop"] = "half"
    """What ties are: one half for either response, or left out. LLaVA-RLHF has none in its file."""
    judgements: Literal["each", "merged"] = "each"
    """Whether several judgements of the same two responses stay several, or become one label
    between 0 and 1."""
    max_tokens: int = Field(default=2048, ge=2)
    """Longest prompt with one response and what is asked about it, in tokens, the image's included;
    a longer one is at fault, never cut. LLaVA-RLHF: 2048."""
    images_outside: bool = False
    """Accept images that lie outside of the comparisons' folder."""
    skip_bad: bool = False
    """Leave bad rows out, and keep them in files in the run directory."""


class FactsSection(Recipe):
    """Which facts are read; the template says where they stand (`template.facts_position`)."""

    kinds: tuple[FactKind, ...] = FACT_KINDS
    """Kinds of facts that are read. LLaVA-RLHF: captions while the reward model learns, rationales,
    too, in PPO."""
    source: Literal["file", "own_caption"] = "file"
    """Facts from the comparisons' folder, or a caption that the base itself writes before
    training."""
    caption_question: str = "Describe the picture in detail."
    """What the base is asked for its own caption."""
    caption_tokens: int = Field(default=128, ge=1)
    """Longest caption that it writes, in tokens."""
    missing: Literal["error", "exclude", "without"] = "error"
    """Comparisons without facts: refuse the file, leave them out (counted), or learn from them
    without facts (counted). LLaVA-RLHF crashes."""
    order: Literal["given", "shuffled"] = "shuffled"
    """Order of the statements in training, always the same for both responses. LLaVA-RLHF shuffles
    for each response on its own, so that the order tells them apart."""
    drop: float = Field(default=0.0, ge=0, lt=1)
    """Share of the statements that are left out in training, so that missing facts are nothing new.
    LLaVA-RLHF: 0."""
    swap: float = Field(default=0.0, ge=0, lt=1)
    """Share of the comparisons that get another image's facts in training. LLaVA-RLHF: 0."""


class RewardObjectiveSection(Recipe):
    """The loss, see `veridical.objectives.reward`, and how the reward is read."""

    pooling: Pooling = "last"
    """Which hidden states the head reads: the last one, or those of the response's own tokens,
    averaged or added up. LLaVA-RLHF: last."""
    centring: Centring = "squares"
    """How rewards are held near 0: each pair's squared sum, or the absolute mean of the sums in
    memory together. LLaVA-RLHF: batch_mean."""
    centring_weight: float = Field(default=1e-3, ge=0)
    """How strongly. LLaVA-RLHF: 0.001."""
    hallucination_weight: float = Field(default=1.0, ge=0)
    """How much a comparison counts that was decided by hallucination; others count 1. LLaVA-RLHF:
    1."""


class RewardTrainSection(TrainSection):
    """How it is optimised (AdamW, β = 0.9 and 0.999)."""

    learning_rate: float = Field(default=2e-5, gt=0)
    """Highest learning rate. LLaVA-RLHF: 2e-5."""
    batch_size: int = Field(default=32, ge=1)
    """Comparisons per optimiser step. LLaVA-RLHF: 32."""
    micro_batch_size: int = Field(default=4, ge=1)
    """Comparisons in memory at once; must divide `batch_size`. Changes the result by rounding
    alone, but for `centring = "batch_mean"`. LLaVA-RLHF: 4 per device."""
    epochs: int = Field(default=1, ge=1)
    """Passes over the comparisons. LLaVA-RLHF: 1."""
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps over which the learning rate rises. LLaVA-RLHF: 0.03."""
    schedule: Literal["cosine", "linear", "constant"] = "constant"
    """How the learning rate falls after the warm-up. LLaVA-RLHF: constant."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decay. LLaVA-RLHF: 0."""
    max_grad_norm: float = Field(default=0.3, gt=0)
    """Gradients are scaled down to this norm. LLaVA-RLHF: 0.3."""
    seed: int = Field(default=0, ge=0)
    """Root seed of the split, the first weights and the order of comparisons and facts."""
    evaluation_steps: int = Field(default=0, ge=0)
    """Optimiser steps between evaluations on held-out comparisons; each makes a candidate
    checkpoint; 0: at the end of every epoch. LLaVA-RLHF: 50; it used the one at step 200 of about
    279."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: about a third slower, far less memory.
    LLaVA-RLHF: on."""
    bf16: bool = False
    """Compute in bfloat16 while trained weights stay as they are. LLaVA-RLHF: on."""
    cache: WorkPath = ""
    """Folder for image features, which runs may share. Empty: `cache` in the run directory."""
    by_length: bool = True
    """Put comparisons of like length into one micro-batch, so that little is padded. LLaVA-RLHF:
    off."""


class RewardRecipe(TrainingRecipe):
    """Train a reward model on comparisons (`veridical train reward`), with facts or without."""

    model: ModelSection
    """The model. LLaVA-RLHF: LoRA on its fine-tuned 13B model."""
    data: ComparisonSection = Field(default_factory=ComparisonSection)
    """The comparisons."""
    template: RewardTemplate = Field(default_factory=RewardTemplate)
    """What the reward model is shown; `template.facts_position = "none"` trains one without facts
    (plain RLHF)."""
    facts: FactsSection = Field(default_factory=FactsSection)
    """The facts."""
    objective: RewardObjectiveSection = Field(default_factory=RewardObjectiveSection)
    """The loss."""
    train: RewardTrainSection = Field(default_factory=RewardTrainSection)
    """The optimisation."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.template.facts_position == "after" and self.objective.pooling != "last":
            raise ValueError(
                "facts after the response are not seen by its own tokens: set objective.pooling ="
                ' "last", or template.facts_position = "before"'
            )
        if self.template.reads_facts and not set(self.facts.kinds) & set(self.template.facts.kinds):
            raise ValueError(
                "`facts.kinds` names no kind that `template.facts.headings` has, so no facts would"
                ' be shown; set template.facts_position = "none" where that is meant'
            )
        return self
