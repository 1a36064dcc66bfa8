"""A reward model: a vision-language model with an adapter or its own weights, a head, a template.

The reward of a response is a linear function of the last hidden state at the end of its branch
(LLaVA-RLHF, arXiv 2309.14525, section 2.3), or of all the states at its own tokens. Template,
tokenizer and base are saved with it and compared at loading: what was learned under one template
means nothing under another.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import torch
from peft import PeftModel
from torch import Tensor, nn

from veridical.errors import ModelError
from veridical.models.adapters import load_adapter, use_adapter
from veridical.models.architectures.images import ImageOutputs
from veridical.models.branches import branch_hidden_states
from veridical.models.features import FeatureCache
from veridical.models.loading import Quantization, VisionLanguageModel, load_model
from veridical.rewards.card import (
    Pooling,
    RewardCard,
    check_base_weights,
    check_tokenizer,
    read_card,
    tokenizer_hash,
)
from veridical.rewards.head import pool_rewards, read_head, write_reward_model
from veridical.rewards.queries import (
    EncodedQuery,
    RewardBatch,
    RewardQuery,
    collate_queries,
    encode_queries,
)
from veridical.rewards.template import RewardTemplate

_ENCODED_AT_ONCE = 4


class RewardModel:
    """Scores responses to questions about images."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        head: nn.Linear,
        template: RewardTemplate,
        *,
        pooling: Pooling = "last",
        adapter: str | None = None,
        mean: float = 0.0,
        deviation: float = 1.0,
    ) -> None:
        """Put a reward model together; `load` and `attach` make one from disk.

        Args:
            vlm: The model, perhaps shared with a policy.
            head: From a hidden state (D) to a number.
            template: What it is shown.
            pooling: Which states the head reads.
            adapter: Name of the adapter to use for scoring; None: the model as it is.
            mean: Mean reward on held-out responses.
            deviation: Standard deviation of the reward there.

        Raises:
            ModelError: Facts after the response cannot be read by a head on its own tokens.
        """
        if template.facts_position == "after" and pooling != "last":
            raise ModelError(
                "Facts stand after the response, whose own tokens cannot see them, got pooling ="
                f' "{pooling}". Set pooling = "last", or facts_position = "before".'
            )
        self.vlm = vlm
        self.head = head
        self.template = template
        self.pooling: Pooling = pooling
        self.adapter = adapter
        self.mean = mean
        self.deviation = deviation

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        base: Path | str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        quantization: Quantization = "none",
        trust_remote_code: bool = False,
    ) -> "RewardModel":
        """Load a saved reward model with a base of its own.

        Args:
            path: What `save` wrote.
            base: Its base, if that has moved since; the other options are those of `load_model`.
            dtype: See `load_model`.
            device: See `load_model`.
            quantization: See `load_model`.
            trust_remote_code: See `load_model`.

        Raises:
            ModelError: It is not a reward model, or base, tokenizer or head do not fit it.
        """
        folder, card = Path(path), read_card(path)
        vlm = load_model(
            folder / "model" if card.weights == "model" else base or card.base,
            dtype=dtype,
            device=device,
            quantization=quantization,
            trust_remote_code=trust_remote_code,
        )
        if card.weights == "adapter":
            return cls.attach(vlm, folder)
        check_tokenizer(vlm, card)
        return cls._from_card(vlm, folder, card, adapter=None)

    @classmethod
    def attach(
        cls,
        vlm: VisionLanguageModel,
        path: Path | str,
        *,
        adapter_name: str = "reward",
        check_base: Literal["same", "any"] = "same",
    ) -> "RewardModel":
        """Put a saved reward adapter and its head on a base that is already loaded.

        What is active and trainable on it stays so. PEFT wraps a bare base: use `.vlm` afterwards.

        Args:
            vlm: The base that the reward model was trained on.
            path: What `save` wrote.
            adapter_name: What to call the adapter.
            check_base: "same" rejects a base of other weights.

        Raises:
            ModelError: It has weights of its own, or base, tokenizer or head do not fit it.
        """
        folder, card = Path(path), read_card(path)
        if card.weights == "model":
            raise ModelError(
                f"The reward model `{folder}` has weights of its own, which cannot share a base."
                ' Use RewardModel.load, or train one with tuning = "lora".'
            )
        check_tokenizer(vlm, card)
        if check_base == "same":
            check_base_weights(vlm, card)
        adapted = load_adapter(vlm, folder / "adapter", name=adapter_name)
        return cls._from_card(adapted, folder, card, adapter=adapter_name)

    @classmethod
    def _from_card(
        cls, vlm: VisionLanguageModel, folder: Path, card: RewardCard, *, adapter: str | None
    ) -> "RewardModel":
        head = read_head(vlm, folder)
        return cls(
            vlm,
            head,
            card.template,
            pooling=card.pooling,
            adapter=adapter,
            mean=card.mean,
            deviation=card.deviation,
        )

    def save(self, folder: Path | str, *, base: str, base_hash: str) -> Path:
        """Write adapter or weights, head and card.

        Args:
            folder: Where to.
            base: Folder or hub id of its base model.
            base_hash: `model_hash` of the bare base.

        Raises:
            StorageError: The disk refused.
        """
        lora = isinstance(self.vlm.model, PeftModel)
        card = RewardCard(
            base=base,
            base_hash=base_hash if lora else "",
            base_dtype=str(self.vlm.dtype),
            tokenizer_hash=tokenizer_hash(self.vlm),
            weights="adapter" if lora else "model",
            pooling=self.pooling,
            template=self.template,
            mean=self.mean,
            deviation=self.deviation,
        )
        return write_reward_model(self.vlm, self.head, card, Path(folder), adapter=self.adapter)

    def encode(
        self,
        queries: Sequence[RewardQuery],
        *,
        features: FeatureCache | None = None,
        max_tokens: int = 0,
        on_demand: bool = False,
    ) -> list[EncodedQuery]:
        """Turn queries into tokens by this model's template; see `queries.encode_queries`."""
        return encode_queries(
            self.vlm,
            self.template,
            queries,
            features=features,
            max_tokens=max_tokens,
            on_demand=on_demand,
        )

    def rewards(self, batch: RewardBatch, *, image_outputs: ImageOutputs | None = None) -> Tensor:
        """Rewards (B K) in float32, with gradients where they are wanted; 0 for missing branches.

        Args:
            batch: Prompts and branches, on the model's device.
            image_outputs: Images encoded before, instead of the pixels.
        """
        adapter = self.adapter
        with nullcontext() if adapter is None else use_adapter(self.vlm.model, adapter):
            states = branch_hidden_states(
                self.vlm.model, batch.branches, image_outputs=image_outputs
            )
        return pool_rewards(
            self.head, states, batch.branches.response_mask, batch.own_mask, pooling=self.pooling
        )

    @torch.no_grad()
    def score(
        self,
        queries: Sequence[RewardQuery],
        *,
        batch_size: int = 16,
        features: FeatureCache | None = None,
    ) -> list[Tensor]:
        """Reward every response of every query; the reward of one does not depend on the others.

        Args:
            queries: Prompts with their responses and facts.
            batch_size: Prompts at a time.
            features: Holds features of images that were seen before.

        Returns:
            For each query the rewards of its responses (K), float32, on the CPU.

        Raises:
            ModelError: A query that cannot be encoded, or a reward that is not a finite number.
        """
        found: list[Tensor] = []
        for start in range(0, len(queries), batch_size * _ENCODED_AT_ONCE):
            some = queries[start : start + batch_size * _ENCODED_AT_ONCE]
            rows = self.encode(some, features=features)
            for query, rewards in zip(
                some, self.score_rows(rows, batch_size=batch_size, features=features), strict=True
            ):
                if not bool(rewards.isfinite().all()):
                    raise ModelError(
                        f"The reward of query {query.name!r} must be a finite number, got"
                        f" {rewards.tolist()}. The model's weights are broken, or its precision is"
                        " too low: load it in float32 or bfloat16, or train it again."
                    )
                found.append(rewards)
        return found

    @torch.no_grad()
    def score_rows(
        self,
        rows: Sequence[EncodedQuery],
        *,
        batch_size: int = 16,
        features: FeatureCache | None = None,
    ) -> list[Tensor]:
        """Reward encoded queries, those of similar length together; NaN is passed on."""
        was_training = self.vlm.model.training
        self.vlm.model.eval()
        order = sorted(range(len(rows)), key=lambda number: (rows[number].tokens, number))
        found: dict[int, Tensor] = {}
        try:
            for start in range(0, len(order), batch_size):
                numbers = order[start : start + batch_size]
                batch = self.collate([rows[number] for number in numbers])
                outputs = None
                if batch.image_keys is not None and features is not None:
                    outputs = features.load(batch.image_keys)
                rewards = self.rewards(batch, image_outputs=outputs).cpu()
                found |= {
                    number: rewards[b, : len(rows[number].branches)]
                    for b, number in enumerate(numbers)
                }
        finally:
            self.vlm.model.train(was_training)
        return [found[number] for number in range(len(rows))]

    def collate(self, rows: Sequence[EncodedQuery]) -> RewardBatch:
        """Pad queries to one batch on the model's device."""
        pad_token_id = self.vlm.tokenizer.pad_token_id
        return collate_queries(rows, pad_token_id=pad_token_id).to(self.vlm.device)
