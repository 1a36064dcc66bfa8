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
from veridical.training.run.choice import hold_out
from veridical.training.run.encoded_prompts import encode_all_prompts
from veridical.training.run.loss_trainer import BranchTensors
from veridical.training.run.refusal import reject_special_tokens
from veridical.training.sft.config import ConversationSection


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
) -> tuple[list[PreparedConversation], ConversationStatistics]:
    """Turn conversations into token ids and masks.

    Args:
        vlm: The model whose template and tokenizer count.
        conversations: What to encode; image paths are absolute.
        max_tokens: Longest part after the first question.
        features: Keeps the features of the images where the model allows it, so that pixels can be
            released.
        origin: The file that the conversations come from; errors name its line.

    Raises:
        ModelError: The template changes a text, or a first question is longer than the model
            can read.
    """
    stretches = [stretch for row in conversations for stretch in _stretches(vlm, row)]
    asked_of_all = [stretch.asked for stretch in stretches]
    prompts = encode_all_prompts(vlm, asked_of_all, features, origin=origin)
    prepared: list[PreparedConversation] = []
    truncated: set[str] = set()
    for (row, asked, end), first in zip(stretches, prompts, strict=True):
        room = (
            max_tokens
            if vlm.window is None
            else min(max_tokens, vlm.window - first.prompt["input_ids"].shape[1])
        )
        if room < 1 and len(asked.turns) > 1:
            truncated.add(row.id)  # what came before it is learned from
            continue
        if room < 1:
            raise ModelError(
                f"The first question of conversation {row.id!r} fills the {vlm.window} tokens that"
                f" `{vlm.name}` reads. Shorten it or leave the row out."
            )
        encoded = encode_conversation(
            vlm,
            row.texts[:end],
            asked=len(asked.turns),
            num_images=count_shown_images(row.texts, len(row.images), first=end),
            system=row.system,
            max_tokens=room,
        )
        if encoded.truncated:
            truncated.add(row.id)
        prepared.append(
            PreparedConversation(
                row.id, first.prompt, first.image_keys, encoded.ids, encoded.learned
            )
        )
    return prepared, ConversationStatistics(
        conversations=len(conversations),
        answers=sum(len(row.turns) // 2 for row in conversations),
        without_image=sum(not row.images for row in conversations),
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
