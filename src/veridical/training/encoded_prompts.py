"""Prompts of a training set, encoded once: equal ones share their tensors, pixels go where their features are kept.

Images go through the model's own deterministic processing, never cropped or flipped at random: a mirrored picture would
make "on the left" wrong.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor

from veridical.formats.opening import open_image
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompting import encode_prompts
from veridical.progress import track
from veridical.records import ImageRef

_PROMPTS_AT_ONCE = 16


class Asked(Protocol):
    """Anything that asks one question about one image."""

    @property
    def question(self) -> str:
        """What is asked."""

    @property
    def image(self) -> ImageRef:
        """The image asked about; its path is absolute, or holds from the working folder."""


class EncodedPrompt(NamedTuple):
    """One prompt as tensors."""

    prompt: dict[str, Tensor]
    """A batch of one, not padded. It holds the image's pixels only where the image's features are not kept."""
    image_key: str | None
    """Key of the image's features in the `FeatureCache`; None where they are not kept."""


def encode_all_prompts(vlm: VisionLanguageModel, rows: Sequence[Asked], features: FeatureCache) -> list[EncodedPrompt]:
    """One prompt for each row; equal questions about equal images share their tensors.

    Args:
        vlm: The model whose template and tokenizer count.
        rows: What is asked.
        features: Keeps the features of the images where the model allows it, so that pixels can be let go.

    Raises:
        ModelError: A question that the model cannot take.
    """
    identities = [(row.question, row.image.sha256 or row.image.path) for row in rows]
    first: dict[tuple[str, str], int] = {}
    for number, identity in enumerate(identities):
        first.setdefault(identity, number)
    encoded: dict[tuple[str, str], EncodedPrompt] = {}
    unique = list(first)
    for start in track(range(0, len(unique), _PROMPTS_AT_ONCE), label="Encoding prompts and images"):
        some = unique[start : start + _PROMPTS_AT_ONCE]
        asked = [rows[first[identity]] for identity in some]
        images = [open_image(row.image, root=Path(row.image.path).parent) for row in asked]
        prompts = encode_prompts_apart(vlm, [row.question for row in asked], images)
        encoded.update(zip(some, _let_go_of_pixels(prompts, features), strict=True))
    return [encoded[identity] for identity in identities]


def _let_go_of_pixels(prompts: Sequence[dict[str, Tensor]], features: FeatureCache) -> list[EncodedPrompt]:
    if features.why_not() is not None:
        return [EncodedPrompt(prompt, None) for prompt in prompts]
    keys = features.remember({"pixel_values": torch.cat([prompt["pixel_values"] for prompt in prompts])})
    return [
        EncodedPrompt({name: value for name, value in prompt.items() if name != "pixel_values"}, key)
        for prompt, key in zip(prompts, keys, strict=True)
    ]


def encode_prompts_apart(
    vlm: VisionLanguageModel, questions: Sequence[str], images: Sequence[Image.Image]
) -> list[dict[str, Tensor]]:
    """Encode prompts together and take them apart again, where the tensors say what belongs to whom."""
    together = encode_prompts(vlm, questions, images)
    count = len(questions)
    if any(value.shape[0] != count for value in together.values()):
        return [encode_prompts(vlm, [question], [image]) for question, image in zip(questions, images, strict=True)]
    shape = together["input_ids"].shape
    apart = []
    for b in range(count):
        kept = together["attention_mask"][b].bool()
        apart.append(
            {
                key: value[b : b + 1, kept] if value.shape == shape else value[b : b + 1].clone()
                for key, value in together.items()
            }
        )
    return apart


def stack_prompts(prompts: Sequence[Mapping[str, Tensor]], *, pad_token_id: int) -> dict[str, Tensor]:
    """Pad encoded prompts on the left and put them together; the inverse of taking a batch apart.

    Args:
        prompts: Encoded prompts, batches of one. What only some of them have (pixels beside prompts without an image)
            is put together from those.
        pad_token_id: What stands in `input_ids` where nothing is.
    """
    width = max(prompt["input_ids"].shape[1] for prompt in prompts)
    stacked = {}
    for key in dict.fromkeys(key for prompt in prompts for key in prompt):
        having = [prompt for prompt in prompts if key in prompt]
        values = [prompt[key] for prompt in having]
        if values[0].shape == having[0]["input_ids"].shape:
            filler = pad_token_id if key == "input_ids" else 0
            values = [torch.nn.functional.pad(v, (width - v.shape[1], 0), value=filler) for v in values]
        stacked[key] = torch.cat(values)
    return stacked
