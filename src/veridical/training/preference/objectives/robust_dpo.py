"""Robust DPO (arXiv 2403.00409): for people who prefer the wrong response at a known rate."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from veridical.objectives.dense import sequence_score
from veridical.objectives.robust_dpo import robust_dpo_loss
from veridical.training.preference.objectives.protocol import Objective, PairLoss


class RobustDpo(Objective):
    """Robust DPO: unbiased where a known share of the preferences is the wrong way round."""

    title: ClassVar[str] = "robust DPO"
    name: Literal["robust_dpo"] = "robust_dpo"
    """Robust direct preference optimization (arXiv 2403.00409)."""
    beta: float = Field(default=0.1, gt=0)
    """Strength of the tie to the reference, per nat. The paper: 0.1."""
    error_rate: float = Field(default=0.1, ge=0, lt=0.5)
    """Share of the pairs that are the wrong way round (ε of the paper); measure it, for instance
    by having some pairs judged twice. 0 is DPO."""

    def score(self, token_logprobs: Tensor, response_mask: Tensor, changed_mask: Tensor) -> Tensor:
        """Add up the token log-probabilities of each response."""
        return sequence_score(
            token_logprobs, response_mask, changed_mask, segment_weight=1.0, normalize="sum"
        )

    def loss(self, policy: Tensor, reference: Tensor) -> PairLoss:
        """Robust DPO's loss, see `veridical.objectives.robust_dpo`."""
        result = robust_dpo_loss(
            *policy.unbind(-1),
            *reference.unbind(-1),
            beta=self.beta,
            error_rate=self.error_rate,
        )
        return PairLoss(result.loss, result.margin)
