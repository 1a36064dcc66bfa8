"""The sides of the benchmark: the same trainer and collector, each side with one saving more.

What differs stands behind the seams that PPO has anyway: the roles (who scores, over which weights
and layout), the engine (who samples) and the reward.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from case import adapter_folder
from safetensors.torch import load_file
from torch import Tensor, nn

import veridical.rewards.model
from veridical.models.adapters import load_adapter, use_adapter
from veridical.models.branches import (
    BranchBatch,
    BranchOutputs,
    branch_hidden_states,
    evaluate_branches,
)
from veridical.models.features import FeatureCache
from veridical.models.generation import generate_tokens
from veridical.models.loading import VisionLanguageModel, load_model, unwrap
from veridical.models.lora import freeze, set_trainable_adapters
from veridical.models.prompts.encoding import image_keys, stack_prompts
from veridical.models.token_scores import score_logits
from veridical.rewards.learned import LearnedReward
from veridical.rewards.model import RewardModel
from veridical.rewards.protocol import RewardFunction
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.engines.hf import HfEngine
from veridical.training.ppo.engines.protocol import RolloutEngine, Sampled
from veridical.training.ppo.prompts import PpoPrompt
from veridical.training.ppo.roles import POLICY, VALUE, Roles, build_roles
from veridical.training.run.checkpoints import load_trainable

SIDES = (
    "four_models",
    "adapters",
    "shared_base",
    "response_logits",
    "image_once",
    "branches",
    "shared_cache",
)
"""Each but the first adds the saving that it is named for; the last is Veridical as it is."""


class Side(NamedTuple):
    """What an iteration runs on."""

    roles: Roles
    engine: RolloutEngine
    reward: RewardFunction
    keeps_features: bool
    """Whether prompts are encoded with the features of their images, or hold pixels."""


def make_side(name: str, folder: Path, recipe: PpoRecipe) -> Side:
    """Load one side of a case."""
    on = frozenset(SIDES[1 : SIDES.index(name) + 1])
    if "branches" not in on:
        veridical.rewards.model.branch_hidden_states = partial(branch_hidden_states, plain=True)
    if "shared_base" not in on:
        roles: Roles = _roles_apart(folder, recipe, on)
        rewarding = _reward_apart(folder, whole="adapters" not in on)
    else:
        roles = build_roles(recipe, cache=folder / f"cache-{name}")
        roles.attach_head()
        load_trainable(roles.vlm.model, folder / "learning.safetensors")
        roles.detach_head()
        if "shared_cache" not in on:
            roles = SteppedRoles(roles.vlm, roles.features, recipe, on=on, head=roles.head)
        rewarding = RewardModel.attach(roles.frozen_base(), folder / "reward")
    features = roles.frozen_features() if "image_once" in on else None
    reward = LearnedReward(rewarding, batch_size=recipe.rollout.score_batch_size, features=features)
    engine = (
        HfEngine(roles, recipe.rollout) if "shared_cache" in on else GenerateEngine(roles, recipe)
    )
    return Side(roles, engine, reward, "image_once" in on)


class SteppedRoles(Roles):
    """Roles with some of the savings switched off."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        features: FeatureCache,
        recipe: PpoRecipe,
        *,
        on: frozenset[str],
        head: nn.Linear | None,
        apart: Mapping[str, VisionLanguageModel] | None = None,
    ) -> None:
        """`apart` holds the models of value and reference that do not share the policy's base."""
        super().__init__(vlm, features, recipe, base_hash="", head=head)
        self._on = on
        self._apart = apart or {}

    @contextmanager
    def use_policy(self) -> Iterator[None]:
        with nullcontext() if self._apart else super().use_policy():
            yield

    @contextmanager
    def use_value(self) -> Iterator[None]:
        with nullcontext() if self._apart else super().use_value():
            yield

    def images(self, prompt: Mapping[str, Tensor], keys: list[str] | None) -> dict[str, Any] | None:
        return super().images(prompt, keys) if "image_once" in self._on else None

    def evaluate_policy(
        self, batch: BranchBatch, images: Mapping[str, Any] | None
    ) -> BranchOutputs:
        return self._read(self.vlm, batch, images)

    @torch.no_grad()
    def reference_logprobs(
        self,
        batch: BranchBatch,
        images: Mapping[str, Any] | None,
        keys: list[str] | None,  # noqa: ARG002
    ) -> Tensor:
        if self._apart:
            return self._read(self._apart["reference"], batch, images).logprobs
        with use_adapter(self.vlm.model, None):
            return self._read(self.vlm, batch, images).logprobs

    def value_states(self, batch: BranchBatch, images: Mapping[str, Any] | None) -> Tensor:
        model = self._apart.get(VALUE, self.vlm).model
        return branch_hidden_states(
            model, batch, at="before", image_outputs=images, plain="branches" not in self._on
        )

    def _read(
        self, vlm: VisionLanguageModel, batch: BranchBatch, images: Mapping[str, Any] | None
    ) -> BranchOutputs:
        if "response_logits" not in self._on:
            return self._read_rows(vlm, batch)
        plain = "branches" not in self._on
        return evaluate_branches(
            vlm.model, batch, sampling=self.sampling, image_outputs=images, plain=plain
        )

    def _read_rows(self, vlm: VisionLanguageModel, batch: BranchBatch) -> BranchOutputs:
        """Full sequences, each with its own prompt and pixels; logits at every position."""
        mask = batch.response_mask
        B, K, T = mask.shape
        copies = {key: value.repeat_interleave(K, 0) for key, value in batch.prompt.items()}
        ids = torch.cat([copies["input_ids"], batch.response_ids.reshape(B * K, T)], -1)
        attention = torch.cat([copies["attention_mask"], mask.reshape(B * K, T).long()], -1)
        logits = vlm.model(
            input_ids=ids,
            attention_mask=attention,
            position_ids=(attention.cumsum(-1) - 1).clamp(min=0),  # prompts are padded on the left
            pixel_values=copies["pixel_values"],
            use_cache=False,
        ).logits
        predicting = logits[:, -T - 1 : -1].reshape(B, K, T, -1)[mask]
        scores = score_logits(
            predicting, batch.response_ids[mask], sampling=self.sampling, with_entropies=True
        )
        logprobs, entropies = (
            one.new_zeros(mask.shape).masked_scatter(mask, one) for one in scores
        )
        return BranchOutputs(logprobs, entropies, logprobs.new_zeros(*mask.shape, 0))

    def value_parameters(self) -> dict[str, nn.Parameter]:
        mine = super().value_parameters()
        if VALUE in self._apart:
            model = unwrap(self._apart[VALUE].model)
            mine |= {name: p for name, p in model.named_parameters() if p.requires_grad}
        return mine


