"""The loop of reward training: the pairwise loss over two branches, measured on held-out comparisons."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Sampler

from veridical.models.features import FeatureCache
from veridical.models.loading import unwrap
from veridical.objectives.reward import pairwise_loss, preference_accuracy
from veridical.rewards.model import RewardModel
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.data import (
    PreparedComparison,
    collate_comparisons,
    reward_batch,
)
from veridical.training.run.choice import ChoiceRule
from veridical.training.run.length_order import LengthOrder
from veridical.training.run.loop import RunTrainer


class RewardTrainer(RunTrainer):
    """The shared loop with the pairwise loss over two branches."""

    def __init__(
        self,
        model: RewardModel,
        rows: Sequence[PreparedComparison],
        held_out: Sequence[PreparedComparison],
        *,
        recipe: RewardRecipe,
        features: FeatureCache,
        run_dir: Path,
        rule: ChoiceRule,
    ) -> None:
        """Set up training on `rows`, measured on `held_out`."""
        self._model = model
        self._rows = rows
        self._held_out = sorted(held_out, key=lambda row: row.encoded.tokens)
        self._objective = recipe.objective
        self._features = features
        self._by_length = recipe.train.by_length
        # As a part of the model the head is optimised, kept in resume points and restored with the
        # rest.
        self._owner().reward_head = model.head
        pad = model.vlm.tokenizer.pad_token_id
        super().__init__(
            model.vlm,
            rows,
            settings=recipe.train,
            run_dir=run_dir,
            measure=self._measure_held_out,
            rule=rule,
            collate=lambda some: collate_comparisons(some, pad_token_id=pad),
        )

    def batch_loss(self, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Pairwise loss of each comparison, with margin, agreement with people (ties count half) and mean reward."""
        keys = batch["image_keys"]
        image_outputs = None if keys is None else self._features.load(keys)
        rewards = self._model.rewards(reward_batch(batch), image_outputs=image_outputs)
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
        return found.loss, {
            "preference_loss": found.preference_loss,
            "accuracy": agreement,
            "margin": found.margin.abs(),
            "reward": rewards.detach().mean(-1),
        }

    def detach_head(self) -> None:
        """Take the head out of the model again, which is saved without it."""
        del self._owner().reward_head

    def _owner(self) -> Any:
        return unwrap(self._model.vlm.model)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if not self._by_length:
            return super()._get_train_sampler(train_dataset)  # type: ignore[no-any-return, unused-ignore]
        lengths = [row.encoded.tokens for row in self._rows]
        return LengthOrder(
            lengths, batch_size=self.settings.micro_batch_size, seed=self.settings.seed
        )

    def _measure_held_out(self, step: int) -> dict[str, float]:  # noqa: ARG002 (the loop says it)
        return self.mean_over(self._held_out) if self._held_out else {}
