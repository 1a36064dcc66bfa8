"""Identity preference optimization (arXiv 2310.12036, equation 17): the margin has a target."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from veridical.objectives.dense import sequence_score
from veridical.objectives.ipo import ipo_loss
from veridical.training.preference.objectives.protocol import Objective, PairLoss


class Ipo(Objective):
    """Identity preference optimization (IPO): the difference of the log-ratios has a target."""

    title: ClassVar[str] = "IPO"
    name: Literal["ipo"] = "ipo"
    """Identity preference optimization (arXiv 2310.12036)."""
    beta: float = Field(default=0.1, gt=0)
    """Strength of the tie to the reference (τ of the paper): the target is 1/(2β) nats, per token
    with the mean. TRL: 0.1."""
    normalize: Literal["mean", "sum"] = "mean"
    """Average token log-probabilities, so that the target is the same for long and short responses
    (as TRL does, on the authors' advice), or add them up (the paper's equation to the letter)."""

    def score(self, token_logprobs: Tensor, response_mask: Tensor, changed_mask: Tensor) -> Tensor:
        """Average, or add up, the token log-probabilities of each response."""
        return sequence_score(
            token_logprobs,
            response_mask,
            changed_mask,
            segment_weight=1.0,
            normalize=self.normalize,
        )

    def loss(self, policy: Tensor, reference: Tensor) -> PairLoss:
        """IPO's loss, see `veridical.objectives.ipo`."""
        return PairLoss(*ipo_loss(*policy.unbind(-1), *reference.unbind(-1), beta=self.beta))
