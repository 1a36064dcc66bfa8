"""Supervised fine-tuning on conversations: the first stage of LLaVA-RLHF, and the start of its policy.

The loss is the mean negative log-likelihood of the answers' tokens and their ends over all that a
step holds, which is what `transformers` computes from labels that are −100 elsewhere. Questions are
context. A conversation of several turns is one forward behind the first question; the frozen vision
tower's features are computed once an image.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Sampler

from veridical.feedback.conversations import read_conversations
from veridical.models.branches import BranchBatch, score_branches
from veridical.models.features import FeatureCache
from veridical.models.hashing import model_hash
from veridical.models.loading import VisionLanguageModel
from veridical.training.run.choice import ChoiceRule, default_rule
from veridical.training.run.frame import Method, Prepared, Run, RunResult, run_training
from veridical.training.run.length_order import LengthOrder
from veridical.training.run.loop import Evaluate, RunTrainer
from veridical.training.run.trained_model import (
    load_for_training,
    make_trainable,
    mixed_precision,
    precision_name,
    save_weights,
    weights_name,
)
from veridical.training.sft.config import SftRecipe
from veridical.training.sft.data import (
    PreparedConversation,
    collate_conversations,
    encode_conversations,
    learnt_tokens,
    refuse_texts,
    split_conversations,
)


def train_sft(
    recipe: SftRecipe,
    run_dir: Path | str,
    *,
    resume: bool = False,
    evaluate: Evaluate | None = None,
    choose: ChoiceRule | None = None,
) -> RunResult:
    """Fine-tune a model on conversations.

    Args:
        recipe: What to train, on what, how.
        run_dir: Where everything goes; must be new, unless `resume`.
        resume: Go on where a run in `run_dir` was interrupted; gives the same weights as without
            the interruption.
        evaluate: Measures the model on validation scenes, before training and at every evaluation.
        choose: How the checkpoint is chosen; by default least hallucination that keeps coverage
            where `evaluate` is given, least loss where conversations are held out, else the last
            one.

    Raises:
        ConfigError: `run_dir` holds a run already, or one of another recipe.
        DataError: Conversations that cannot be learnt from, all of them, each with file and line.
        ModelError: The model cannot be trained so.
        StorageError: The disk refused.
    """
    method = Method[SftRecipe](
        verb="train sft",
        seed=recipe.train.seed,
        stream="adapter",
        weights=weights_name(recipe.model),
        prepare=lambda run: _prepare(run, evaluate=evaluate, choose=choose),
    )
    return run_training(recipe, run_dir, method, resume=resume)


def _prepare(
    run: Run[SftRecipe], *, evaluate: Evaluate | None, choose: ChoiceRule | None
) -> Prepared:
    recipe, data, clock = run.recipe, run.recipe.data, run.clock
    conversations = read_conversations(
        data.conversations,
        outside=data.images_outside,
        skip_bad=data.skip_bad,
        quarantine=run.folder / "bad_rows.jsonl",
    )
    clock.lap("reading")
    vlm = load_for_training(recipe.model)
    run.check_base(recipe.model.base, model_hash(vlm.model))
    clock.lap("loading")
    conversations = refuse_texts(
        vlm, conversations, data, quarantine=run.folder / "bad_texts.jsonl"
    )
    train, validation = split_conversations(
        conversations, validation_fraction=data.validation_fraction, seed=recipe.train.seed
    )
    precision = precision_name(bf16=recipe.train.bf16)
    features = FeatureCache(run.cache(recipe.train.cache) / f"features-{precision}", vlm)
    with mixed_precision(vlm, bf16=recipe.train.bf16)():
        prepared, statistics = encode_conversations(
            vlm, [*train, *validation], max_tokens=data.max_tokens, features=features
        )
    clock.lap("encoding")
    vlm = make_trainable(
        vlm, recipe.model, gradient_checkpointing=recipe.train.gradient_checkpointing
    )
    trainer = SftTrainer(
        vlm,
        prepared[: len(train)],
        prepared[len(train) :],
        recipe=recipe,
        features=features,
        run_dir=run.folder,
        evaluate=evaluate,
        rule=choose
        or default_rule(
            scenes=evaluate is not None,
            held_out=bool(validation),
            of="conversations",
            coverage_tolerance=recipe.train.coverage_tolerance,
        ),
    )

    def finish() -> Mapping[str, object]:
        save_weights(vlm, run.weights)
        return {
            "conversations": statistics._asdict(),
            "sources": sorted({row.source for row in conversations}),
        }

    return Prepared(trainer, finish)


class SftTrainer(RunTrainer):
    """The shared loop with the likelihood of answers."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        rows: Sequence[PreparedConversation],
        held_out: Sequence[PreparedConversation],
        *,
        recipe: SftRecipe,
        features: FeatureCache,
        run_dir: Path,
        rule: ChoiceRule,
        evaluate: Evaluate | None = None,
    ) -> None:
        """Set up training on `rows`, measured on `held_out` and by `evaluate`."""
        self._rows = rows
        self._held_out = sorted(held_out, key=lambda row: row.length)
        self._evaluate_model = evaluate
        self._features = features
        self._by_length = recipe.train.by_length
        pad = vlm.tokenizer.pad_token_id
        super().__init__(
            vlm,
            rows,
            settings=recipe.train,
            run_dir=run_dir,
            measure=self._measure_held_out,
            rule=rule,
            collate=lambda some: collate_conversations(some, pad_token_id=pad),
        )

    def batch_loss(self, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood in nats of each conversation's answers (B), summed over their tokens."""
        keys = batch["image_keys"]
        image_outputs = None if keys is None else self._features.load(keys)
        branches = BranchBatch(batch["prompt"], batch["response_ids"], batch["response_mask"])
        logprobs = score_branches(self.vlm.model, branches, image_outputs=image_outputs)
        return -(logprobs * batch["learnt_mask"]).sum((1, 2)), {}

    def batch_items(self, batch: Mapping[str, Any]) -> int:
        """Learnt tokens of a batch: a step's loss is a mean over tokens, as `transformers` computes it."""
        return learnt_tokens(batch)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if not self._by_length:
            return super()._get_train_sampler(train_dataset)  # type: ignore[no-any-return, unused-ignore]
        lengths = [row.length for row in self._rows]
        return LengthOrder(
            lengths, batch_size=self.settings.micro_batch_size, seed=self.settings.seed
        )

    def _measure_held_out(self, step: int) -> dict[str, float]:
        metrics = self.mean_over(self._held_out) if self._held_out else {}
        if self._evaluate_model is not None:
            metrics |= self._evaluate_model(self.vlm, step)
        return metrics
