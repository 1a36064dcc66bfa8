"""Several rewards as one: weighted terms in order, their sum, and each for itself for the log.

    total = scale · (bias + Σ weight_i · term_i)

LLaVA-RLHF (arXiv 2309.14525; constants from its released scripts), with R the learned reward, m the
prompt's length multiplier, n the response's tokens and 896 the longest response:

    total = 10 · (R − 8·[unfinished] − 10·m·n/896 + 1·yes_no + 2·multiple_choice)

Its factor 10 also multiplies the KL penalty, so that kl_coef is 0.1 · 10 on this scale.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor

from veridical.config import Recipe
from veridical.errors import ConfigError, ModelError
from veridical.records import Prompt
from veridical.rewards import rules
from veridical.rewards.protocol import (
    AnyReward,
    Candidate,
    ChecksPrompts,
    RewardFunction,
    call_reward,
    reward_name,
)
from veridical.rewards.rules import Rule

RulePreset = Literal["veridical", "llava-rlhf", "none"]

PRESETS: dict[RulePreset, dict[str, Any]] = {
    "veridical": {},
    "llava-rlhf": {
        "correctness": "original",
        "yes_no_weight": 1.0,
        "multiple_choice_weight": 2.0,
        "length_weight": -10.0,
        "length_window": 896,
        "unfinished_weight": -8.0,
        "repetition_weight": 0.0,
        "scale": 10.0,
    },
    "none": {
        "yes_no_weight": 0.0,
        "multiple_choice_weight": 0.0,
        "length_weight": 0.0,
        "unfinished_weight": 0.0,
        "repetition_weight": 0.0,
    },
}
"""Settings by preset; what a preset leaves out is the field's default. "llava-rlhf" is the released
code's, its reward of "no" alone included."""


