"""Responses of a model to questions about images, greedy or sampled.

For architectures that are known (see `architectures`) a lean loop over the model's own forward and
key-value cache decodes: images and prompt once for all samples of a prompt, finished rows dropped
as they finish. For the rest `transformers`' `generate` does. Both choose tokens by the same rule,
`_choose`, so that they agree.

Image and video placeholders are never chosen: a model can rate its own placeholder highly, and a
response that holds one would take image features when it is read again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from veridical.errors import ModelError
from veridical.models.architectures import (
    image_arguments,
    log_once,
    no_fast_path_reason,
    project_to_vocabulary,
    prompt_positions,
)
from veridical.models.conversations import encode_question
from veridical.models.features import FeatureCache
from veridical.models.growing_cache import growing_cache
from veridical.models.loading import VisionLanguageModel, unwrap
from veridical.models.prompting import decode_responses, encode_prompts
from veridical.progress import track
from veridical.seeding import child_seed

_DROP_BELOW = 0.75
"""Share of rows still running below which the finished ones are dropped from the cache."""


class GeneratedText(NamedTuple):
    """One response of a model."""

    text: str
    """The response, without the template's separator and end token."""
    finish: Literal["stop", "length"]
    """Whether the end token was reached or the length limit."""
    token_ids: list[int]
    """The tokens as they were chosen, the end token included."""


class _Choice(NamedTuple):
    """How the next token is chosen."""

    temperature: float
    top_p: float
    suppressed: Tensor


