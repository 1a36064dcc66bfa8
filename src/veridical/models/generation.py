"""Responses of a model to questions about images, greedy or sampled.

One loop of our own decodes for architectures that allow it (see `decoding`), on CUDA with captured
graphs; `transformers`' `generate` decodes for the rest. All give the same tokens.

Image and video placeholders are never chosen: a model can rate its own placeholder highly, and a
response that holds one would take image features when it is read again.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from veridical.errors import ModelError
from veridical.models.architectures.images import ImageOutputs
from veridical.models.decoding.choice import TokenChoice, uniform_noise
from veridical.models.decoding.decoder import Decoder
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import Images, encode_prompts
from veridical.models.prompts.rendering import History
from veridical.models.prompts.responses import decode_responses
from veridical.progress import track
from veridical.seeding import child_seed


class GeneratedText(NamedTuple):
    """One response of a model."""

    text: str
    """The response, without the template's separator and end token."""
    finish: Literal["stop", "length"]
    """Whether the end token was reached or the length limit."""
    token_ids: list[int]
    """The tokens as they were chosen, the end token included."""


@torch.inference_mode()
def generate_responses(
    vlm: VisionLanguageModel,
    questions: Sequence[str],
    images: Sequence[Images],
    *,
    histories: Sequence[History] | None = None,
    systems: Sequence[str] | None = None,
    num_samples: int = 1,
    temperature: float = 0.0,
    top_p: float = 1.0,
    max_new_tokens: int = 256,
    seed: int = 0,
    batch_size: int = 32,
    feature_cache: FeatureCache | None = None,
    general: bool = False,
    label: str | None = None,
) -> list[list[GeneratedText]]:
    """Let the model answer questions about images.

    Sampled responses depend on the seed and on the question's place in the list, not on the batch
    size: every response draws from a stream of its own. (Between batch sizes the logits differ by
    rounding, which can turn a near tie.)

    Args:
        vlm: The model.
        questions: What is asked.
        images: The image or images of each question; None where it is asked without one.
        histories: The turns before each question.
        systems: System messages; empty ones take that of the model's settings.
        num_samples: Responses per question.
        temperature: 0 is greedy; then `num_samples` must be 1.
        top_p: Sample from the smallest set of tokens that holds this much probability.
        max_new_tokens: Longest response, in tokens.
        seed: Root of the sampling streams.
        batch_size: Prompts at a time; each runs `num_samples` responses.
        feature_cache: Holds features of images that were seen before.
        general: Use `transformers`' `generate` even where the lean loop would do.
        label: Show progress under this name.

    Returns:
        For each question its responses.

    Raises:
        ModelError: Settings that contradict each other, or prompts that cannot be laid out.
    """
    if (
        num_samples < 1
        or max_new_tokens < 1
        or batch_size < 1
        or temperature < 0
        or not 0 < top_p <= 1
    ):
        raise ModelError(
            "num_samples, max_new_tokens and batch_size must be at least 1, temperature at least 0"
            f" and top_p in (0, 1], got {num_samples}, {max_new_tokens}, {batch_size},"
            f" {temperature} and {top_p}."
        )
    if temperature == 0 and num_samples > 1:
        raise ModelError(
            f"{num_samples} greedy responses would all be the same. Set a temperature above 0."
        )
    if len(questions) != len(images):
        raise ModelError(
            f"One image per question is needed, got {len(questions)} and {len(images)}."
        )
    histories = histories if histories is not None else [()] * len(questions)
    systems = systems if systems is not None else [""] * len(questions)
    answers: dict[int, list[GeneratedText]] = {}
    batches = _batches(images, batch_size)
    decoder = Decoder(vlm, general=general)
    for numbers in track(batches, label=label) if label else batches:
        prompt = encode_prompts(
            vlm,
            [questions[number] for number in numbers],
            [images[number] for number in numbers],
            histories=[histories[number] for number in numbers],
            systems=[systems[number] for number in numbers],
        )
        shown = "pixel_values" in prompt
        ids = generate_tokens(
            vlm,
            {key: value.to(vlm.device) for key, value in prompt.items()},
            image_outputs=(
                feature_cache.image_outputs(prompt) if shown and feature_cache is not None else None
            ),
            streams=[
                [child_seed(seed, "response", n, k) for k in range(num_samples)] for n in numbers
            ],
            temperature=temperature,
            top_p=top_p,
            max_new_tokens=max_new_tokens,
            forbidden=vlm.placeholder_token_ids,
            decoder=decoder,
        )
        answers |= zip(numbers, _texts(vlm, ids, num_samples), strict=True)
    return [answers[number] for number in range(len(questions))]


def _batches(images: Sequence[Images], size: int) -> list[list[int]]:
    """Numbers of the questions that are answered together, those without an image one by one."""
    shown = [number for number, image in enumerate(images) if image]
    together = [shown[start : start + size] for start in range(0, len(shown), size)]
    return together + [[number] for number, image in enumerate(images) if not image]


@torch.inference_mode()
def generate_tokens(
    vlm: VisionLanguageModel,
    prompt: Mapping[str, Tensor],
    *,
    image_outputs: ImageOutputs | None = None,
    streams: Sequence[Sequence[int]],
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    forbidden: Sequence[int],
    decoder: Decoder | None = None,
) -> list[list[list[int]]]:
    """Let the model answer a batch of encoded prompts; see `generate_responses`.

    Args:
        vlm: The model, in whatever mode; it answers in evaluation mode.
        prompt: What `encode_prompts` gives, on the model's device: B prompts.
        image_outputs: Images encoded before (`FeatureCache.load`), instead of the pixels.
        streams: For each prompt the seeds of its K samples; a response
            depends on its own seed and on nothing else that is drawn.
        temperature: 0 is greedy.
        top_p: Sample from the smallest set of tokens that holds this much probability.
        max_new_tokens: Longest response, in tokens.
        forbidden: Ids of tokens that are never chosen.
        decoder: Decodes; one that serves several batches captures its graphs once. None: one of
            this call's own.

    Returns:
        For each prompt its K responses' token ids, the end token included where one was chosen.
    """
    decoder = decoder or Decoder(vlm)
    seeds = [seed for row in streams for seed in row]
    num_samples = len(streams[0])
    choice = TokenChoice(
        temperature,
        top_p,
        torch.tensor(forbidden, dtype=torch.long, device=vlm.device),
        uniform_noise(seeds, max_new_tokens).to(vlm.device) if temperature > 0 else None,
        num_samples,
        max_new_tokens,
    )
    was_training = vlm.model.training
    vlm.model.eval()
    try:
        ids = decoder.decode(prompt, image_outputs, choice)
    finally:
        vlm.model.train(was_training)
    ends = set(vlm.end_token_ids)
    rows: list[list[int]] = []
    for row in ids.tolist():
        end = next((i for i, token in enumerate(row) if token in ends), None)
        rows.append(row if end is None else row[: end + 1])
    return [rows[start : start + num_samples] for start in range(0, len(rows), num_samples)]


def _texts(
    vlm: VisionLanguageModel, answers: Sequence[Sequence[list[int]]], num_samples: int
) -> list[list[GeneratedText]]:
    ends = set(vlm.end_token_ids)
    rows = [row for answer in answers for row in answer]
    texts = decode_responses(vlm, rows)
    responses = [
        GeneratedText(text, "stop" if row and row[-1] in ends else "length", row)
        for text, row in zip(texts, rows, strict=True)
    ]
    starts = range(0, len(responses), num_samples)
    return [responses[start : start + num_samples] for start in starts]
