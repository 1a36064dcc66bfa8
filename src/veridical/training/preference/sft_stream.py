"""A second stream of DPO: conversations whose answers are learnt beside the pairs.

Preference training alone loses the format of short answers (RLHF-V trains on VQAv2, too; LLaVA-RLHF
mixes instructions in). A step's conversations depend on its number and the seed alone, so a resumed
run sees what an uninterrupted one does, and the order of the pairs is as without the stream. Their
forward and backward come after those of the pairs: memory is that of the larger of the two.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

from veridical.errors import ConfigError
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.records import Conversation, Pair
from veridical.seeding import child_random
from veridical.training.conversations.data import (
    ConversationBatch,
    PreparedConversation,
    collate_conversations,
    learnt_tokens,
)
from veridical.training.conversations.preparing import (
    Place,
    PreparedRows,
    prepare_rows,
    read_rows,
)
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.run.frame import Run
from veridical.training.run.steps.trainer import collate_share, is_empty
from veridical.training.run.team.work import here
from veridical.training.run.trained_model import mixed_precision


class SftStream:
    """Conversations by optimiser step, and those that are held out."""

    def __init__(
        self,
        rows: PreparedRows,
        *,
        weight: float,
        batch_size: int,
        micro_batch_size: int,
        seed: int,
        pad_token_id: int,
    ) -> None:
        """Draw from `rows.train`, in passes that are shuffled by `seed`.

        Raises:
            ConfigError: There is no conversation to learn from.
        """
        if not rows.train:
            raise ConfigError(
                "`sft.conversations` leaves nothing to learn from: all of its pictures are held"
                " out. Give more conversations, or a lower sft.validation_fraction."
            )
        self.weight = weight
        """Weight of their cross-entropy."""
        self._rows = rows
        self._batch_size = batch_size
        self._micro_batch_size = micro_batch_size
        self._seed = seed
        self._collate = partial(collate_conversations, pad_token_id=pad_token_id)

    def batches(self, step: int) -> list[ConversationBatch]:
        """This process's micro-batches of an optimiser step, counted from 0."""
        rows, start = self._rows.train, step * self._batch_size
        order: dict[int, list[int]] = {}
        drawn = []
        for place in range(start, start + self._batch_size):
            turn, number = divmod(place, len(rows))
            if turn not in order:
                order[turn] = list(range(len(rows)))
                child_random(self._seed, "sft stream", turn).shuffle(order[turn])
            drawn.append(rows[order[turn][number]])
        return self._parts(drawn)

    def held_out(self) -> list[ConversationBatch]:
        """Its batches of conversations that are only measured on; none where none are held out."""
        return self._parts(self._rows.held_out)

    def _parts(self, rows: Sequence[PreparedConversation]) -> list[ConversationBatch]:
        size = self._micro_batch_size * here().world
        parts = [rows[at : at + size] for at in range(0, len(rows), size)]
        return [cast("ConversationBatch", collate_share(part, self._collate)) for part in parts]


def count_tokens(batches: Sequence[ConversationBatch]) -> int:
    """How many tokens of batches are learnt, or measured on."""
    return sum(learnt_tokens(batch) for batch in batches if not is_empty(batch))


class Read(NamedTuple):
    """The second stream of a run as it was read."""

    conversations: list[Conversation]
    """Its conversations."""
    place: Place
    """Where bad rows go."""


def read_stream(run: Run[PreferenceRecipe]) -> Read | None:
    """Read the conversations of a run's second stream; None where it has none.

    Raises:
        ConfigError: There are too few pictures for `sft.validation_fraction`.
        DataError: Bad rows, all of them, unless they are to be skipped.
    """
    recipe = run.recipe
    if not recipe.sft.conversations or not recipe.sft.weight:
        return None
    place = Place(run.folder, "sft_", recipe.train.seed)
    return Read(read_rows(recipe.sft, place), place)


class Prepared(NamedTuple):
    """The second stream of a run, encoded."""

    stream: SftStream
    """What steps draw from."""
    notes: dict[str, object]
    """What the manifest says about it."""
    pictureless: int
    """How many conversations show no picture."""


def prepare_stream(
    vlm: VisionLanguageModel,
    read: Read | None,
    recipe: PreferenceRecipe,
    held_out: Sequence[Pair],
    *,
    features: FeatureCache,
) -> Prepared | None:
    """Encode the second stream; pictures of held-out pairs are only measured on there, too."""
    if read is None:
        return None
    measured = {image.identity for pair in held_out for image in pair.images}

    def shows_held_out(row: Conversation) -> bool:
        return any(image.identity in measured for image in row.images)

    settings, train = recipe.sft, recipe.train
    rows = prepare_rows(
        vlm,
        read.conversations,
        settings,
        read.place,
        features=features,
        autocast=mixed_precision(vlm, bf16=train.bf16),
        never_learnt=shows_held_out,
    )
    stream = SftStream(
        rows,
        weight=settings.weight,
        batch_size=settings.batch_size or train.batch_size,
        micro_batch_size=train.micro_batch_size,
        seed=train.seed,
        pad_token_id=vlm.tokenizer.pad_token_id,
    )
    shown = sum(map(shows_held_out, read.conversations))
    notes = {
        **rows.statistics._asdict(),
        "sources": rows.sources,
        "weight": settings.weight,
        "pictures of held-out pairs": shown,
    }
    return Prepared(stream, notes, rows.statistics.without_image)
