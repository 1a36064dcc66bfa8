"""The sections of PPO's recipe: every setting with its unit and the original's value.

"Original" is the released code and scripts of LLaVA-RLHF (Sun et al. 2023, arXiv 2309.14525); PPO
is arXiv 1707.06347, GAE arXiv 1506.02438.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from veridical.config import Recipe
from veridical.evaluation.engines.settings import VllmSection
from veridical.models.lora import LoraRecipe
from veridical.training.run.paths import AdapterPath, DataPath, WorkPath
from veridical.training.run.settings import LoopSection, TrainSection


class PpoDataSection(Recipe):
    """What is answered while learning."""

    prompts: DataPath = ""
    """JSONL file of `Prompt` records; image paths in it are relative to its folder. Needed,
    unless the prompts are given in memory. Original: 72,000."""
    facts: DataPath = ""
    """JSONL file of `Facts` records, for a reward model that reads them. Empty: none."""
    missing_facts: Literal["error", "without"] = "error"
    """Prompts without facts where the reward model reads facts: refuse the file (with `skip_bad`
    they are left out), or reward responses to them without facts, counted. Original: crashes."""
    facts_order: Literal["given", "shuffled"] = "given"
    """Order of the statements that the reward model reads: the file's, or another one for each set
    of responses. Original: shuffled at every reading."""
    held_out: DataPath = ""
    """JSONL file of prompts that are only measured on (proxy reward, KL and judge in
    `curves.jsonl`). Empty: a share of `prompts`."""
    held_out_fraction: float = Field(default=0.0, ge=0, lt=1)
    """Share of the images whose prompts are held out where there is no such file; 0: none."""
    max_prompt_tokens: int = Field(default=0, ge=0)
    """Prompts of more tokens (the image counts as one) are left out, counted and listed; 0: only
    those that leave no room for a response are. Original: 128."""
    images_outside: bool = False
    """Accept images that lie outside of the prompts' folder."""
    skip_bad: bool = False
    """Leave out bad rows, and prompts that the reward could not judge; keep them in files in the
    run directory."""


class RolloutSection(Recipe):
    """How responses are sampled."""

    engine: Literal["hf", "vllm"] = "hf"
    """Who generates: "hf" decodes with the model that is trained, its key-value cache shared by a
    prompt's samples; "vllm" holds a second copy of the base in this process and takes the policy's
    adapter over before every rollout."""
    vllm: VllmSection = Field(default_factory=VllmSection)
    """How vLLM runs, where it generates."""
    importance_cap: float = Field(default=2.0, gt=0)
    """Highest weight of a token that another engine sampled: its probability under the policy by
    the probability that the engine gave it (truncated importance sampling, Yao et al. 2025).
    "hf" samples with the policy itself, and every weight is 1."""
    prompts: int = Field(default=128, ge=1)
    """Prompts per rollout. Original: 512."""
    samples: int = Field(default=4, ge=1)
    """Responses per prompt; the prompt is encoded once for all of them. Original: 1."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Longest response, in tokens. Original: 896."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature; probabilities are those at this temperature everywhere. Original: 1."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the smallest set of tokens that holds this much probability. Original: 1."""
    cut_after: tuple[str, ...] = ()
    """Tokens after which a response is cut; it then counts as unfinished. Original: "?", so that it
    also punishes every response that asks something."""
    batch_size: int = Field(default=32, ge=1)
    """Prompts that are answered at once."""
    score_batch_size: int = Field(default=16, ge=1)
    """Prompts whose responses are scored at once. Original: 16 responses per device."""

    @model_validator(mode="after")
    def _engine_fits(self) -> Self:
        if self.engine == "vllm" and self.top_p < 1:
            raise ValueError(
                '`engine = "vllm"` needs `top_p` = 1: its probabilities are compared with the'
                " policy's, over all tokens"
            )
        return self


class PpoObjectiveSection(Recipe):
    """The losses, see `veridical.objectives`."""

    advantage: Literal["gae", "rloo", "grpo", "dr_grpo"] = "gae"
    """What a response is compared with: a learnt value ("gae", the original), or the prompt's other
    responses ("rloo", arXiv 2402.14740; "grpo", arXiv 2402.03300; "dr_grpo", without dividing by
    their spread)."""
    discount: float = Field(default=1.0, ge=0, le=1)
    """γ of GAE. Original: 1."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """λ of GAE. Original: 1."""
    clip_range: float = Field(default=0.2, gt=0)
    """ε of the policy's loss. Original: 0.2."""
    whiten_advantages: bool = True
    """Shift and scale the advantages of a rollout to mean 0 and deviation 1. Original: yes, over
    all devices."""
    whiten_rewards: bool = False
    """Scale the rewards of a rollout's tokens, KL penalty included, to deviation 1 around their
    mean, which stays. Original: no."""
    slots: Literal["response", "window"] = "response"
    """What statistics and averages count: response tokens, or as the original does all
    `max_new_tokens` slots, with the reward on the last one and a value that is learnt on the
    padding after a response, too. "window" goes with γ = λ = 1 and a value of its own adapter."""
    average: Literal["tokens", "responses"] = "tokens"
    """Average losses over all tokens of a step, or over each response's tokens and then over
    responses."""


