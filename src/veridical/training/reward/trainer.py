"""The loop of reward training: the pairwise loss over two branches."""

from typing import final

from torch import nn

from veridical.models.features import FeatureCache
from veridical.models.loading import unwrap
from veridical.objectives.reward import pairwise_loss, preference_accuracy
from veridical.rewards.model import RewardModel
from veridical.training.reward.config import RewardObjectiveSection
from veridical.training.reward.data import ComparisonBatch, PreparedComparison, reward_batch
from veridical.training.run.loop import Course
from veridical.training.run.loss_trainer import LossTrainer, RowLosses, Rows


@final
class RewardTrainer(LossTrainer[PreparedComparison, ComparisonBatch]):
    """The shared loop with the pairwise loss over two branches."""

    def __init__(
        self,
        model: RewardModel,
        rows: Rows[PreparedComparison],
        course: Course,
        *,
        objective: RewardObjectiveSection,
        features: FeatureCache,
    ) -> None:
        """Set up training; images are read from `features` where they are kept."""
        self._reward_model = model
        self._objective = objective
        self._features = features
        # As a part of the model the head is optimised, kept in resume points and restored with the
        # rest.
        self._owner().reward_head = model.head
        super().__init__(model.vlm, rows, course)

    def batch_loss(self, batch: ComparisonBatch) -> RowLosses:
        """Pairwise loss of each comparison, with margin, agreement (ties: half), mean reward."""
        keys = batch["image_keys"]
        image_outputs = None if keys is None else self._features.load(keys)
        rewards = self._reward_model.rewards(reward_batch(batch), image_outputs=image_outputs)
        first, second = rewards.unbind(-1)
        found = pairwise_loss(
            first,
            second,
            batch["preference"],
            weight=batch["weight"],
            centring=self._objective.centring,
            centring_weight=self._objective.centring_weight,
        )
        agreement = preference_accuracy(found.margin, batch["preference"]).nan_to_num(0.5)
        logged = {
            "preference_loss": found.preference_loss,
            "accuracy": agreement,
            "margin": found.margin.abs(),
            "reward": rewards.detach().mean(-1),
        }
        return RowLosses(found.loss, logged)

    def detach_head(self) -> None:
        """Take the head out of the model again, which is saved without it."""
        del self._owner().reward_head

    def _owner(self) -> nn.Module:
        owner: nn.Module = unwrap(self._reward_model.vlm.model)
        return owner