@torch.inference_mode()
def generate_responses(
    vlm: VisionLanguageModel,
    questions: Sequence[str],
    images: Sequence[Image.Image | None],
    *,
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
    """Let the model answer every question about its image.

    Sampled responses depend on the seed and on the question's place in the list, not on the batch
    size: every response draws from a stream of its own. (Between batch sizes the logits differ by
    rounding, which can turn a near tie.)

    Args:
        vlm: The model.
        questions: What is asked.
        images: The image of each question; None where it is asked without one.
        num_samples: Responses a question.
        temperature: 0 is greedy; then `num_samples` must be 1.
        top_p: Sample from the smallest set of tokens that holds this much probability.
        max_new_tokens: Longest response, in tokens.
        seed: Root of the sampling streams.
        batch_size: Prompts at a time; each runs `num_samples` responses.
        feature_cache: Where features of images lie that were seen before.
        general: Use `transformers`' `generate` also where the lean loop would do.
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
        raise ModelError(f"One image a question is needed, got {len(questions)} and {len(images)}.")
    answers: dict[int, list[GeneratedText]] = {}
    batches = _batches(images, batch_size)
    for numbers in track(batches, label=label) if label else batches:
        shown = [image for number in numbers if (image := images[number]) is not None]
        asked = [questions[number] for number in numbers]
        prompt = encode_prompts(vlm, asked, shown) if shown else encode_question(vlm, asked[0])
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
            general=general,
        )
        answers |= zip(numbers, _read(vlm, ids, num_samples), strict=True)
    return [answers[number] for number in range(len(questions))]


def _batches(images: Sequence[Image.Image | None], size: int) -> list[list[int]]:
    """Numbers of the questions that are answered together; those without an image are answered one by one."""
    shown = [number for number, image in enumerate(images) if image is not None]
    together = [shown[start : start + size] for start in range(0, len(shown), size)]
    return together + [[number] for number, image in enumerate(images) if image is None]


@torch.inference_mode()
def generate_tokens(
    vlm: VisionLanguageModel,
    prompt: dict[str, Tensor],
    *,
    image_outputs: Mapping[str, Any] | None = None,
    streams: Sequence[Sequence[int]],
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    forbidden: Sequence[int],
    general: bool = False,
) -> list[list[list[int]]]:
    """Let the model answer a batch of encoded prompts; see `generate_responses`.

    Args:
        vlm: The model, in whatever mode; it answers in evaluation mode.
        prompt: What `encode_prompts` gives, on the model's device: B prompts.
        image_outputs: Images encoded before (`FeatureCache.load`), instead of the pixels.
        streams: For each prompt the seeds of its K samples, as many for each; what a response says
            depends on its seed and on nothing else that is drawn.
        temperature: 0 is greedy.
        top_p: Sample from the smallest set of tokens that holds this much probability.
        max_new_tokens: Longest response, in tokens.
        forbidden: Ids of tokens that are never chosen.
        general: Use `transformers`' `generate` also where the lean loop would do.

    Returns:
        For each prompt its K responses' token ids, the end token included where one was chosen.
    """
    reason = no_fast_path_reason(vlm.model)
    if reason is not None:
        log_once(f"transformers' generate decodes, not the lean loop: {reason}.")
    decode = _generate_generally if general or reason is not None else _generate_lean
    choice = _Choice(
        temperature, top_p, torch.tensor(forbidden, dtype=torch.long, device=vlm.device)
    )
    noise = None
    if temperature > 0:
        noise = _noise([seed for row in streams for seed in row], max_new_tokens).to(vlm.device)
    num_samples = len(streams[0])
    was_training = vlm.model.training
    vlm.model.eval()
    try:
        ids = decode(vlm, prompt, image_outputs, noise, choice, num_samples, max_new_tokens)
    finally:
        vlm.model.train(was_training)
    ends = set(vlm.end_token_ids)
    rows: list[list[int]] = []
    for row in ids.tolist():
        end = next((i for i, token in enumerate(row) if token in ends), None)
        rows.append(row if end is None else row[: end + 1])
    return [rows[start : start + num_samples] for start in range(0, len(rows), num_samples)]


def _noise(seeds: Sequence[int], steps: int) -> Tensor:
    """Uniform numbers (seeds, steps), each row from a stream of its own."""
    generator = torch.Generator()
    return torch.stack(
        [
            torch.rand(steps, generator=generator.manual_seed(seed), dtype=torch.float64)
            for seed in seeds
        ]
    )


def _choose(logits: Tensor, noise: Tensor | None, choice: _Choice) -> Tensor:
    """Choose the next token (R) from logits (R V): the best, or by inverting the cumulated probabilities at `noise`."""
    logits = logits.index_fill(-1, choice.suppressed, -torch.inf)
    if noise is None:
        return logits.argmax(-1)
    probabilities = (logits.double() / choice.temperature).softmax(-1)
    if choice.top_p < 1:
        ranked, order = probabilities.sort(dim=-1, descending=True, stable=True)
        beyond = ranked.cumsum(-1) - ranked >= choice.top_p
        probabilities = probabilities.masked_fill(beyond.gather(-1, order.argsort(-1)), 0.0)
    reached = probabilities.cumsum(-1)
    threshold = noise.unsqueeze(-1) * reached[:, -1:]
    return (
        torch.searchsorted(reached, threshold, right=True)
        .squeeze(-1)
        .clamp(max=logits.shape[-1] - 1)
    )


def _generate_lean(
    vlm: VisionLanguageModel,
    prompt: dict[str, Tensor],
    image_outputs: Mapping[str, Any] | None,
    noise: Tensor | None,
    choice: _Choice,
    num_samples: int,
    max_new_tokens: int,
) -> Tensor:
    backbone = unwrap(vlm.model).base_model
    ends = torch.tensor(vlm.end_token_ids, device=vlm.device)
    positions = prompt_positions(vlm.model, prompt)
    cache = growing_cache()
    mask = None if bool(prompt["attention_mask"].all()) else prompt["attention_mask"]
    output = backbone(
        input_ids=prompt["input_ids"],
        attention_mask=mask,
        position_ids=positions.ids,
        past_key_values=cache,
        use_cache=True,
        **image_arguments(prompt, image_outputs),
    )
    state = output.last_hidden_state[:, -1]
    place = positions.next
    if num_samples > 1:
        cache.batch_repeat_interleave(num_samples)
        state, place = state.repeat_interleave(num_samples, 0), place.repeat_interleave(num_samples)
        mask = None if mask is None else mask.repeat_interleave(num_samples, 0)
    chosen = torch.full((len(state), max_new_tokens), vlm.end_token_ids[0], device=vlm.device)
    running = torch.arange(len(state), device=vlm.device)
    done = torch.zeros_like(running, dtype=torch.bool)
    for step in range(max_new_tokens):
        drawn = None if noise is None else noise[running, step]
        token = _choose(project_to_vocabulary(vlm.model, state), drawn, choice)
        chosen[running[~done], step] = token[~done]
        done = done | torch.isin(token, ends)
        live = int((~done).sum())
        if not live or step + 1 == max_new_tokens:
            break
        if live < _DROP_BELOW * len(done):
            keep = (~done).nonzero().squeeze(-1)
            cache.batch_select_indices(keep)
            running, token, place, done = running[keep], token[keep], place[keep], done[keep]
            mask = None if mask is None else mask[keep]
        if mask is not None:
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=-1)
        where = (place + step).unsqueeze(-1)
        if positions.ids.ndim == 3:
            where = where.unsqueeze(0).expand(positions.ids.shape[0], -1, -1)
        output = backbone(
            input_ids=token.unsqueeze(-1),
            attention_mask=mask,
            position_ids=where,
            past_key_values=cache,
            use_cache=True,
        )
        state = output.last_hidden_state[:, -1]
    return chosen


class _ChooseToken(LogitsProcessor):
    """Leaves `generate` no token but the one that `_choose` chooses."""

    def __init__(self, prompt_length: int, noise: Tensor | None, choice: _Choice) -> None:
        self._start, self._noise, self._choice = prompt_length, noise, choice

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        drawn = None if self._noise is None else self._noise[:, input_ids.shape[1] - self._start]
        token = _choose(scores, drawn, self._choice)
        return torch.full_like(scores, -torch.inf).scatter(-1, token.unsqueeze(-1), 0.0)


def _generate_generally(
    vlm: VisionLanguageModel,
    prompt: dict[str, Tensor],
    image_outputs: Mapping[str, Any] | None,
    noise: Tensor | None,
    choice: _Choice,
    num_samples: int,
    max_new_tokens: int,
) -> Tensor:
    sequences = {
        key: value for key, value in prompt.items() if value.shape == prompt["input_ids"].shape
    }
    length = prompt["input_ids"].shape[1]
    ids = vlm.model.generate(
        **sequences,
        **image_arguments(prompt, image_outputs),
        # With several samples `generate` must believe that it samples; there is one token left to
        # draw from.
        do_sample=num_samples > 1,
        temperature=1.0 if num_samples > 1 else None,
        top_p=1.0 if num_samples > 1 else None,
        top_k=0 if num_samples > 1 else None,
        num_beams=1,
        num_return_sequences=num_samples,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(vlm.end_token_ids),
        pad_token_id=vlm.end_token_ids[0],
        logits_processor=LogitsProcessorList([_ChooseToken(length, noise, choice)]),
    )
    return ids[:, length:]  # type: ignore[no-any-return]


def _read(
    vlm: VisionLanguageModel, answers: Sequence[Sequence[list[int]]], num_samples: int
) -> list[list[GeneratedText]]:
    ends = set(vlm.end_token_ids)
    rows = [row for answer in answers for row in answer]
    texts = decode_responses(vlm, rows)
    said = [
        GeneratedText(text, "stop" if row and row[-1] in ends else "length", row)
        for text, row in zip(texts, rows, strict=True)
    ]
    return [said[start : start + num_samples] for start in range(0, len(said), num_samples)]
