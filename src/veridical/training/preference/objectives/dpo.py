"""Direct preference optimization (arXiv 2305.18290, equation 7), as TRL and most others run it."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from veridical.objectives.dense import sequence_score
from veridical.objectives.dpo import dpo_loss
from veridical.training.preference.objectives.protocol import Objective, PairLoss


class Dpo(Objective):
    """Direct preference optimization: all tokens of a response weigh the same."""

    title: ClassVar[str] = "DPO"
    name: Literal["dpo"] = "dpo"
    """Direct preference optimization (arXiv 2305.18290)."""
    beta: float = Field(default=0.1, gt=0)
    """Strength of the tie to the reference, per nat; not comparable between `normalize` settings.
    DPO: 0.1."""
    normalize: Literal["weighted_mean", "sum"] = "sum"
    """Divide a response's score by its number of tokens (weighted_mean: all weigh 1), or not.
    DPO: sum."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Probability that a preference is the wrong way round (conservative DPO). DPO: 0."""

    @model_validator(mode="before")
    @classmethod
    def _weight_of_one(cls, data: object) -> object:
        """Accept `segment_weight` = 1, which recipes state that earlier versions wrote."""
        if isinstance(data, dict) and data.get("segment_weight") == 1:
            return {key: value for key, value in data.items() if key != "segment_weight"}
        return data

    def score(self, token_logprobs: Tensor, response_mask: Tensor, changed_mask: Tensor) -> Tensor:
        """Add up, or average, the token log-probabilities of each response."""
        return sequence_score(
            token_logprobs,
            response_mask,
            changed_mask,
            segment_weight=1.0,
            normalize=self.normalize,
        )

    def loss(self, policy: Tensor, reference: Tensor) -> PairLoss:
        """DPO's loss, see `veridical.objectives.dpo`."""
        result = dpo_loss(
            *policy.unbind(-1),
            *reference.unbind(-1),
            beta=self.beta,
            label_smoothing=self.label_smoothing,
        )
        return PairLoss(result.loss, result.margin)
