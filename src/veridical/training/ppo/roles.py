"""The roles of PPO over one base: policy, reference and value, each an adapter or a head.

Under LoRA the policy is the base with the adapter "policy"; the reference is the bare base, or the
base with a frozen copy of the adapter that the policy started from; the value is the adapter
"value" and a linear head, or a head on the policy's states. Under full training the reference is a
frozen copy that shares what stays frozen (the vision tower). Of images every role reads the same
features.

The released code of LLaVA-RLHF (arXiv 2309.14525) has the same four adapters and two heads; its
value head starts at 0, as this one does.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from veridical.errors import ModelError
from veridical.files import atomic_path
from veridical.models.adapters import load_adapter, use_adapter
from veridical.models.architectures.images import (
    ImageOutputs,
    encode_images,
    takes_image_outputs,
)
from veridical.models.architectures.table import architecture_of, is_listed
from veridical.models.branches import (
    BranchBatch,
    BranchOutputs,
    branch_hidden_states,
    evaluate_branches,
)
from veridical.models.features import FeatureCache
from veridical.models.hashing import model_hash
from veridical.models.loading import VisionLanguageModel, unwrap
from veridical.models.lora import add_lora, save_lora, set_trainable_adapters
from veridical.models.token_scores import Sampling
from veridical.training.ppo.config import PpoRecipe
from veridical.training.run.trained_model import (
    load_for_training,
    make_trainable,
    save_weights,
    weights_name,
)

POLICY, VALUE, REFERENCE = "policy", "value", "reference"
_HEAD = "value_head"


class Roles:
    """Policy, reference and value, ready to score and to be trained."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        features: FeatureCache,
        recipe: PpoRecipe,
        *,
        base_hash: str,
        head: nn.Linear | None = None,
        reference: VisionLanguageModel | None = None,
        reference_features: FeatureCache | None = None,
    ) -> None:
        """Take the roles on; `build_roles` makes what is needed.

        Args:
            vlm: The base with its adapters and head, or the model that is trained itself.
            features: Features of the images for `vlm`.
            recipe: The recipe.
            base_hash: Hash of the base's weights before training.
            head: The value's head, where a value is learnt.
            reference: The frozen copy under full training.
            reference_features: Features of the images for that copy, whose projector is another.
        """
        self.vlm = vlm
        self.features = features
        self.base_hash = base_hash
        self.head = head
        self._recipe = recipe
        self._reference = reference
        self._reference_features = reference_features
        self.lora = recipe.model.tuning == "lora"
        self.has_value = recipe.has_value
        self.value_apart = recipe.has_value and recipe.value.kind == "adapter"
        self.sampling = Sampling(recipe.rollout.temperature, forbidden_tokens(vlm))

    def frozen_base(self) -> VisionLanguageModel:
        """The base, which takes more frozen adapters: its own weights are never trained."""
        return self._reference or self.vlm

    def frozen_features(self) -> FeatureCache:
        """Features of the images for `frozen_base`."""
        return self._reference_features or self.features

    @contextmanager
    def use_policy(self) -> Iterator[None]:
        """Within it the model is the policy."""
        with use_adapter(self.vlm.model, POLICY if self.lora else None):
            yield

    @contextmanager
    def use_value(self) -> Iterator[None]:
        """Within it the model is what the value's head stands on."""
        with use_adapter(
            self.vlm.model, VALUE if self.value_apart else POLICY if self.lora else None
        ):
            yield

    def images(self, prompt: Mapping[str, Tensor], keys: list[str] | None) -> ImageOutputs | None:
        """Encode the images of a batch for all roles; None where each reads the pixels itself."""
        if keys is not None:
            return self.features.load(keys)
        model = self.vlm.model
        config = unwrap(model).config
        same = is_listed(config) and architecture_of(config).features
        if not (self.lora and same and takes_image_outputs(model) and "pixel_values" in prompt):
            return None
        with torch.no_grad():
            return encode_images(model, prompt)

    def evaluate_policy(
        self, batch: BranchBatch, images: Mapping[str, Any] | None
    ) -> BranchOutputs:
        """Score responses with the policy; call it within `use_policy`."""
        return evaluate_branches(
            self.vlm.model, batch, sampling=self.sampling, image_outputs=images
        )

    @torch.no_grad()
    def reference_logprobs(
        self, batch: BranchBatch, images: Mapping[str, Any] | None, keys: list[str] | None
    ) -> Tensor:
        """Token log-probabilities (B K T) under the reference."""
        if self._reference is None:
            has_copy = REFERENCE in self.vlm.model.peft_config
            with use_adapter(self.vlm.model, REFERENCE if has_copy else None):
                return self.evaluate_policy(batch, images).logprobs
        if keys is not None and self._reference_features is not None:
            images = self._reference_features.load(keys)
        return evaluate_branches(
            self._reference.model, batch, sampling=self.sampling, image_outputs=images
        ).logprobs

    def value_states(self, batch: BranchBatch, images: Mapping[str, Any] | None) -> Tensor:
        """States (B K T D) that the value's own adapter gives; call it within `use_value`."""
        return branch_hidden_states(self.vlm.model, batch, at="before", image_outputs=images)

    def values(self, states: Tensor) -> Tensor:
        """Expected rewards (B K T) from states."""
        if self.head is None:
            raise ModelError(
                "This recipe learns no value, so there is no head to read. Set objective.advantage"
                " to 'gae'."
            )
        with torch.autocast(states.device.type, enabled=False):
            found: Tensor = self.head(states.to(self.head.weight.dtype)).squeeze(-1)
        return found

    def attach_head(self) -> None:
        """Make the head a part of the model: it is optimised, saved and restored with the rest."""
        if self.head is not None:
            setattr(unwrap(self.vlm.model), _HEAD, self.head)

    def detach_head(self) -> None:
        """Take the head out again; the model is saved and hashed without it."""
        if self.head is not None:
            delattr(unwrap(self.vlm.model), _HEAD)

    def policy_parameters(self) -> dict[str, nn.Parameter]:
        """What the policy learns by, by name."""
        return {name: p for name, p in self._learning() if not _is_of_value(name)}

    def value_parameters(self) -> dict[str, nn.Parameter]:
        """What the value learns by and the policy does not, by name."""
        return {name: p for name, p in self._learning() if _is_of_value(name)}

    def _learning(self) -> Iterator[tuple[str, nn.Parameter]]:
        return (
            (name, p) for name, p in unwrap(self.vlm.model).named_parameters() if p.requires_grad
        )

    def save(self, run_dir: Path) -> Path:
        """Write the policy like any model or adapter, and the value next to it; give its folder."""
        folder = run_dir / weights_name(self._recipe.model)
        if self.head is not None:
            if self.value_apart:
                save_lora(self.vlm, run_dir / VALUE, name=VALUE)
            weights = {
                name: p.detach().cpu().contiguous() for name, p in self.head.named_parameters()
            }
            with atomic_path(run_dir / VALUE / "head.safetensors") as temporary:
                save_file(weights, temporary)
        save_weights(self.vlm, folder, adapter=POLICY if self.lora else None)
        return folder


