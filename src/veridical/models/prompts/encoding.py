"""Rendered prompts and their images → tensors: encoded one by one, stacked in any company.

Processors give images in many layouts (one row per image, per tile or per patch, padded to the
largest of a batch or simply concatenated), and none says which rows belong to which prompt. So
every prompt is encoded alone; a batch is then the prompts' tensors padded and concatenated, which
is what a processor does with several prompts at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from typing import Literal, NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from veridical.errors import ModelError
from veridical.models.architectures.images import join_along
from veridical.models.architectures.table import architecture_of
from veridical.models.feature_store.kinds import without_images
from veridical.models.features import FeatureCache, Read
from veridical.models.loading import VisionLanguageModel, unwrap
from veridical.models.processors import READING, first_line
from veridical.models.prompts.fitting import check_prompt
from veridical.models.prompts.on_demand import PromptOnDemand, large_bytes
from veridical.models.prompts.pictures import as_shown
from veridical.models.prompts.rendering import History, reject_placeholders, render_turns
from veridical.records.texts import IMAGE_MARKER

_TYPES = "mm_token_type_ids"
Images = Image.Image | Sequence[Image.Image] | None
"""What a prompt is about: an image, several in order, or none."""

PromptTensors = dict[str, Tensor]
"""B prompts: `input_ids` (B L), `attention_mask` (B L), pixels and what else the model takes."""


class EncodedPrompt(NamedTuple):
    """One prompt as tensors."""

    prompt: Mapping[str, Tensor]
    """A batch of one, not padded. Pixels are left out if the images' features are kept, and read
    again on demand if there are many."""
    image_keys: tuple[str, ...] = ()
    """Keys of its images' features in the `FeatureCache`; empty if they are not kept, or there is
    no image."""


class HasImageKeys(Protocol):
    """Anything whose images' features may be kept."""

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Keys of its images' features; empty if they are not kept."""


def image_keys(rows: Iterable[HasImageKeys]) -> list[str] | None:
    """Keys of the features of a batch's images, in their order; None if they are not kept."""
    return [key for row in rows for key in row.image_keys] or None


def encode_prompts(
    vlm: VisionLanguageModel,
    questions: Sequence[str],
    images: Sequence[Images],
    *,
    histories: Sequence[History] | None = None,
    systems: Sequence[str] | None = None,
) -> PromptTensors:
    """Lay out one prompt per question, padded on the left so that all end together.

    Args:
        vlm: The model to lay them out for.
        questions: B questions, without template and placeholders.
        images: The image or images of each question; None where it is asked without one. They stand
            before the first turn, or at the markers of user turns (see `records.prompts`).
        histories: The turns before each question.
        systems: System messages; empty ones take that of the model's settings.

    Returns:
        Every tensor that the processor gives, on the CPU.

    Raises:
        ModelError: A question holds a placeholder, a prompt's placeholders are not as many as its
            images' features, or a prompt is longer than the model can read. Prompts are never cut.
    """
    histories = histories if histories is not None else [()] * len(questions)
    if not len(questions) == len(images) == len(histories) or not questions:
        raise ModelError(
            f"One image per question is needed, got {len(questions)} questions and {len(images)}"
            " images."
        )
    systems = systems if systems is not None else [""] * len(questions)
    bare = [question.replace(IMAGE_MARKER, "") for question in questions]
    reject_placeholders(vlm, bare, what="Question")
    texts = [
        render_turns(
            vlm,
            [*(text for turn in history for text in turn), question],
            num_images=len(_as_list(shown)),
            system=system,
        )
        for question, history, shown, system in zip(
            questions, histories, images, systems, strict=True
        )
    ]
    return encode_rendered(vlm, texts, images)


def encode_rendered(
    vlm: VisionLanguageModel, texts: Sequence[str], images: Sequence[Images]
) -> PromptTensors:
    """Turn rendered prompts (B) and their images into one batch; see `encode_prompts`."""
    return stack_prompts(
        encode_separately(vlm, texts, images),
        pad_token_id=vlm.tokenizer.pad_token_id,
        side=vlm.tokenizer.padding_side,
    )


def encode_separately(
    vlm: VisionLanguageModel, texts: Sequence[str], images: Sequence[Images]
) -> list[PromptTensors]:
    """Turn rendered prompts and their images into batches of one.

    Args:
        vlm: The model to encode them for.
        texts: Prompts as `render_turns` renders them.
        images: The images of each.

    Raises:
        ModelError: The processor cannot read a prompt, or what it gives does not fit the model.
    """
    return [
        _encode(vlm, f"prompt {number}" if len(texts) > 1 else "the prompt", text, _as_list(shown))
        for number, (text, shown) in enumerate(zip(texts, images, strict=True))
    ]


