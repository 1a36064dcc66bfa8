"""Prompts of a training set, encoded once: equal ones share their tensors.

Images go through the model's own deterministic processing, never cropped or flipped at random: a
mirrored picture would make "on the left" wrong.
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from torch import Tensor

from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import EncodedPrompt, encode_separately, release_pixels
from veridical.models.prompts.rendering import render_turns
from veridical.progress import track
from veridical.records import ImageRef
from veridical.records.image_store import open_images

_PROMPTS_AT_ONCE = 16

_Identity = tuple[tuple[str, ...], str, tuple[str, ...]]
"""Turns, system message and images."""


class AsksAbout(Protocol):
    """Anything that asks: a record (`Prompt`, `Pair`), or a part of one."""

    @property
    def turns(self) -> Sequence[str]:
        """What user and assistant say in turn, up to the question."""

    @property
    def images(self) -> Sequence[ImageRef]:
        """The images; their paths are absolute, or hold from the working folder."""

    @property
    def system(self) -> str:
        """The system message, or nothing."""


def encode_all_prompts(
    vlm: VisionLanguageModel, rows: Sequence[AsksAbout], features: FeatureCache
) -> list[EncodedPrompt]:
    """One prompt for each row; equal questions about equal images share their tensors.

    Args:
        vlm: The model whose template and tokenizer count.
        rows: What is asked.
        features: Keeps the features of the images where the model allows it, so that pixels can be
            released.

    Raises:
        ModelError: A question that the model cannot take.
    """
    identities = [
        (tuple(row.turns), row.system, tuple(ref.identity for ref in row.images)) for row in rows
    ]
    first: dict[_Identity, int] = {}
    for number, identity in enumerate(identities):
        first.setdefault(identity, number)
    encoded: dict[_Identity, EncodedPrompt] = {}
    unique = list(first)
    for start in track(
        range(0, len(unique), _PROMPTS_AT_ONCE), label="Encoding prompts and images"
    ):
        some = unique[start : start + _PROMPTS_AT_ONCE]
        asked = [rows[first[identity]] for identity in some]
        images = [open_images(row.images) for row in asked]
        texts = [
            render_turns(vlm, row.turns, num_images=len(row.images), system=row.system)
            for row in asked
        ]
        prompts = encode_separately(vlm, texts, images)
        read = [
            partial(_read_again, vlm, text, row.images)
            for text, row in zip(texts, asked, strict=True)
        ]
        encoded.update(zip(some, release_pixels(prompts, features, read=read), strict=True))
    return [encoded[identity] for identity in identities]


def _read_again(
    vlm: VisionLanguageModel, text: str, images: Sequence[ImageRef]
) -> dict[str, Tensor]:
    (prompt,) = encode_separately(vlm, [text], [open_images(images)])
    return prompt