class KlSection(Recipe):
    """What leaving the reference costs."""

    coefficient: float = Field(default=0.05, ge=0)
    """Price of a nat, in units of the reward. Original: 0.1, times its factor of 10 on all
    rewards."""
    estimator: Literal["k1", "k2", "k3", "clamped"] = "k1"
    """How the divergence is estimated, see `veridical.objectives.kl`. Original: "clamped"."""
    where: Literal["reward", "loss"] = "reward"
    """Take it from each token's reward, or add it to the loss. Original: "reward"."""
    target: float = Field(default=0.0, ge=0)
    """Nats per response that the coefficient is adapted towards; 0: it is fixed. Original: fixed (a
    target of 6 can be set in its scripts, but nothing reads it)."""
    horizon: int = Field(default=10_000, ge=1)
    """Responses over which the coefficient adapts. Ziegler et al. (arXiv 1909.08593): 10,000."""

    @model_validator(mode="after")
    def _loss_has_a_gradient(self) -> Self:
        if self.where == "loss" and self.estimator not in ("k2", "k3"):
            raise ValueError(
                f"`estimator` {self.estimator!r} says nothing as a loss (its mean gradient is not"
                ' that of the divergence): take "k2" or "k3", or where = "reward"'
            )
        return self


class ValueSection(Recipe):
    """What learns to expect rewards; only with `objective.advantage` = "gae"."""

    kind: Literal["adapter", "detached", "shared"] = "adapter"
    """Where the value's head stands: on an adapter of its own ("adapter", the original), or on the
    policy's states, without ("detached") or with ("shared") a gradient into the policy."""
    adapter: AdapterPath = ""
    """Folder of an adapter that the value's starts from. Original: the reward model's. Empty: the
    bare base."""
    lora: LoraRecipe = Field(default_factory=LoraRecipe)
    """The adapter under "adapter" where none is given."""
    coefficient: float = Field(default=0.1, ge=0)
    """Weight of the value's loss. Original: 0.1."""
    clip_range: float = Field(default=0.2, ge=0)
    """How far a value may usefully move in a rollout, in units of the reward; 0: freely. Original:
    0.2 (with rewards ten times as large, which makes for a slow critic)."""
    learning_rate: float = Field(default=0.0, ge=0)
    """Highest learning rate of the value; 0: the policy's. Original: the policy's."""
    warmup_iterations: int = Field(default=0, ge=0)
    """Rollouts from which only the value learns, before the policy does. Original: 0."""


class PpoTrainSection(LoopSection):
    """How it is optimised (AdamW, β = 0.9 and 0.999), evaluated and saved."""

    learning_rate: float = Field(default=3e-5, gt=0)
    """Highest learning rate. Original: 3e-5."""
    batch_size: int = Field(default=64, ge=1)
    """Prompts, each with all of its responses, per optimiser step; must divide `rollout.prompts`.
    Original: 256."""
    micro_batch_size: int = Field(default=16, ge=1)
    """Prompts in memory at once; must divide `batch_size`. Does not change the result beyond
    rounding."""
    ppo_epochs: int = Field(default=1, ge=1)
    """Passes over a rollout. Original: 2."""
    epochs: int = Field(default=1, ge=1)
    """Passes over the prompts. Original: 4 (562 rollouts)."""
    iterations: int = Field(default=0, ge=0)
    """Rollouts in all; 0: as many whole ones as `epochs` gives."""
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps over which the learning rate rises. Original: 5 rollouts of 562."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up. Original: cosine."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decay. Original: 0."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients of all that learns are together scaled down to this norm. Original: 1."""
    seed: int = Field(default=0, ge=0)
    """Root seed of adapters, the order of prompts, sampling and minibatches."""
    evaluation_iterations: int = Field(default=0, ge=0)
    """Rollouts between measurements on held-out prompts; 0: at the start and at the end only."""
    save_steps: int = Field(default=0, ge=0)
    """Optimiser steps between resume points, in the middle of a rollout too; 0: after every
    rollout. Original: every 10 rollouts."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: about a third slower, far less memory.
    Original: on."""
    bf16: bool = False
    """Compute in bfloat16 while trained weights stay as they are. Original: on."""
    cache: WorkPath = ""
    """Folder for image features, which runs may share. Empty: `cache` in the run directory."""

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"`micro_batch_size` ({self.micro_batch_size}) must divide `batch_size`"
                f" ({self.batch_size})"
            )
        return self

    def for_the_loop(self, *, steps_per_iteration: int) -> TrainSection:
        """Say the same in the words of the loop that all methods share."""
        return TrainSection(
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            micro_batch_size=self.micro_batch_size,
            epochs=1,
            warmup_ratio=self.warmup_ratio,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
            seed=self.seed,
            evaluation_steps=self.evaluation_iterations * steps_per_iteration,
            save_steps=self.save_steps or steps_per_iteration,
            gradient_checkpointing=self.gradient_checkpointing,
            bf16=self.bf16,
            compile=self.compile,
            report_to=self.report_to,
        )
