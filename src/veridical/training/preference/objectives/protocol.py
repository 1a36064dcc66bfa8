"""What an objective is: a recipe section that scores responses and computes the loss of pairs.

The mathematics lives in `veridical.objectives` as pure functions of tensors; an objective here
chooses among them and brings the settings they take. To add one, subclass `Objective`, and list it
in `registry` or, from another package, as an entry point of the group "veridical.objectives".
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field
from torch import Tensor

from veridical.config import Recipe


class PairLoss(NamedTuple):
    """The loss of every pair and its margin; both (B)."""

    loss: Tensor
    """Loss of each pair; not averaged."""
    margin: Tensor
    """How much more the policy prefers the chosen response than the reference does, in the
    objective's own scale; positive where the pair is ranked correctly. Detached."""


class Objective(Recipe, ABC):
    """A preference objective with its settings; B pairs, T tokens, the chosen response first."""

    title: ClassVar[str]
    """What reports call it."""
    name: str
    """Which objective; picks the settings below."""
    diff: Literal["words", "original"] = "words"
    """How corrected tokens are found: from segments in the text, or from token ids as RLHF-V's
    released code does. Objectives that weigh all tokens alike use them for statistics only."""
    one_sided: Literal["anchor", "mark", "ignore"] = "anchor"
    """What pure deletions and insertions mark: words and the seam on the other side, the words
    only, or nothing (RLHF-V's released code). Only with diff = "words"."""
    sft_weight: float = Field(default=0.0, ge=0)
    """Weight of the chosen response's negative mean log-probability, added to the loss. RLHF-V:
    0."""

    def describe(self) -> str:
        """Name the objective with its own settings, in a few words: "DPO, beta 0.1, sum"."""
        own = {
            key.replace("_", " "): getattr(self, key)
            for key in type(self).model_fields
            if key not in Objective.model_fields
        }
        stated = [
            value.replace("_", " ") if isinstance(value, str) else f"{key} {value:g}"
            for key, value in own.items()
            if value
        ]
        anchor = [f"SFT weight {self.sft_weight:g}"] if self.sft_weight else []
        return ", ".join([self.title, *stated, *anchor])

    @abstractmethod
    def score(self, token_logprobs: Tensor, response_mask: Tensor, changed_mask: Tensor) -> Tensor:
        """Score responses.

        Args:
            token_logprobs: Token log-probabilities (B 2 T) in nats; values where `response_mask`
                is False are ignored.
            response_mask: True at the responses' tokens (B 2 T).
            changed_mask: True at corrected tokens (B 2 T).

        Returns:
            Scores (B 2), with gradients where `token_logprobs` has them.
        """

    @abstractmethod
    def loss(self, policy: Tensor, reference: Tensor) -> PairLoss:
        """Compute the loss of pairs from scores of the policy (B 2) and the reference (B 2)."""
