"""What every engine of rollouts does: sample responses from the policy.

An engine that holds weights of its own takes the policy's over in `follow`; everything else about a
rollout (scores, rewards, advantages) does not depend on who sampled.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from veridical.training.ppo.prompts import PpoPrompt
from veridical.training.ppo.roles import Roles


class Sampled(NamedTuple):
    """What was sampled for one prompt."""

    responses: list[list[int]]
    """Token ids of K responses, the end token included where it came."""
    finished: list[bool]
    """Whether the end token came."""
    logprobs: list[list[float]] | None = None
    """Log-probability of each token where the engine sampled it, in nats; None where that was the
    policy itself."""


class RolloutEngine(Protocol):
    """Samples responses from the policy."""

    def follow(self, roles: Roles) -> None:
        """Take over the policy's weights; called before every rollout."""
        ...

    def sample(
        self, prompts: Sequence[PpoPrompt], streams: Sequence[Sequence[int]]
    ) -> list[Sampled]:
        """Sample responses.

        Args:
            prompts: What is asked.
            streams: For each prompt the seeds of its K responses; equal seeds and weights give
                equal responses.
        """
        ...
