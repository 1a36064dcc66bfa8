"""From conversations on disk to the tensors of fine-tuning, computed once before the first step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.errors import ModelError
from veridical.models.branches import stack_responses
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.conversations import encode_conversation, find_stretches
from veridical.models.prompts.encoding import image_keys, stack_prompts
from veridical.records import Conversation, ImageRef
from veridical.records.texts import count_shown_images
from veridical.training.conversations.section import ConversationSection
from veridical.training.run.choice import hold_out
from veridical.training.run.encoded_prompts import Tried, try_all_prompts
from veridical.training.run.loss_trainer import BranchTensors
from veridical.training.run.refusal import Refuse, leave_out, refuse_first, reject_special_tokens


class PreparedConversation(NamedTuple):
    """One conversation as the training loop wants it, or a stretch of it that shows an image."""

    id: str
    """Id of the record."""
    prompt: Mapping[str, Tensor]
    """The encoded first question (or all up to the stretch's), a batch of one, not padded, with
    pixels where features are not kept."""
    image_keys: tuple[str, ...]
    """Keys of the images' features in the `FeatureCache`; empty where they are not kept, or there
    is no image."""
    ids: list[int]
    """Token ids of all that follows the prompt."""
    learnt: list[bool]
    """True at answers and their ends."""

    @property
    def length(self) -> int:
        """Tokens in all, image tokens included."""
        return int(self.prompt["input_ids"].shape[1]) + len(self.ids)


class ConversationBatch(BranchTensors):
    """Conversations as one branch each after their first questions."""

    learnt_mask: Tensor
    """True at answers and their ends (B 1 T)."""


class ConversationStatistics(NamedTuple):
    """What a set of conversations looks like; written into the run's manifest."""

    conversations: int
    """How many conversations."""
    answers: int
    """How many answers in them."""
    without_image: int
    """Conversations about no image."""
    learnt_tokens: int
    """Tokens of answers and their ends: what the loss is a mean over."""
    truncated: int
    """Conversations that were cut at `data.max_tokens`, or at the model's window."""


def reject_texts(
    vlm: VisionLanguageModel,
    conversations: Sequence[Conversation],
    data: ConversationSection,
    *,
    quarantine: Path,
) -> list[Conversation]:
    """Leave out, or refuse, conversations that hold one of this model's special tokens."""
    return reject_special_tokens(
        vlm,
        conversations,
        texts_of=lambda row: row.said,
        path=Path(data.conversations),
        record_type=Conversation,
        skip_bad=data.skip_bad,
        quarantine=quarantine,
    )


def split_conversations(
    conversations: Sequence[Conversation], *, validation_fraction: float, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
    """Split into training and validation; no image is on both sides, see `hold_out`."""
    setting = "data.validation_fraction"
    return hold_out(conversations, validation_fraction, setting=setting, seed=seed)


class _Asked(NamedTuple):
    """What precedes the answers of a stretch of a conversation."""

    id: str
    turns: tuple[str, ...]
    images: tuple[ImageRef, ...]
    system: str


class _Stretch(NamedTuple):
    """A part of a conversation that is one prompt and what follows it."""

    row: Conversation
    asked: _Asked
    end: int
    """Turns of the conversation up to the stretch's last answer."""


def encode_conversations(
    vlm: VisionLanguageModel,
    conversations: Sequence[Conversation],
    *,
    max_tokens: int,
    features: FeatureCache,
    origin: Path | None = None,
    refuse: Refuse = refuse_first,
) -> tuple[list[PreparedConversation], ConversationStatistics]:
    """Turn conversations into token ids and masks.

    Args:
        vlm: The model whose template and tokenizer count.
        conversations: What to encode; image paths are absolute.
        max_tokens: Longest part after the first question.
        features: Keeps the features of the images where the model allows it, so that pixels can be
            released.
        origin: The file that the conversations come from; errors name its line.
        refuse: What to do with conversations that the model cannot take.

    Raises:
        ModelError: The template changes a text, or a first question is longer than the model
            can read, and `refuse` does not quarantine the row.
    """
    stretches, problems = [], dict[str, str]()
    for row in conversations:
        try:
            stretches += _stretches(vlm, row)
        except ModelError as error:
            problems[row.id] = str(error)
    asked = [stretch.asked for stretch in stretches]
    tried = try_all_prompts(vlm, asked, features, origin=origin)
    prepared: list[PreparedConversation] = []
    truncated: set[str] = set()
    for stretch, first in zip(stretches, tried, strict=True):
        try:
            one = _after_question(vlm, stretch, first, max_tokens=max_tokens)
        except ModelError as error:
            problems.setdefault(stretch.row.id, str(error))
            continue
        truncated |= {stretch.row.id} if one is None or one.truncated else set()
        prepared += [one.conversation] if one is not None else []
    refuse(problems)
    prepared = [one for one in prepared if one.id not in problems]
    kept = [row for row in conversations if row.id not in problems]
    return prepared, ConversationStatistics(
        conversations=len(kept),
        answers=sum(len(row.turns) // 2 for row in kept),
        without_image=sum(not row.images for row in kept),
        learnt_tokens=sum(sum(row.learnt) for row in prepared),
        truncated=len(truncated),
    )


def _stretches(vlm: VisionLanguageModel, row: Conversation) -> list[_Stretch]:
    """Split a conversation where a later question shows an image, which a prompt must hold."""
    return [
        _Stretch(
            row,
            _Asked(
                row.id,
                row.texts[:asked],
                row.images[: count_shown_images(row.texts, len(row.images), first=asked)],
                row.system,
            ),
            end,
        )
        for asked, end in find_stretches(
            vlm, row.texts, num_images=len(row.images), system=row.system
        )
    ]


class _Encoded(NamedTuple):
    conversation: PreparedConversation
    truncated: bool


def _after_question(
    vlm: VisionLanguageModel, stretch: _Stretch, first: Tried, *, max_tokens: int
) -> _Encoded | None:
    """A stretch after its prompt, cut where the model's window ends; None: it begins behind it."""
    row, asked, end = stretch
    later = len(asked.turns) > 1  # what came before it is learned from
    if first.prompt is None:
        if later:
            return None
        raise ModelError(first.problem)
    prompt, image_keys = first.prompt
    room = max_tokens
    if vlm.window is not None:
        room = min(max_tokens, vlm.window - prompt["input_ids"].shape[1])
    if room < 1 and later:
        return None
    if room < 1:
        raise ModelError(
            f"The first question fills the {vlm.window} tokens that `{vlm.name}` reads. Shorten"
            " it or leave the row out."
        )
    encoded = encode_conversation(
        vlm,
        row.texts[:end],
        asked=len(asked.turns),
        num_images=count_shown_images(row.texts, len(row.images), first=end),
        system=row.system,
        max_tokens=room,
    )
    made = PreparedConversation(row.id, prompt, image_keys, encoded.ids, encoded.learned)
    return _Encoded(made, encoded.truncated)


def refuser(
    conversations: Sequence[Conversation], data: ConversationSection, *, quarantine: Path
) -> Refuse:
    """What to do with conversations that the model cannot take: as with any other bad row."""

    def refuse(problems: Mapping[str, str]) -> None:
        leave_out(
            conversations,
            problems,
            path=Path(data.conversations),
            record_type=Conversation,
            skip_bad=data.skip_bad,
            quarantine=quarantine,
        )

    return refuse


def collate_conversations(
    rows: Sequence[PreparedConversation], *, pad_token_id: int
) -> ConversationBatch:
    """Make one batch.

    Args:
        rows: The conversations.
        pad_token_id: Padding of the prompts.

    Returns:
        The batch; `image_keys` are those of the rows that have an image, None where features are
        not kept or no row has one.
    """
    response_ids, response_mask = stack_responses([[row.ids] for row in rows])
    learnt = torch.zeros_like(response_mask)
    for b, row in enumerate(rows):
        learnt[b, 0, : len(row.learnt)] = torch.tensor(row.learnt, dtype=torch.bool)
    return {
        "prompt": stack_prompts([row.prompt for row in rows], pad_token_id=pad_token_id),
        "image_keys": image_keys(rows),
        "response_ids": response_ids,
        "response_mask": response_mask,
        "learnt_mask": learnt,
    }


def learnt_tokens(batch: ConversationBatch) -> int:
    """How many tokens of a batch are learnt."""
    return int(batch["learnt_mask"].sum())
