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
from veridical.models.prompts.conversations import encode_conversation
from veridical.models.prompts.encoding import EncodedPrompt, encode_prompts, stack_prompts
from veridical.records import Conversation, ImageRef
from veridical.training.run.choice import hold_out
from veridical.training.run.encoded_prompts import encode_all_prompts
from veridical.training.run.loss_trainer import BranchTensors
from veridical.training.run.refusal import reject_special_tokens
from veridical.training.sft.config import ConversationSection


class PreparedConversation(NamedTuple):
    """One conversation as the training loop wants it."""

    id: str
    """Id of the record."""
    prompt: Mapping[str, Tensor]
    """The encoded first question, a batch of one, not padded, with its image's pixels where
    features are not kept."""
    image_key: str | None
    """Key of the image's features in the `FeatureCache`; None where they are not kept, or there is
    no image."""
    ids: list[int]
    """Token ids of all that follows the first question."""
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
        texts_of=lambda row: [turn.text for turn in row.turns],
        path=Path(data.conversations),
        record_type=Conversation,
        skip_bad=data.skip_bad,
        quarantine=quarantine,
    )


class _Keyed(NamedTuple):
    """A conversation with what it is split by: its image, or itself where there is none."""

    image: ImageRef
    conversation: Conversation


def split_conversations(
    conversations: Sequence[Conversation], *, validation_fraction: float, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
    """Split into training and validation; no image is on both sides, see `hold_out`."""
    keyed = [
        _Keyed(row.image or ImageRef(path=f"no image: {row.id}"), row) for row in conversations
    ]
    parts = hold_out(keyed, validation_fraction, setting="data.validation_fraction", seed=seed)
    train, validation = ([item.conversation for item in part] for part in parts)
    return train, validation


class _FirstQuestion(NamedTuple):
    question: str
    image: ImageRef


def encode_conversations(
    vlm: VisionLanguageModel,
    conversations: Sequence[Conversation],
    *,
    max_tokens: int,
    features: FeatureCache,
) -> tuple[list[PreparedConversation], ConversationStatistics]:
    """Turn conversations into token ids and masks.

    Args:
        vlm: The model whose template and tokenizer count.
        conversations: What to encode; image paths are absolute.
        max_tokens: Longest part after the first question.
        features: Keeps the features of the images where the model allows it, so that pixels can be
            released.

    Raises:
        ModelError: The template changes a text, or a first question is longer than the model
            can read.
    """
    asked = [
        _FirstQuestion(row.turns[0].text, row.image)
        for row in conversations
        if row.image is not None
    ]
    with_image = iter(encode_all_prompts(vlm, asked, features) if asked else [])
    prepared, truncated = [], 0
    for row in conversations:
        texts = [turn.text for turn in row.turns]
        first = (
            EncodedPrompt(encode_prompts(vlm, [texts[0]], [None]), None)
            if row.image is None
            else next(with_image)
        )
        room = (
            max_tokens
            if vlm.window is None
            else min(max_tokens, vlm.window - first.prompt["input_ids"].shape[1])
        )
        if room < 1:
            raise ModelError(
                f"The first question of conversation {row.id!r} fills the {vlm.window} tokens that"
                f" `{vlm.name}` reads. Shorten it or leave the row out."
            )
        encoded = encode_conversation(vlm, texts, max_tokens=room)
        truncated += encoded.truncated
        prepared.append(
            PreparedConversation(
                row.id, first.prompt, first.image_key, encoded.ids, encoded.learned
            )
        )
    return prepared, ConversationStatistics(
        conversations=len(conversations),
        answers=sum(len(row.turns) // 2 for row in conversations),
        without_image=len(conversations) - len(asked),
        learnt_tokens=sum(sum(row.learnt) for row in prepared),
        truncated=truncated,
    )


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
    keys = [row.image_key for row in rows if row.image_key is not None]
    return {
        "prompt": stack_prompts([row.prompt for row in rows], pad_token_id=pad_token_id),
        "image_keys": keys or None,
        "response_ids": response_ids,
        "response_mask": response_mask,
        "learnt_mask": learnt,
    }


def learnt_tokens(batch: ConversationBatch) -> int:
    """How many tokens of a batch are learnt."""
    return int(batch["learnt_mask"].sum())