class RewardSection(Recipe):
    """What a response is rewarded for besides the reward model's score; a weight of 0 omits a term.

    "Original" is the released code of LLaVA-RLHF (arXiv 2309.14525); the other values are ours.
    """

    preset: RulePreset = "veridical"
    """Where settings that the recipe leaves out come from: "veridical", "llava-rlhf" (the
    original's), or "none"."""
    learned_weight: float = 1.0
    """Weight of the reward model's score. Original: 1."""
    correctness: Literal["symmetric", "original"] = "symmetric"
    """How answers are checked: right 1, wrong −1, unclear 0; or as the original, which rewards and
    punishes yes/no answers only where the truth is no, and never punishes a wrong letter."""
    yes_no_weight: float = 1.0
    """Weight of a right or wrong yes or no. Original: 1 (its 2.0 times ±0.5)."""
    multiple_choice_weight: float = 2.0
    """Weight of a right or wrong letter. Original: 2."""
    length_weight: float = 0.0
    """Weight of multiplier × tokens / `length_window`; the multiplier is the prompt's
    `length_bonus`. Original: −10, so that a prompt of multiplier −0.5 rewards length."""
    length_window: int = Field(default=896, ge=1)
    """The longest response in tokens, which the length is a share of. Original: 896."""
    unfinished_weight: float = -8.0
    """Weight of a response that never came to its end token. Original: −8."""
    repetition_weight: float = -1.0
    """Weight of the share of runs of words that stood in the response before. Original: 0 (it has
    no such term)."""
    repetition_words: int = Field(default=4, ge=1)
    """Length of such a run in words. Ours: true descriptions in the world repeat 2 % of their runs
    of 4 words, 15 % of their runs of 2."""
    bias: float = 0.0
    """Added to every response's sum. Original: 0."""
    scale: float = Field(default=1.0, gt=0)
    """What the whole sum is multiplied with. Original: 10, and its KL penalty too, so set kl_coef
    ten times as high."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return (
            next((settings for name, settings in PRESETS.items() if name == data.get("preset")), {})
            | data
        )


class Term(NamedTuple):
    """One reward with its weight."""

    reward: RewardFunction
    """What is rewarded."""
    weight: float
    """What its value is multiplied with."""


class Rewarded(NamedTuple):
    """The rewards of responses, by term."""

    total: Tensor
    """(N,) float32."""
    terms: dict[str, Tensor]
    """Each term by name, before its weight: (N,) float32."""
    weighted: dict[str, Tensor]
    """Each term as it enters the total, weight and scale included: (N,) float32."""


class CompositeReward:
    """The weighted sum of several rewards."""

    def __init__(
        self, terms: Sequence[Term], *, scale: float = 1.0, bias: float = 0.0, name: str = "reward"
    ) -> None:
        """Join terms.

        Args:
            terms: The terms in the order in which they are computed and logged; names are unique.
            scale: What the sum is multiplied with.
            bias: Added to the sum before it is scaled.
            name: Under which name the log shows the total.

        Raises:
            ConfigError: There is no term, or two have the same name.
        """
        names = [term.reward.name for term in terms]
        if not names:
            raise ConfigError(
                "A reward needs a term, got none. Give a reward model or set a rule's weight."
            )
        if len(set(names)) < len(names):
            raise ConfigError(
                f"Two rewards have the same name, got {', '.join(names)}. Rename one."
            )
        self.terms = tuple(terms)
        self.scale = scale
        self.bias = bias
        self.name = name

    def __call__(self, candidates: Sequence[Candidate]) -> Tensor:
        """Reward candidates: (N,) float32, the totals of `reward`."""
        return self.reward(candidates).total

    def reward(self, candidates: Sequence[Candidate]) -> Rewarded:
        """Reward candidates, with the value of every term.

        Raises:
            ModelError: A term gives NaN or infinity, or not one number for each candidate.
        """
        values: dict[str, Tensor] = {}
        weighted: dict[str, Tensor] = {}
        for reward, weight in self.terms:
            value = reward_values(reward, candidates)
            values[reward.name] = value
            weighted[reward.name] = self.scale * weight * value
        total = torch.stack(list(weighted.values())).sum(dim=0) + self.scale * self.bias
        return Rewarded(total, values, weighted)

    def prompt_faults(self, prompts: Sequence[Prompt], *, room: int) -> list[str | None]:
        """For each prompt, why a term could not reward responses to it; see `ChecksPrompts`."""
        faults: list[list[str]] = [[] for _ in prompts]
        for reward, _ in self.terms:
            if isinstance(reward, ChecksPrompts):
                for number, fault in enumerate(reward.prompt_faults(prompts, room=room)):
                    faults[number] += [] if fault is None else [fault]
        return [" ".join(messages) or None for messages in faults]


def compose_rewards(
    section: RewardSection, *, learned: RewardFunction | None = None
) -> CompositeReward:
    """Join the reward model with the rules that a recipe asks for.

    Args:
        section: The recipe's section.
        learned: The reward model; None: rules alone.

    Raises:
        ConfigError: No term is left.
    """
    check_yes_no, check_choice = (
        (rules.original_yes_no, rules.original_multiple_choice)
        if section.correctness == "original"
        else (rules.yes_no, rules.multiple_choice)
    )
    terms = [
        Term(Rule("yes_no", check_yes_no, rules.yes_no_fault), section.yes_no_weight),
        Term(
            Rule("multiple_choice", check_choice, rules.multiple_choice_fault),
            section.multiple_choice_weight,
        ),
        Term(
            Rule("length", partial(rules.length, window=section.length_window)),
            section.length_weight,
        ),
        Term(Rule("unfinished", rules.unfinished), section.unfinished_weight),
        Term(
            Rule("repetition", partial(rules.repetition, words=section.repetition_words)),
            section.repetition_weight,
        ),
    ]
    chosen = [term for term in terms if term.weight != 0]
    if learned is not None and section.learned_weight != 0:
        chosen.insert(0, Term(learned, section.learned_weight))
    return CompositeReward(chosen, scale=section.scale, bias=section.bias)


def reward_values(reward: AnyReward, candidates: Sequence[Candidate]) -> Tensor:
    """Reward candidates: (N,) float32 on the CPU, one finite number each.

    Raises:
        ModelError: The reward gives NaN or infinity, or not one number for each candidate.
    """
    name, value = reward_name(reward), call_reward(reward, candidates)
    wrong = (~value.isfinite()).nonzero().flatten().tolist()
    if wrong:
        first = candidates[wrong[0]]
        raise ModelError(
            f"The reward {name!r} of a response to prompt {first.prompt.id!r} is"
            f" {value[wrong[0]].item()}, and so {len(wrong)} of {len(candidates)} responses have no"
            f" number; the first says {first.text[:60]!r}. Check the reward model, its adapter and"
            " its number type (float16 overflows)."
        )
    return value
