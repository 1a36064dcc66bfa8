"""Prompts of a training set, encoded once: equal ones share their tensors.

Images go through the model's own deterministic processing, never cropped or flipped at random: a
mirrored picture would make "on the left" wrong.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from torch import Tensor

from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import EncodedPrompt, encode_separately, release_pixels
from veridical.models.prompts.rendering import render_turns
from veridical.progress import track
from veridical.records import ImageRef
from veridical.records.images import open_image

_PROMPTS_AT_ONCE = 16


class Asked(Protocol):
    """Anything that asks one question about one image."""

    @property
    def question(self) -> str:
        """What is asked."""

    @property
    def image(self) -> ImageRef:
        """The image asked about; its path is absolute, or holds from the working folder."""


A = TypeVar("A", bound=Asked)


def question_alone(row: Asked) -> Sequence[str]:
    """A conversation of one turn."""
    return [row.question]


def encode_all_prompts(
    vlm: VisionLanguageModel,
    rows: Sequence[A],
    features: FeatureCache,
    *,
    turns_of: Callable[[A], Sequence[str]] = question_alone,
) -> list[EncodedPrompt]:
    """One prompt for each row; equal questions about equal images share their tensors.

    Args:
        vlm: The model whose template and tokenizer count.
        rows: What is asked.
        features: Keeps the features of the images where the model allows it, so that pixels can be
            released.
        turns_of: The turns of user and assistant, up to the question.

    Raises:
        ModelError: A question that the model cannot take.
    """
    identities = [(tuple(turns_of(row)), row.image.sha256 or row.image.path) for row in rows]
    first: dict[tuple[tuple[str, ...], str], int] = {}
    for number, identity in enumerate(identities):
        first.setdefault(identity, number)
    encoded: dict[tuple[tuple[str, ...], str], EncodedPrompt] = {}
    unique = list(first)
    for start in track(
        range(0, len(unique), _PROMPTS_AT_ONCE), label="Encoding prompts and images"
    ):
        some = unique[start : start + _PROMPTS_AT_ONCE]
        asked = [rows[first[identity]] for identity in some]
        images = [open_image(row.image, root=Path(row.image.path).parent) for row in asked]
        texts = [render_turns(vlm, turns_of(row)) for row in asked]
        prompts = encode_separately(vlm, texts, images)
        read = [
            partial(_read_again, vlm, text, row.image)
            for text, row in zip(texts, asked, strict=True)
        ]
        encoded.update(zip(some, release_pixels(prompts, features, read=read), strict=True))
    return [encoded[identity] for identity in identities]


def _read_again(vlm: VisionLanguageModel, text: str, image: ImageRef) -> dict[str, Tensor]:
    (prompt,) = encode_separately(vlm, [text], [open_image(image, root=Path(image.path).parent)])
    return prompt
