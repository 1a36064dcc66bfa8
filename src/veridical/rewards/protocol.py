"""What a reward is: a function from finished responses to numbers, whatever computes it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from veridical.errors import ModelError
from veridical.records import Prompt


class Candidate(NamedTuple):
    """One response to be rewarded."""

    prompt: Prompt
    """What was asked, and about which image."""
    text: str
    """The decoded response, without special tokens."""
    finished: bool
    """Whether the end token was emitted; False where the length limit cut it off."""
    tokens: int
    """How many response tokens there are, the end token included."""


AnyReward = Callable[[Sequence[Candidate]], "Tensor | Sequence[float]"]
"""Any function from responses to one number each, in their order: `lambda candidates: [-len(c.text)
for c in candidates]`. A `RewardFunction` is one with a name of its own."""


def reward_name(reward: AnyReward) -> str:
    """The name under which the log shows a reward: its own, or that of the function or class."""
    name = getattr(reward, "name", None) or getattr(reward, "__name__", type(reward).__name__)
    return "reward" if name == "<lambda>" else str(name)


def call_reward(reward: AnyReward, candidates: Sequence[Candidate]) -> Tensor:
    """Reward candidates: (N,) float32 on the CPU; NaN where the reward gives none.

    Raises:
        ModelError: It does not give one number for each candidate.
    """
    given = reward(candidates)
    try:
        values = torch.as_tensor(given).detach().to("cpu", torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"The reward {reward_name(reward)!r} must give a list or tensor of numbers, got"
            f" {repr(given)[:60]} ({error}). Fix the reward."
        ) from error
    if values.shape != (len(candidates),):
        raise ModelError(
            f"The reward {reward_name(reward)!r} must give one number for each of"
            f" {len(candidates)} responses, got a tensor of shape {tuple(values.shape)}. Fix the"
            " reward."
        )
    return values


class RewardFunction(Protocol):
    """Anything that rewards responses, each independently of the others."""

    @property
    def name(self) -> str:
        """Under which name the log shows this reward."""
        ...

    def __call__(self, candidates: Sequence[Candidate]) -> Tensor:
        """Reward candidates: (N,) float32 on the CPU, in the candidates' order."""
        ...


@runtime_checkable
class ChecksPrompts(Protocol):
    """A reward that knows, before anything is generated, which prompts it could not judge."""

    def prompt_faults(self, prompts: Sequence[Prompt], *, room: int) -> list[str | None]:
        """For each prompt, why responses to it could not be rewarded, and what to do, or None.

        Args:
            prompts: What will be asked.
            room: Tokens of the longest response.
        """
        ...