def build_roles(recipe: PpoRecipe, *, cache: Path) -> Roles:
    """Load the base once and make every role of it.

    Args:
        recipe: The recipe.
        cache: Folder of the image features.

    Raises:
        ModelError: The model or an adapter does not load.
    """
    settings = recipe.model
    # The policy's adapter is put on under its own name, not under PEFT's.
    vlm = load_for_training(settings.model_copy(update={"adapter": ""}))
    base_hash = model_hash(vlm.model)
    reference = reference_features = None
    if settings.tuning == "lora":
        if settings.adapter:
            vlm = load_adapter(vlm, settings.adapter, name=POLICY)
            vlm = load_adapter(vlm, settings.adapter, name=REFERENCE)
        else:
            vlm = add_lora(vlm, settings.lora, name=POLICY)
        if recipe.has_value and recipe.value.kind == "adapter":
            if recipe.value.adapter:
                vlm = load_adapter(vlm, recipe.value.adapter, name=VALUE)
            else:
                vlm = add_lora(vlm, recipe.value.lora, name=VALUE)
        vlm.model.set_adapter(POLICY)  # whoever is handed the model sees the policy
        unwrap(vlm.model).requires_grad_(requires_grad=False)
        set_trainable_adapters(vlm.model, {POLICY, VALUE})
        if recipe.train.gradient_checkpointing:
            vlm.model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
    else:
        vlm = make_trainable(
            vlm, settings, gradient_checkpointing=recipe.train.gradient_checkpointing
        )
        reference = _frozen_copy(vlm)
        reference_features = FeatureCache(
            cache, reference, disk_bytes=recipe.train.feature_cache_bytes
        )
    vlm.model.eval()
    return Roles(
        vlm,
        FeatureCache(cache, vlm, disk_bytes=recipe.train.feature_cache_bytes),
        recipe,
        base_hash=base_hash,
        head=_new_head(vlm) if recipe.has_value else None,
        reference=reference,
        reference_features=reference_features,
    )


def _new_head(vlm: VisionLanguageModel) -> nn.Linear:
    """A value head that expects 0 of everything."""
    head = nn.Linear(unwrap(vlm.model).config.get_text_config().hidden_size, 1, device=vlm.device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def forbidden_tokens(vlm: VisionLanguageModel) -> tuple[int, ...]:
    """Ids that no response may hold: placeholders, and all special tokens but those that end it."""
    marked = {
        number for number, token in vlm.tokenizer.added_tokens_decoder.items() if token.special
    }
    unspoken = marked | set(vlm.tokenizer.all_special_ids) | set(vlm.placeholder_token_ids)
    return tuple(sorted(unspoken - set(vlm.end_token_ids)))


def _frozen_copy(vlm: VisionLanguageModel) -> VisionLanguageModel:
    """A copy of what learns; what is frozen is shared."""
    shared: dict[int, Any] = {id(p): p for p in vlm.model.parameters() if not p.requires_grad}
    model = copy.deepcopy(vlm.model, shared)
    model.requires_grad_(requires_grad=False)
    return replace(vlm, model=model.eval())


def _is_of_value(name: str) -> bool:
    return name.startswith(f"{_HEAD}.") or f".{VALUE}." in name
