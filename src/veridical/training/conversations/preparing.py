"""A file of conversations → rows that are learnt from, rows that are held out, and the likelihood.

Fine-tuning and the second stream of DPO read conversations alike: texts that the model cannot take
are refused or quarantined, no picture is learnt from and measured on, parts of a mix are weighed.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from veridical.feedback.record_files import read_conversations
from veridical.models.branches import score_branches
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.records import Conversation
from veridical.training.conversations.data import (
    ConversationBatch,
    ConversationStatistics,
    PreparedConversation,
    encode_conversations,
    refuser,
    reject_texts,
    split_conversations,
)
from veridical.training.conversations.section import ConversationSection
from veridical.training.conversations.weights import weigh_conversations
from veridical.training.run.steps.trainer import branches_of


class Place(NamedTuple):
    """Where rows that are left out go, and what the seed is."""

    folder: Path
    """The run directory."""
    prefix: str
    """What names of files of bad rows begin with."""
    seed: int
    """Root seed of the split and of the weighing."""


class PreparedRows(NamedTuple):
    """Conversations as a training loop wants them."""

    train: list[PreparedConversation]
    """Rows that are learnt from."""
    held_out: list[PreparedConversation]
    """Rows that are only measured on, by length."""
    statistics: ConversationStatistics
    """What they look like."""
    sources: list[str]
    """Who wrote the answers."""


def read_rows(data: ConversationSection, place: Place) -> list[Conversation]:
    """Read the conversations; too few pictures for the split show before a model is loaded.

    Raises:
        ConfigError: There are too few pictures for `validation_fraction`.
        DataError: Bad rows, all of them, unless they are to be skipped.
    """
    rows = read_conversations(
        data.conversations,
        outside=data.images_outside,
        skip_bad=data.skip_bad,
        quarantine=place.folder / f"{place.prefix}bad_rows.jsonl",
    )
    _split(rows, data, place)
    return rows


def prepare_rows(
    vlm: VisionLanguageModel,
    rows: Sequence[Conversation],
    data: ConversationSection,
    place: Place,
    *,
    features: FeatureCache,
    autocast: Callable[[], AbstractContextManager[object]],
    never_learnt: Callable[[Conversation], bool] = lambda _: False,
) -> PreparedRows:
    """Check, split, weigh and encode conversations for a model.

    Args:
        vlm: The model.
        rows: What `read_rows` gave.
        data: The settings of the file.
        place: Where rows that are left out go.
        features: Keeps the features of the images.
        autocast: Makes the context of mixed precision.
        never_learnt: Says of a row that it is only measured on.

    Raises:
        DataError: Texts that the model cannot take, unless bad rows are to be skipped.
    """
    rows = reject_texts(vlm, rows, data, quarantine=place.folder / f"{place.prefix}bad_texts.jsonl")
    train, validation = _split(rows, data, place)
    measured = [*validation, *filter(never_learnt, train)]
    held_out = {row.id for row in measured}
    learnt = [row for row in train if row.id not in held_out]
    learnt = weigh_conversations(learnt, data.weights, seed=place.seed)
    with autocast():
        prepared, statistics = encode_conversations(
            vlm,
            [*learnt, *measured],
            max_tokens=data.max_tokens,
            features=features,
            origin=Path(data.conversations),
            refuse=refuser(
                rows, data, quarantine=place.folder / f"{place.prefix}bad_prompts.jsonl"
            ),
        )
    return PreparedRows(
        [row for row in prepared if row.id not in held_out],
        sorted((row for row in prepared if row.id in held_out), key=lambda row: row.length),
        statistics,
        sorted({row.source for row in rows}),
    )


def answer_losses(
    vlm: VisionLanguageModel, batch: ConversationBatch, features: FeatureCache
) -> Tensor:
    """Negative log-likelihood (nats) of each conversation's answers (B), summed over tokens."""
    keys = batch["image_keys"]
    image_outputs = None if keys is None else features.load(keys)
    logprobs = score_branches(vlm.model, branches_of(batch), image_outputs=image_outputs)
    return -(logprobs * batch["learnt_mask"]).sum((1, 2))


def _split(
    rows: Sequence[Conversation], data: ConversationSection, place: Place
) -> tuple[list[Conversation], list[Conversation]]:
    share = data.validation_fraction
    return split_conversations(rows, validation_fraction=share, seed=place.seed)
