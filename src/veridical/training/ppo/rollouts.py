"""Rollouts: responses that are sampled, scored by every role, rewarded and given advantages.

Scores are of the distribution that was sampled from (temperature, forbidden tokens), with every
role over the same branches, so that at the first step the policy's ratio is 1. The reward stands on
a response's last token, less the KL penalty on each. A response without a finite reward is left
out, and counted. Several processes share the prompts; all of them get the whole rollout.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from veridical.errors import ModelError
from veridical.models.branches import BranchBatch, stack_responses
from veridical.models.prompts.encoding import image_keys, stack_prompts
from veridical.models.prompts.responses import decode_responses
from veridical.objectives.kl import ESTIMATORS, kl_estimate
from veridical.objectives.masked import explained_variance, masked_mean
from veridical.progress import log
from veridical.rewards.composition import CompositeReward
from veridical.rewards.protocol import AnyReward, Candidate, call_reward, reward_name
from veridical.rewards.rules import repetition
from veridical.seeding import child_seed
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.engines.importance import weigh
from veridical.training.ppo.engines.protocol import RolloutEngine, Sampled
from veridical.training.ppo.losses import Credit, assign_credit, value_slots, values_of_slots
from veridical.training.ppo.prompts import PpoPrompt
from veridical.training.ppo.roles import Roles
from veridical.training.ppo.rollout_tensors import Rewards, Rollout, ScoredRollouts
from veridical.training.run.team.work import in_shares
from veridical.training.run.trained_model import mixed_precision

_REPEATED_WORDS = 4


class RolloutCollector:
    """Samples, scores and rewards."""

    def __init__(
        self, roles: Roles, engine: RolloutEngine, reward: AnyReward, recipe: PpoRecipe
    ) -> None:
        """Collect with these roles and this reward."""
        self._roles = roles
        self._engine = engine
        self._reward = reward
        self._recipe = recipe
        self._autocast = mixed_precision(roles.vlm, bf16=recipe.train.bf16)

    def collect(
        self,
        prompts: Sequence[PpoPrompt],
        rows: Sequence[int],
        *,
        stream: Sequence[str | int],
        kl_coefficient: float,
    ) -> tuple[Rollout, dict[str, float]]:
        """Make one rollout.

        Args:
            prompts: All prompts.
            rows: Numbers of those that are answered.
            stream: Names the randomness of this rollout.
            kl_coefficient: Price of a nat.

        Returns:
            The rollout and what is logged of it.

        Raises:
            ModelError: No response got a finite reward.
        """
        some = [prompts[row] for row in rows]
        scored = self.score(some, self.sample(some, stream=stream))
        rewards = self.reward(some, scored.sampled)
        valid = rewards.total.isfinite()
        if not valid.any():
            raise ModelError(
                f"None of {valid.numel()} responses got a finite reward from"
                f" {reward_name(self._reward)!r}."
                " Check the reward model and its number type (float16 overflows)."
            )
        excluded = int((~valid).sum())
        if excluded:
            log(
                f"Warning: {excluded} of {valid.numel()} responses got no finite reward and are"
                " left out."
            )
        mask = scored.response_mask & valid.unsqueeze(-1)
        credit = assign_credit(
            rewards.total,
            scored.logprobs,
            scored.reference,
            values_of_slots(scored.values, mask, self._recipe),
            mask,
            self._recipe,
            kl_coefficient=kl_coefficient,
        )
        weighed = weigh(
            scored.sampled,
            scored.logprobs,
            scored.response_mask,
            cap=self._recipe.rollout.importance_cap,
        )
        rollout = Rollout(
            torch.tensor(rows),
            scored.response_ids,
            mask,
            scored.logprobs,
            scored.reference,
            scored.values,
            credit.advantages * weighed.weights,
            pad(credit.returns, (0, scored.values.shape[-1] - credit.returns.shape[-1])),
        )
        metrics = self.describe(some, scored, rewards)
        metrics |= {
            "kl_coefficient": kl_coefficient,
            "excluded": float(excluded),
            **weighed.metrics,
            **self._fit(scored, mask, credit),
        }
        if not metrics["finished"]:
            log(
                "Warning: no response of this rollout reached its end token; the reward then stands"
                " on the last token before the cut. Give a larger rollout.max_new_tokens, or start"
                " from a model that ends its answers."
            )
        return rollout, metrics

    def sample(self, prompts: Sequence[PpoPrompt], *, stream: Sequence[str | int]) -> list[Sampled]:
        """Sample responses; they depend on weights and stream alone."""
        seed, samples = self._recipe.train.seed, self._recipe.rollout.samples
        self._engine.follow(self._roles)
        streams = [
            [child_seed(seed, *stream, n, k) for k in range(samples)] for n in range(len(prompts))
        ]
        return in_shares(
            list(zip(prompts, streams, strict=True)),
            lambda some: self._engine.sample([one for one, _ in some], [one for _, one in some]),
        )

    @torch.no_grad()
    def score(self, prompts: Sequence[PpoPrompt], sampled: list[Sampled]) -> ScoredRollouts:
        """Let every role score the responses."""
        size = self._recipe.rollout.score_batch_size
        ids, mask = stack_responses([one.responses for one in sampled])

        def batch(start: int) -> tuple[Tensor, ...]:
            part = slice(start, start + size)
            width = int(mask[part].sum(-1).max())
            found = self._score(prompts[part], ids[part, :, :width], mask[part, :, :width])
            return tuple(pad(one.float().cpu(), (0, ids.shape[-1] - width)) for one in found)

        starts = range(0, len(prompts), size)
        columns = zip(*in_shares(starts, lambda mine: map(batch, mine)), strict=True)
        return ScoredRollouts(sampled, ids, mask, *map(torch.cat, columns))

    def _score(
        self, prompts: Sequence[PpoPrompt], ids: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        roles = self._roles
        encoded = [one.encoded for one in prompts]
        keys = image_keys(encoded)
        stacked = stack_prompts(
            [one.prompt for one in encoded], pad_token_id=roles.vlm.tokenizer.pad_token_id
        )
        batch = BranchBatch(stacked, ids, mask).to(roles.vlm.device)
        with self._autocast():
            images = roles.images(batch.prompt, keys)
            with roles.use_policy():
                read = roles.evaluate_policy(batch, images)
            reference = roles.reference_logprobs(batch, images, keys)
            values = torch.zeros_like(read.logprobs)
            if roles.value_apart:
                padding = roles.vlm.tokenizer.pad_token_id
                slots = value_slots(ids, mask, self._recipe, pad_token_id=padding)
                batch = BranchBatch(batch.prompt, slots.ids, slots.mask).to(roles.vlm.device)
                with roles.use_value():
                    states = roles.value_states(batch, images)
                values = roles.values(states).masked_fill(~batch.response_mask, 0)
            elif roles.has_value:
                values = roles.values(read.states).masked_fill(~batch.response_mask, 0)
        return read.logprobs, read.entropies, reference, values

    def reward(self, prompts: Sequence[PpoPrompt], sampled: Sequence[Sampled]) -> Rewards:
        """Reward responses, each by itself."""

        def rewarded(
            some: Sequence[tuple[PpoPrompt, Sampled]],
        ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
            with self._autocast():
                found = self._rewarded([one for one, _ in some], [one for _, one in some])
            for row, total in enumerate(found.total):
                yield total, {name: values[row] for name, values in found.terms.items()}

        rows = in_shares(list(zip(prompts, sampled, strict=True)), rewarded)
        terms = {name: torch.stack([row[name] for _, row in rows]) for name in rows[0][1]}
        return Rewards(torch.stack([total for total, _ in rows]), terms)

    def _rewarded(self, prompts: Sequence[PpoPrompt], sampled: Sequence[Sampled]) -> Rewards:
        candidates = self.candidates(prompts, sampled)
        shape = (len(prompts), len(sampled[0].responses))
        if isinstance(self._reward, CompositeReward):
            rewarded = self._reward.reward(candidates)
            return Rewards(
                rewarded.total.reshape(shape),
                {n: v.reshape(shape) for n, v in rewarded.weighted.items()},
            )
        total = call_reward(self._reward, candidates).reshape(shape)
        return Rewards(total, {reward_name(self._reward): total})

    def candidates(
        self, prompts: Sequence[PpoPrompt], sampled: Sequence[Sampled]
    ) -> list[Candidate]:
        """Responses as rewards see them, those of a prompt side by side."""
        texts = iter(
            decode_responses(self._roles.vlm, [ids for one in sampled for ids in one.responses])
        )
        return [
            Candidate(prompt.record, next(texts), finished, len(ids))
            for prompt, one in zip(prompts, sampled, strict=True)
            for ids, finished in zip(one.responses, one.finished, strict=True)
        ]

    def describe(
        self, prompts: Sequence[PpoPrompt], scored: ScoredRollouts, rewards: Rewards
    ) -> dict[str, float]:
        """What is logged: rewards, KL per response, entropy per token, length, repetition."""
        candidates = self.candidates(prompts, scored.sampled)
        responses = len(candidates)
        kept = rewards.total.isfinite()
        divergence = {
            f"kl_{name}": float(
                (
                    kl_estimate(scored.logprobs, scored.reference, estimator=name)
                    * scored.response_mask
                ).sum()
                / responses
            )
            for name in ESTIMATORS
        }
        return {
            "reward": float(masked_mean(rewards.total, kept)),
            **{
                f"reward/{name}": float(masked_mean(value, value.isfinite()))
                for name, value in rewards.terms.items()
            },
            **divergence,
            "entropy": float(masked_mean(scored.entropies, scored.response_mask)),
            "length": float(scored.response_mask.sum()) / responses,
            "finished": sum(candidate.finished for candidate in candidates) / responses,
            "repetition": (
                sum(repetition(candidate, words=_REPEATED_WORDS) for candidate in candidates)
                / responses
            ),
        }

    def _fit(self, scored: ScoredRollouts, mask: Tensor, credit: Credit) -> Mapping[str, float]:
        if not self._roles.has_value:
            return {}
        width = mask.shape[-1]
        values, returns = scored.values[..., :width], credit.returns[..., :width]
        return {
            "explained_variance": float(explained_variance(values, returns, mask)),
            "value": float(masked_mean(values, mask)),
            "return": float(masked_mean(returns, mask)),
        }
