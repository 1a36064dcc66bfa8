"""The two decoding loops: a lean one over the model's own forward, and `transformers`' `generate`.

Both choose tokens by the same rule, `choose`, so that they agree.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from veridical.models.architectures.images import ImageOutputs, image_arguments, repeat_images
from veridical.models.architectures.parts import project_to_vocabulary
from veridical.models.architectures.positions import prompt_positions
from veridical.models.growing_cache import growing_cache
from veridical.models.loading import VisionLanguageModel, unwrap

_DROP_BELOW = 0.75
"""Share of rows still running below which the finished ones are dropped from the cache."""


class TokenChoice(NamedTuple):
    """How the next token is chosen."""

    temperature: float
    """0 is greedy."""
    top_p: float
    """Sample from the smallest set of tokens with this much probability."""
    suppressed: Tensor
    """Ids of tokens that are never chosen."""
    noise: Tensor | None
    """Uniform numbers (R, steps) that decide each token of each response; None: greedy."""
    num_samples: int
    """K responses per prompt."""
    max_new_tokens: int
    """The longest response, in tokens."""


def uniform_noise(seeds: Sequence[int], steps: int) -> Tensor:
    """Uniform numbers (seeds, steps), each row from a stream of its own."""
    generator = torch.Generator()
    return torch.stack(
        [
            torch.rand(steps, generator=generator.manual_seed(seed), dtype=torch.float64)
            for seed in seeds
        ]
    )


def choose(logits: Tensor, noise: Tensor | None, choice: TokenChoice) -> Tensor:
    """Choose the next token (R) from logits (R V).

    Without noise the most probable one; else the one at which the cumulated probabilities reach the
    noise, so that the token is a function of the response's own stream.
    """
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


def decode_lean(
    vlm: VisionLanguageModel,
    prompt: Mapping[str, Tensor],
    image_outputs: ImageOutputs | None,
    choice: TokenChoice,
) -> Tensor:
    """Decode over the model's own forward and key-value cache: token ids (B·K, max_new_tokens).

    Images and prompt go through the model once, for all samples of a prompt. From then on three
    things move together, row by row: the cache, the mask of its columns, and `place`, the position
    of a row's next token. Finished rows stay until they are a quarter of all, because dropping rows
    copies the cache; `running` maps the rows that are left to those of the result.

    Only for families whose row in the table says `branches`.
    """
    backbone = unwrap(vlm.model).base_model
    ends = torch.tensor(vlm.end_token_ids, device=vlm.device)
    positions = prompt_positions(vlm.model, prompt)
    cache = growing_cache()
    # Without padding no mask is needed, and attention kernels without one are faster.
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
    if choice.num_samples > 1:
        cache.batch_repeat_interleave(choice.num_samples)
        state, place = (x.repeat_interleave(choice.num_samples, 0) for x in (state, place))
        mask = None if mask is None else mask.repeat_interleave(choice.num_samples, 0)
    chosen = torch.full(
        (len(state), choice.max_new_tokens), vlm.end_token_ids[0], device=vlm.device
    )
    running = torch.arange(len(state), device=vlm.device)
    done = torch.zeros_like(running, dtype=torch.bool)
    for step in range(choice.max_new_tokens):
        drawn = None if choice.noise is None else choice.noise[running, step]
        token = choose(project_to_vocabulary(vlm.model, state), drawn, choice)
        chosen[running[~done], step] = token[~done]
        done = done | torch.isin(token, ends)
        live = int((~done).sum())
        if not live or step + 1 == choice.max_new_tokens:
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
    """Leaves `generate` the one token that `choose` chooses."""

    def __init__(self, prompt_length: int, choice: TokenChoice, order: Tensor) -> None:
        self._start, self._choice, self._order = prompt_length, choice, order

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        noise = self._choice.noise
        drawn = None if noise is None else noise[self._order, input_ids.shape[1] - self._start]
        token = choose(scores, drawn, self._choice)
        return torch.full_like(scores, -torch.inf).scatter(-1, token.unsqueeze(-1), 0.0)


def decode_generally(
    vlm: VisionLanguageModel,
    prompt: Mapping[str, Tensor],
    image_outputs: ImageOutputs | None,
    choice: TokenChoice,
) -> Tensor:
    """Decode with `transformers`' `generate`: token ids (B·K, longest response).

    The batch is repeated as a whole, 1 … B, 1 … B, as `lay_out_plain` does: `generate` itself would
    repeat row by row, which tears the tiles of an image apart.
    """
    B, length = prompt["input_ids"].shape
    K = choice.num_samples
    sequences = {
        key: value.repeat(K, 1) for key, value in prompt.items() if value.shape == (B, length)
    }
    images = repeat_images(image_arguments(prompt, image_outputs), times=K)
    order = torch.arange(B * K, device=vlm.device).reshape(B, K).T.reshape(-1)
    ids: Tensor = vlm.model.generate(
        **sequences,
        **images,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        num_beams=1,
        max_new_tokens=choice.max_new_tokens,
        eos_token_id=list(vlm.end_token_ids),
        pad_token_id=vlm.end_token_ids[0],
        logits_processor=LogitsProcessorList([_ChooseToken(length, choice, order)]),
    )
    return ids[order.argsort(), length:]
