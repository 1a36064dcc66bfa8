"""Dense DPO (RLHF-V, arXiv 2312.00849, equation 5): corrected tokens weigh more."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from veridical.objectives.dense import sequence_score
from veridical.objectives.dpo import dpo_loss
from veridical.training.preference.objectives.protocol import Objective, PairLoss


class DenseDpo(Objective):
    """Dense DPO (RLHF-V): tokens of corrected segments weigh more than the others."""

    title: ClassVar[str] = "dense DPO (RLHF-V)"
    name: Literal["dense_dpo"] = "dense_dpo"
    """Dense direct preference optimization (RLHF-V, arXiv 2312.00849)."""
    beta: float = Field(default=0.5, gt=0)
    """Strength of the tie to the reference, per nat; not comparable between `normalize` settings.
    RLHF-V: 0.5 with the weighted mean; later releases of its code: 0.1 with the sum."""
    segment_weight: float = Field(default=5.0, gt=0)
    """Weight of a corrected token, others weigh 1 (γ in Eq. 5). RLHF-V: 5; the latest release of
    its code: 1.1."""
    normalize: Literal["weighted_mean", "sum"] = "weighted_mean"
    """Divide a response's score by the sum of its weights (N in Eq. 5), or not. RLHF-V:
    weighted_mean; later releases of its code: sum."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Probability that a preference is the wrong way round (conservative DPO). RLHF-V: 0."""

    def score(self, token_logprobs: Tensor, response_mask: Tensor, changed_mask: Tensor) -> Tensor:
        """Weigh corrected tokens by `segment_weight`, see `veridical.objectives.dense`."""
        return sequence_score(
            token_logprobs,
            response_mask,
            changed_mask,
            segment_weight=self.segment_weight,
            normalize=self.normalize,
        )

    def loss(self, policy: Tensor, reference: Tensor) -> PairLoss:
        """DPO's loss of these scores, see `veridical.objectives.dpo`."""
        result = dpo_loss(
            *policy.unbind(-1),
            *reference.unbind(-1),
            beta=self.beta,
            label_smoothing=self.label_smoothing,
        )
        return PairLoss(result.loss, result.margin)
