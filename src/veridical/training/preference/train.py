"""Preference training on corrections, with everything that is frozen computed once.

The objective is a section of the recipe, see `veridical.training.preference.objectives`. Chosen and
rejected response branch off one encoded prompt; the frozen reference's log-probabilities and
the frozen vision tower's features are read from a cache; corrected tokens are found before the
first step. What is left of a step is one forward and backward.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from veridical.feedback.registry import find_judgements
from veridical.models.branches import score_branches
from veridical.models.features import FeatureCache
from veridical.models.hashing import model_hash
from veridical.models.loading import VisionLanguageModel
from veridical.records import Pair, Source
from veridical.training.conversations.data import ConversationBatch
from veridical.training.conversations.preparing import answer_losses
from veridical.training.preference.batches import PreferenceBatch, ScoredPair, collate
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.data import encode_pairs, read_pairs, refuser, reject_texts
from veridical.training.preference.losses import preference_losses
from veridical.training.preference.objectives.protocol import Objective
from veridical.training.preference.references import reference_logprobs
from veridical.training.preference.sft_stream import (
    SftStream,
    count_tokens,
    prepare_stream,
    read_stream,
)
from veridical.training.run.choice import ChoiceRule, default_rule, hold_out
from veridical.training.run.frame import FEATURES, Method, Prepared, Run, RunResult, run_training
from veridical.training.run.in_memory import Examples, place_in_memory
from veridical.training.run.loop import Course, Evaluate, TrainerInputs
from veridical.training.run.loss_trainer import LossTrainer, RowLosses, Rows
from veridical.training.run.steps.trainer import branches_of, is_empty
from veridical.training.run.team.sharding import check_pictures
from veridical.training.run.team.work import here, total
from veridical.training.run.trained_model import (
    load_for_training,
    make_trainable,
    mixed_precision,
    precision_name,
    save_weights,
    weights_name,
)


def train_dpo(
    recipe: PreferenceRecipe,
    run_dir: Path | str,
    *,
    data: Examples | None = None,
    judged_by: Source = "human",
    resume: bool = False,
    evaluate: Evaluate | None = None,
    choose: ChoiceRule | None = None,
) -> RunResult:
    """Train a model on corrections.

    Args:
        recipe: What to train, on what, how.
        run_dir: Where everything goes; must be new, unless `resume`.
        data: What is learnt from, in place of `recipe.data.corrections`: the rows of a
            `datasets.Dataset` or of any other iterable, with TRL's fields `prompt`, `chosen`,
            `rejected` and `image` or `images`; or `Correction` records.
            Images are PIL images, bytes or paths. It is written into `run_dir/data`.
        judged_by: Who preferred, where `data` does not say so.
        resume: Resume the run in `run_dir`; gives the same weights as without the interruption.
        evaluate: Measures the model on validation scenes, before training and at every evaluation.
        choose: How the checkpoint is chosen; by default least hallucination that keeps coverage
            where `evaluate` is given, least loss where pairs are held out, else the last one.

    Raises:
        ConfigError: `run_dir` holds a run already, or one of another recipe.
        DataError: Corrections that cannot be learnt from, all of them, each with file and line.
        ModelError: The model cannot be trained so.
        StorageError: The disk refused.
    """
    method = Method[PreferenceRecipe](
        verb="train dpo",
        seed=recipe.train.seed,
        stream="adapter",
        weights=weights_name(recipe.model),
        prepare=lambda run: _prepare(run, evaluate=evaluate, choose=choose),
        data_field="corrections",
        place=place_in_memory(
            data, field="corrections", file="corrections.jsonl", judged_by=judged_by
        ),
    )
    return run_training(recipe, run_dir, method, resume=resume)


def _prepare(
    run: Run[PreferenceRecipe], *, evaluate: Evaluate | None, choose: ChoiceRule | None
) -> Prepared:
    recipe, clock = run.recipe, run.clock
    pairs = read_pairs(recipe.data, quarantine=run.folder / "bad_rows.jsonl")
    _split(pairs, recipe)  # too few images show before the model is loaded
    conversations = read_stream(run)
    clock.lap("reading")
    vlm = load_for_training(recipe.model)
    fingerprint = model_hash(vlm.model)
    run.check_base(recipe.model.base, fingerprint)
    clock.lap("loading")
    pairs = reject_texts(vlm, pairs, recipe.data, quarantine=run.folder / "bad_texts.jsonl")
    train, validation = _split(pairs, recipe)
    cache = run.cache(recipe.train.cache)
    precision = precision_name(bf16=recipe.train.bf16)
    autocast = mixed_precision(vlm, bf16=recipe.train.bf16)
    # The adapter's wrapper does not touch the tower.
    features = FeatureCache(
        cache / f"{FEATURES}-{precision}", vlm, disk_bytes=recipe.train.feature_cache_bytes
    )
    with autocast():
        prepared, statistics = encode_pairs(
            vlm,
            [*train, *validation],
            recipe.objective,
            max_response_tokens=recipe.data.max_response_tokens,
            features=features,
            origin=find_judgements(recipe.data.corrections)[1],
            refuse=refuser(pairs, recipe.data, quarantine=run.folder / "bad_prompts.jsonl"),
        )
    second = prepare_stream(vlm, conversations, recipe, validation, features=features)
    clock.lap("encoding")
    references = reference_logprobs(
        vlm,
        prepared,
        cache / "references",
        batch_size=recipe.train.micro_batch_size,
        features=features,
        autocast=autocast,
        autocast_name=precision,
        fingerprint=fingerprint,
    )
    clock.lap("reference")
    vlm = make_trainable(
        vlm, recipe.model, gradient_checkpointing=recipe.train.gradient_checkpointing
    )
    pictureless = sum(not pair.images for pair in pairs)
    if second is not None:
        pictureless += second.pictureless
    check_pictures(vlm.model, pictureless=pictureless)
    scored = list(zip(prepared, references, strict=True))
    held_out = {pair.id for pair in validation}
    rows = Rows(
        [row for row in scored if row[0].id not in held_out],
        [row for row in scored if row[0].id in held_out],
        partial(collate, pad_token_id=vlm.tokenizer.pad_token_id),
        length=lambda row: row[0].tokens,
        features=features,
    )
    rule = choose or default_rule(
        scenes=evaluate is not None,
        held_out=bool(rows.held_out),
        of="pairs",
        coverage_tolerance=recipe.train.coverage_tolerance,
    )
    trainer = PreferenceTrainer(
        vlm,
        rows,
        Course(recipe.train, run.folder, rule),
        objective=recipe.objective,
        features=features,
        stream=None if second is None else second.stream,
        evaluate=evaluate,
    )

    def finish() -> Mapping[str, object]:
        save_weights(vlm, run.weights)
        return {
            "pairs": statistics._asdict(),
            "sources": sorted({pair.source for pair in pairs}),
            **({} if second is None else {"sft": second.notes}),
        }

    return Prepared(trainer, finish)


@final
class PreferenceTrainer(LossTrainer[ScoredPair, PreferenceBatch]):
    """The shared loop with a preference objective over two branches, and SFT beside it."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        rows: Rows[ScoredPair],
        course: Course,
        *,
        objective: Objective,
        features: FeatureCache,
        stream: SftStream | None = None,
        evaluate: Evaluate | None = None,
    ) -> None:
        """Set up training; images are read from `features` where they are kept."""
        self._objective = objective
        self._features = features
        self._stream = stream
        self._conversations: list[ConversationBatch] = []
        self._left = 0
        super().__init__(vlm, rows, course, evaluate=evaluate)

    def batch_loss(self, batch: PreferenceBatch) -> RowLosses:
        """Loss of each pair, with its reward margin, accuracy and log-probabilities."""
        keys = batch["image_keys"]
        image_outputs = None if keys is None else self._features.load(keys)
        branches = branches_of(batch)
        policy = score_branches(self.vlm.model, branches, image_outputs=image_outputs)
        return preference_losses(
            policy,
            batch["reference"],
            batch["response_mask"],
            batch["changed_mask"],
            self._objective,
        )

    def make_batches(self, loaded: list[TrainerInputs]) -> list[PreferenceBatch]:
        """The step's batches of pairs; conversations are learnt with the last of them."""
        batches = super().make_batches(loaded)
        if self._stream is not None:
            self._conversations = self._stream.batches(self.state.global_step)
        self._left = len(batches)
        return batches

    def learn(self, model: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Loss and gradients of a batch of pairs, then, once per step, of the conversations."""
        self._left -= 1
        if self._stream is None or self._left:
            return super().learn(model, *args, **kwargs)
        with self.more_to_come():
            loss = super().learn(model, *args, **kwargs)
        mine = count_tokens(self._conversations)
        tokens = total(mine)
        summed = torch.zeros_like(loss)
        for number, batch in enumerate(self._conversations, start=1):
            losses = self.inside(model, partial(self._learnt_answers, batch))
            counted = losses.sum() * (not is_empty(batch))
            share = self._stream.weight * counted / tokens
            with self.more_to_come(active=number < len(self._conversations)):
                self.backward(share * here().world)
            summed += counted.detach()
        self.note(mine, {"sft_loss": summed})
        return loss + self._stream.weight * summed / tokens

    def measure_held_out(self, step: int) -> dict[str, float]:
        """The metrics of held-out pairs, and the cross-entropy of held-out conversations."""
        metrics = super().measure_held_out(step)
        batches = [] if self._stream is None else self._stream.held_out()
        if batches:
            summed = 0.0
            for batch in batches:
                losses = self.inside(self.vlm.model, partial(self._answer_losses, batch))
                summed += 0.0 if is_empty(batch) else float(losses.sum())
            metrics["sft_loss"] = total(summed) / total(count_tokens(batches))
        return metrics

    def _learnt_answers(self, batch: ConversationBatch) -> Tensor:
        return self.for_all_weights(self._answer_losses(batch))

    def _answer_losses(self, batch: ConversationBatch) -> Tensor:
        moved = cast("ConversationBatch", self._prepare_inputs(batch))
        with self.autocast():
            return answer_losses(self.vlm, moved, self._features)


def _split(pairs: Sequence[Pair], recipe: PreferenceRecipe) -> tuple[list[Pair], list[Pair]]:
    share = recipe.data.validation_fraction
    return hold_out(pairs, share, setting="data.validation_fraction", seed=recipe.train.seed)
