"""The recipe of PPO: its presets, its sections and what must hold between them.

"Original" is the released code and scripts of LLaVA-RLHF (Sun et al. 2023, arXiv 2309.14525). A
value set in the recipe wins over the preset's.
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from veridical.rewards.composition import RewardSection
from veridical.training.ppo.sections import (
    KlSection,
    PpoDataSection,
    PpoObjectiveSection,
    PpoTrainSection,
    RolloutSection,
    ValueSection,
)
from veridical.training.run.paths import AdapterPath
from veridical.training.run.settings import (
    ModelSection,
    TrainingRecipe,
    fill_in,
    given_settings,
    settings_of,
)

PpoPreset = Literal["none", "llava-rlhf"]

PPO_PRESETS: dict[PpoPreset, dict[str, dict[str, Any]]] = {
    "none": {},
    "llava-rlhf": {
        "model": {"tuning": "lora"},
        "data": {"max_prompt_tokens": 128, "facts_order": "shuffled"},
        "rollout": {
            "prompts": 512,
            "samples": 1,
            "max_new_tokens": 896,
            "temperature": 1.0,
            "top_p": 1.0,
            "cut_after": ["?"],
        },
        "objective": {
            "advantage": "gae",
            "discount": 1.0,
            "gae_lambda": 1.0,
            "clip_range": 0.2,
            "slots": "window",
        },
        "kl": {"coefficient": 1.0, "estimator": "clamped", "where": "reward", "target": 0.0},
        "value": {"kind": "adapter", "coefficient": 0.1, "clip_range": 0.2},
        "reward": {"preset": "llava-rlhf"},
        "train": {
            "learning_rate": 3e-5,
            "batch_size": 256,
            "ppo_epochs": 2,
            "epochs": 4,
            "warmup_ratio": 0.0089,
            "schedule": "cosine",
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
        },
    },
}
"""Settings by preset. "llava-rlhf" reproduces the original, its statistics over the padded window
and its clamped KL estimate included; its KL coefficient of 0.1 stands here as 1.0, since its factor
of 10 multiplied the penalty too."""


class PpoRecipe(TrainingRecipe):
    """Train a policy by PPO against a reward (`veridical train ppo`)."""

    preset: PpoPreset = "none"
    """Where settings that the recipe leaves out come from: "llava-rlhf" (the original's) or
    "none"."""
    model: ModelSection
    """The policy; its start is the reference."""
    data: PpoDataSection = Field(default_factory=PpoDataSection)
    """The prompts."""
    reward_model: AdapterPath = ""
    """Folder of a reward model (`veridical train reward`); its adapter joins the policy's base.
    Empty: rules alone."""
    judge_model: AdapterPath = ""
    """Folder of a second reward model, learnt from other comparisons or another seed, that rates
    held-out responses, too: where the reward rises and it falls, the run warns. Empty: no
    judge."""
    reward: RewardSection = Field(default_factory=RewardSection)
    """What a response is rewarded for."""
    rollout: RolloutSection = Field(default_factory=RolloutSection)
    """The sampling."""
    objective: PpoObjectiveSection = Field(default_factory=PpoObjectiveSection)
    """The losses."""
    kl: KlSection = Field(default_factory=KlSection)
    """The tie to the reference."""
    value: ValueSection = Field(default_factory=ValueSection)
    """The value."""
    train: PpoTrainSection = Field(default_factory=PpoTrainSection)
    """The optimisation."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Fill in what is not given from the preset."""
        if not isinstance(data, dict):
            return data
        said = given_settings(data)
        return fill_in(said, settings_of(PPO_PRESETS, said.get("preset", "none")))

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        if self.rollout.prompts % self.train.batch_size:
            raise ValueError(
                f"`train.batch_size` ({self.train.batch_size}) must divide `rollout.prompts`"
                f" ({self.rollout.prompts})"
            )
        if self.objective.advantage != "gae" and self.rollout.samples < 2:
            raise ValueError(
                f'`rollout.samples` must be at least 2 for "{self.objective.advantage}", which'
                ' compares the responses to a prompt; or set objective.advantage = "gae"'
            )
        if self.model.lora.dropout or self.value.lora.dropout:
            raise ValueError(
                "`lora.dropout` must be 0: the clipped ratio compares probabilities, which dropout"
                " blurs"
            )
        if self.model.tuning == "full" and self.rollout.engine != "hf":
            raise ValueError(
                f'`rollout.engine` "{self.rollout.engine}" takes over adapters, and tuning = "full"'
                ' trains none; take "hf"'
            )
        if self.has_value and self.model.tuning == "full" and self.value.kind == "adapter":
            raise ValueError(
                '`value.kind` "adapter" needs tuning = "lora"; take "detached" or "shared"'
            )
        if self.model.tuning == "full" and "vision" in self.model.trainable:
            raise ValueError(
                "`model.trainable` must leave out the vision tower: all roles share its features"
            )
        if self.value.warmup_iterations and not self.has_value:
            raise ValueError(
                f'`value.warmup_iterations` goes with "gae"; "{self.objective.advantage}" has no'
                " value"
            )
        self._window_fits()
        return self

    def _window_fits(self) -> None:
        """Padding has one value and one return per response; other settings would not be exact."""
        objective = self.objective
        if objective.slots == "window" and not (
            objective.advantage == "gae"
            and objective.average == "tokens"
            and objective.discount == objective.gae_lambda == 1
            and self.value.kind == "adapter"
        ):
            raise ValueError(
                '`objective.slots` "window" goes with advantage "gae", average "tokens",'
                ' discount = 1, gae_lambda = 1 and value.kind "adapter", as in the original'
            )

    @property
    def has_value(self) -> bool:
        """Whether a value is learnt."""
        return self.objective.advantage == "gae"

    def describe(self) -> str:
        """What the method is called: PPO only where there is something to clip."""
        names = {"gae": "PPO", "rloo": "RLOO", "grpo": "GRPO", "dr_grpo": "Dr. GRPO"}
        name, steps = names[self.objective.advantage], self.steps_per_iteration
        if steps == 1:
            return f"{name}, one step per rollout (the ratio is 1, nothing is clipped)"
        return f"{name}, {steps} steps per rollout"

    @property
    def steps_per_iteration(self) -> int:
        """Optimiser steps per rollout."""
        return self.train.ppo_epochs * (self.rollout.prompts // self.train.batch_size)
