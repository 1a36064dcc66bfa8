"""What a reward is: a function from finished responses to numbers, whatever computes it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from veridical.records import Prompt


class Candidate(NamedTuple):
    """One response to be rewarded."""

    prompt: Prompt
    """What was asked, of which image."""
    text: str
    """The decoded response, without special tokens."""
    finished: bool
    """Whether the end token was emitted; False where the length limit cut it off."""
    tokens: int
    """How many response tokens there are, the end token included."""


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