def _roles_apart(folder: Path, recipe: PpoRecipe, on: frozenset[str]) -> SteppedRoles:
    """A model per role; policy and value train their adapters, or all but the vision tower."""
    models = {}
    for role in (POLICY, VALUE):
        vlm = load_adapter(
            load_model(folder / "base", device="cpu"), adapter_folder(folder, role), name=role
        )
        if "adapters" in on:
            vlm.model.set_adapter(role)
            vlm.model.requires_grad_(requires_grad=False)
            set_trainable_adapters(vlm.model, {role})
        else:
            vlm = _merged(vlm, role)
            vlm.model.requires_grad_(requires_grad=True)
            freeze(vlm.model)
        models[role] = VisionLanguageModel(vlm.model.eval(), vlm.processor, vlm.name)
    reference = load_model(folder / "base", device="cpu")
    reference.model.requires_grad_(requires_grad=False).eval()
    head = nn.Linear(reference.model.config.get_text_config().hidden_size, 1)
    head.load_state_dict(load_file(adapter_folder(folder, VALUE) / "head.safetensors"))
    features = FeatureCache(None, models[POLICY])
    apart = {VALUE: models[VALUE], "reference": reference}
    return SteppedRoles(models[POLICY], features, recipe, on=on, head=head, apart=apart)


def _reward_apart(folder: Path, *, whole: bool) -> RewardModel:
    found = RewardModel.attach(load_model(folder / "base", device="cpu"), folder / "reward")
    if not whole:
        return found
    vlm = _merged(found.vlm, "reward")
    vlm.model.requires_grad_(requires_grad=False)
    return RewardModel(vlm, found.head, found.template, pooling=found.pooling)


def _merged(vlm: VisionLanguageModel, adapter: str) -> VisionLanguageModel:
    model: Any = vlm.model
    return VisionLanguageModel(
        model.merge_and_unload(adapter_names=[adapter]), vlm.processor, vlm.name
    )


class GenerateEngine:
    """`transformers`' generate: a row per response with its own copy of prompt and image."""

    def __init__(self, roles: Roles, recipe: PpoRecipe) -> None:
        self._roles = roles
        self._settings = recipe.rollout

    def follow(self, roles: Roles) -> None:
        """Nothing to do: the weights are the policy's own."""

    def sample(
        self, prompts: Sequence[PpoPrompt], streams: Sequence[Sequence[int]]
    ) -> list[Sampled]:
        roles, settings = self._roles, self._settings
        found = []
        for start in range(0, len(prompts), settings.batch_size):
            part = slice(start, start + settings.batch_size)
            rows = [prompt.encoded for prompt in prompts[part] for _ in streams[0]]
            stacked = stack_prompts(
                [row.prompt for row in rows], pad_token_id=roles.vlm.tokenizer.pad_token_id
            )
            with torch.no_grad(), roles.use_policy():
                answers = generate_tokens(
                    roles.vlm,
                    stacked,
                    image_outputs=roles.images(stacked, image_keys(rows)),
                    streams=[[seed] for row in streams[part] for seed in row],
                    temperature=settings.temperature,
                    top_p=settings.top_p,
                    max_new_tokens=settings.max_new_tokens,
                    forbidden=roles.sampling.forbidden,
                    general=True,
                )
            said = [row[0] for row in answers]
            size = len(streams[0])
            found += [said[first : first + size] for first in range(0, len(said), size)]
        ends = set(roles.vlm.end_token_ids)
        return [Sampled(row, [ids[-1] in ends for ids in row]) for row in found]
