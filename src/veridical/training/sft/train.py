"""Supervised fine-tuning on conversations: LLaVA-RLHF's first stage and its policy's start.

The loss is the mean negative log-likelihood of the answers' tokens and their ends over all that a
step holds, which is what `transformers` computes from labels that are −100 elsewhere. Questions are
context. A conversation of several turns is one forward after the first question; the frozen vision
tower's features are computed once per image.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import final

from veridical.models.features import FeatureCache
from veridical.models.hashing import model_hash
from veridical.models.loading import VisionLanguageModel
from veridical.records import Source
from veridical.training.conversations.data import (
    ConversationBatch,
    PreparedConversation,
    collate_conversations,
    learnt_tokens,
)
from veridical.training.conversations.preparing import (
    Place,
    answer_losses,
    prepare_rows,
    read_rows,
)
from veridical.training.run.choice import ChoiceRule, default_rule
from veridical.training.run.frame import FEATURES, Method, Prepared, Run, RunResult, run_training
from veridical.training.run.in_memory import Examples, place_in_memory
from veridical.training.run.loop import Course, Evaluate
from veridical.training.run.loss_trainer import LossTrainer, RowLosses, Rows
from veridical.training.run.team.sharding import check_pictures
from veridical.training.run.trained_model import (
    load_for_training,
    make_trainable,
    mixed_precision,
    precision_name,
    save_weights,
    weights_name,
)
from veridical.training.sft.config import SftRecipe


def train_sft(
    recipe: SftRecipe,
    run_dir: Path | str,
    *,
    data: Examples | None = None,
    judged_by: Source = "human",
    resume: bool = False,
    evaluate: Evaluate | None = None,
    choose: ChoiceRule | None = None,
) -> RunResult:
    """Fine-tune a model on conversations.

    Args:
        recipe: What to train, on what, how.
        run_dir: Where everything goes; must be new, unless `resume`.
        data: What is learnt from, in place of `recipe.data.conversations`: the rows of a
            `datasets.Dataset` or of any other iterable, with TRL's fields `messages` (or `prompt`
            and `completion`) and `image` or `images`; or `Conversation` records.
            Images are PIL images, bytes or paths. It is written into `run_dir/data`.
        judged_by: Who wrote the answers, where `data` does not say so.
        resume: Resume the run in `run_dir`; gives the same weights as without the interruption.
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
        data_field="conversations",
        place=place_in_memory(
            data, field="conversations", file="conversations.jsonl", judged_by=judged_by
        ),
    )
    return run_training(recipe, run_dir, method, resume=resume)


def _prepare(
    run: Run[SftRecipe], *, evaluate: Evaluate | None, choose: ChoiceRule | None
) -> Prepared:
    recipe, data, clock = run.recipe, run.recipe.data, run.clock
    place = Place(run.folder, "", recipe.train.seed)
    conversations = read_rows(data, place)
    clock.lap("reading")
    vlm = load_for_training(recipe.model)
    run.check_base(recipe.model.base, model_hash(vlm.model))
    clock.lap("loading")
    precision = precision_name(bf16=recipe.train.bf16)
    features = FeatureCache(
        run.cache(recipe.train.cache) / f"{FEATURES}-{precision}",
        vlm,
        disk_bytes=recipe.train.feature_cache_bytes,
    )
    prepared = prepare_rows(
        vlm,
        conversations,
        data,
        place,
        features=features,
        autocast=mixed_precision(vlm, bf16=recipe.train.bf16),
    )
    clock.lap("encoding")
    vlm = make_trainable(
        vlm, recipe.model, gradient_checkpointing=recipe.train.gradient_checkpointing
    )
    check_pictures(vlm.model, pictureless=prepared.statistics.without_image)
    rows = Rows(
        prepared.train,
        prepared.held_out,
        partial(collate_conversations, pad_token_id=vlm.tokenizer.pad_token_id),
        length=lambda row: row.length,
        by_length=recipe.train.by_length,
        features=features,
    )
    rule = choose or default_rule(
        scenes=evaluate is not None,
        held_out=bool(prepared.held_out),
        of="conversations",
        coverage_tolerance=recipe.train.coverage_tolerance,
    )
    trainer = SftTrainer(
        vlm,
        rows,
        Course(recipe.train, run.folder, rule),
        features=features,
        evaluate=evaluate,
    )

    def finish() -> Mapping[str, object]:
        save_weights(vlm, run.weights)
        return {
            "conversations": prepared.statistics._asdict(),
            "sources": prepared.sources,
        }

    return Prepared(trainer, finish)


@final
class SftTrainer(LossTrainer[PreparedConversation, ConversationBatch]):
    """The shared loop with the likelihood of answers."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        rows: Rows[PreparedConversation],
        course: Course,
        *,
        features: FeatureCache,
        evaluate: Evaluate | None = None,
    ) -> None:
        """Set up training; images are read from `features` where they are kept."""
        self._features = features
        super().__init__(vlm, rows, course, evaluate=evaluate)

    def batch_loss(self, batch: ConversationBatch) -> RowLosses:
        """Negative log-likelihood (nats) of each conversation's answers, summed over tokens."""
        return RowLosses(answer_losses(self.vlm, batch, self._features), {})

    def batch_items(self, batch: ConversationBatch) -> int:
        """Learnt tokens of a batch: a step's loss is their mean, as `transformers` computes it."""
        return learnt_tokens(batch)