def release_pixels(
    prompts: Sequence[PromptTensors],
    features: FeatureCache | None,
    *,
    read: Sequence[Read | None] | None = None,
    on_demand: bool = True,
) -> list[EncodedPrompt]:
    """Release the prompts' pixels, as far as they need not stay in memory.

    Where the model allows it, keys of cached features take their place. Otherwise the first
    prompts' pixels stay in memory (`FeatureCache.keep_pixels`), the others' are read on demand.

    Args:
        prompts: Encoded prompts, batches of one.
        features: Where features are kept; None keeps the pixels.
        read: For each prompt what encodes it again, if anything does.
        on_demand: Whether pixels may be read again where features cannot be kept.
    """
    if features is None:
        return [EncodedPrompt(prompt) for prompt in prompts]
    shown = [number for number, prompt in enumerate(prompts) if "pixel_values" in prompt]
    if not shown:
        return [EncodedPrompt(PromptOnDemand(prompt)) for prompt in prompts]
    read = read or [None] * len(prompts)
    if features.unavailable_reason() is not None:
        return [
            EncodedPrompt(
                PromptOnDemand(
                    prompt,
                    again if on_demand and not features.keep_pixels(large_bytes(prompt)) else None,
                )
            )
            for prompt, again in zip(prompts, read, strict=True)
        ]
    keys = features.store(
        [prompts[number] for number in shown], read=[read[number] for number in shown]
    )
    key_of = dict(zip(shown, keys, strict=True))
    return [
        EncodedPrompt(
            PromptOnDemand(without_images(prompt) if number in key_of else prompt),
            (key_of[number],) if number in key_of else (),
        )
        for number, prompt in enumerate(prompts)
    ]


def stack_prompts(
    prompts: Sequence[Mapping[str, Tensor]],
    *,
    pad_token_id: int,
    side: Literal["left", "right"] = "left",
) -> PromptTensors:
    """Pad encoded prompts and put them together.

    Args:
        prompts: Encoded prompts, batches of one. What only some of them have (pixels next to
            prompts without an image) is put together from those.
        pad_token_id: What stands in `input_ids` where nothing is.
        side: Where tokens are padded. Images are padded with zeros after their own rows, as
            processors do.
    """
    prompts = [p.whole() if isinstance(p, PromptOnDemand) else p for p in prompts]
    width = max(prompt["input_ids"].shape[1] for prompt in prompts)
    stacked = {}
    for key in dict.fromkeys(key for prompt in prompts for key in prompt):
        having = [prompt for prompt in prompts if key in prompt]
        values = [prompt[key] for prompt in having]
        if values[0].shape == having[0]["input_ids"].shape:
            filler = pad_token_id if key == "input_ids" else 0
            rooms = [width - value.shape[1] for value in values]
            values = [
                pad(value, (room, 0) if side == "left" else (0, room), value=filler)
                for value, room in zip(values, rooms, strict=True)
            ]
        along = join_along(key, having[0])
        stacked[key] = torch.cat(values if along else _equally_large(values), along)
    return stacked


def _equally_large(values: Sequence[Tensor]) -> list[Tensor]:
    """Pad tensors at the ends of all dimensions but the first to the largest of them."""
    if len({value.shape[1:] for value in values}) == 1:
        return list(values)
    largest = [max(sizes) for sizes in zip(*(value.shape[1:] for value in values), strict=True)]
    return [
        pad(
            value,
            [
                room
                for wanted, size in zip(largest[::-1], value.shape[:0:-1], strict=True)
                for room in (0, wanted - size)
            ],
        )
        for value in values
    ]


def _as_list(images: Images) -> list[Image.Image]:
    if images is None:
        return []
    return [images] if isinstance(images, Image.Image) else list(images)


def _encode(
    vlm: VisionLanguageModel, which: str, text: str, images: Sequence[Image.Image]
) -> PromptTensors:
    begin = vlm.tokenizer.bos_token
    shown = [as_shown(image, vlm.processor, vlm.settings) for image in images]
    try:
        with READING:
            inputs = vlm.processor(
                text=[text],
                images=[shown] if shown else None,
                add_special_tokens=not (begin and text.startswith(begin)),
                return_tensors="pt",
            )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        sizes = ", ".join(f"{image.width}×{image.height}" for image in images) or "no image"
        raise ModelError(
            f"The processor of `{vlm.name}` cannot read {which} ({sizes}):"
            f" {first_line(error)}. Change the image, or complete the processor's settings."
        ) from error
    # Labels are what a family's own fine-tuning learns; here the response says that.
    prompt = {
        key: _in_dtype_of(vlm, value)
        for key, value in inputs.items()
        if isinstance(value, Tensor) and key != "labels"
    }
    if architecture_of(vlm.model.config).loose_tiles and "pixel_values" in prompt:
        prompt["pixel_values"] = prompt["pixel_values"].flatten(0, 1).unsqueeze(1)
    if _wants_types(vlm) and _TYPES not in prompt:
        types = vlm.processor.create_mm_token_type_ids(prompt["input_ids"].tolist())
        prompt[_TYPES] = torch.tensor(types)
    check_prompt(vlm, which, prompt)
    return prompt


def _in_dtype_of(vlm: VisionLanguageModel, value: Tensor) -> Tensor:
    """Pixels that a processor gives in half precision (Llama 4's does), as the tower reads them."""
    return value.to(vlm.dtype) if value.dtype in (torch.bfloat16, torch.float16) else value


def _wants_types(vlm: VisionLanguageModel) -> bool:
    """Whether the model asks which tokens are an image's; not all processors say it."""
    known = signature(unwrap(vlm.model).forward).parameters
    return _TYPES in known and hasattr(vlm.processor, f"create_{_TYPES}")
