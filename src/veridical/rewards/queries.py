"""Question, facts and responses as tokens: one prompt, encoded once, with a branch per response.

A branch is the response, the end of its turn where it was reached, and what the template asks about
it. Facts before the response belong to the prompt, which all responses share; facts after it stand
in every branch.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from veridical.errors import ModelError
from veridical.models.branches import BranchBatch, stack_responses
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import (
    EncodedPrompt,
    PromptTensors,
    encode_separately,
    image_keys,
    release_pixels,
    stack_prompts,
)
from veridical.models.prompts.rendering import render_turns, response_frame
from veridical.models.prompts.responses import encode_responses, tokenize_after
from veridical.records import Facts, ImageRef
from veridical.records.images import open_image
from veridical.records.texts import IMAGE_MARKER
from veridical.rewards.template import FilledTemplate, RewardTemplate

_MARKER = "VERIDICAL-RESPONSE"

Picture = Image.Image | ImageRef
"""An image, or its file."""
Shown = Picture | tuple[Picture, ...]
"""What a query is about."""


class RewardQuery(NamedTuple):
    """One prompt with the responses that are to be rewarded."""

    question: str
    """What was asked."""
    image: Shown
    """The image, several in order, or none (an empty tuple); each as it is, or its file (an
    absolute path, or one relative to the working folder)."""
    responses: tuple[str, ...]
    """K responses."""
    facts: tuple[Facts, ...] = ()
    """What is known true, in the order in which it is shown, the same for all responses."""
    finished: tuple[bool, ...] = ()
    """For each response whether it came to its end; empty: all did."""
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns: what was asked, what was answered."""
    name: str = ""
    """What to call it in errors: the prompt's id."""
    system: str = ""
    """The system message; empty: that of the model's settings."""

    @property
    def images(self) -> tuple[Picture, ...]:
        """The images in order."""
        return self.image if isinstance(self.image, tuple) else (self.image,)


class EncodedQuery(NamedTuple):
    """One query as tokens."""

    prompt: EncodedPrompt
    """The encoded prompt, facts included where they stand before the response."""
    branches: tuple[list[int], ...]
    """For each response the tokens of its branch."""
    response_lengths: tuple[int, ...]
    """How many of these are the response's own."""

    @property
    def tokens(self) -> int:
        """Tokens of the prompt and all branches."""
        return self.prompt.prompt["input_ids"].shape[1] + sum(map(len, self.branches))


class RewardBatch(NamedTuple):
    """B queries of K responses put together."""

    branches: BranchBatch
    """Prompts and branches (B K T)."""
    own_mask: Tensor
    """True at the responses' own tokens (B K T)."""
    image_keys: list[str] | None
    """Keys of the images' features; None where the prompts hold pixels."""

    def to(self, device: torch.device) -> "RewardBatch":
        """Move all tensors."""
        return RewardBatch(self.branches.to(device), self.own_mask.to(device), self.image_keys)


def encode_queries(
    vlm: VisionLanguageModel,
    template: RewardTemplate,
    queries: Sequence[RewardQuery],
    *,
    features: FeatureCache | None = None,
    max_tokens: int = 0,
    on_demand: bool = False,
) -> list[EncodedQuery]:
    """Turn queries into tokens.

    Args:
        vlm: The model whose chat template and tokenizer count.
        template: What is shown where.
        queries: What to lay out; at least one.
        features: Keeps the images' features instead of their pixels, where the model allows it.
        max_tokens: Longest prompt with one branch; 0: what the model can read.
        on_demand: Read the pixels of most queries again when a batch needs them, so that memory
            does not grow with the queries.

    Raises:
        ModelError: A query does not fit the window, holds a placeholder or an end token, or has no
            response.
    """
    shown = [template.show(query.question, query.facts) for query in queries]
    frames = [
        _frame(vlm, template, query, texts) for query, texts in zip(queries, shown, strict=True)
    ]
    images = [_opened(query.images) for query in queries]
    heads = [frame.head for frame in frames]
    read = [
        partial(_encode_again, vlm, head, query.images)
        if all(isinstance(one, ImageRef) for one in query.images)
        else None  # pictures in memory are not kept for this
        for head, query in zip(heads, queries, strict=True)
    ]
    prompts = release_pixels(
        encode_separately(vlm, heads, images), features, read=read, on_demand=on_demand
    )
    tokens = _tokenize_responses(vlm, template, queries, frames)
    tails = {text: _tokenize_tail(vlm, text) for text in {frame.tail for frame in frames}}
    encoded = []
    for query, frame, prompt, responses in zip(queries, frames, prompts, tokens, strict=True):
        branches = tuple([*ids, *tails[frame.tail]] for ids in responses)
        encoded.append(EncodedQuery(prompt, branches, tuple(map(len, responses))))
        _check_window(vlm, query, encoded[-1], max_tokens)
    return encoded


def collate_queries(rows: Sequence[EncodedQuery], *, pad_token_id: int) -> RewardBatch:
    """Pad queries to one batch; missing branches are masked."""
    ids, mask = stack_responses([row.branches for row in rows])
    own = mask.clone()
    for b, row in enumerate(rows):
        for k, length in enumerate(row.response_lengths):
            own[b, k, length:] = False
    prompt = stack_prompts([row.prompt.prompt for row in rows], pad_token_id=pad_token_id)
    keys = image_keys([row.prompt for row in rows])
    return RewardBatch(BranchBatch(prompt, ids, mask), own, keys)


class _Frame(NamedTuple):
    head: str
    """The rendered prompt, up to the response."""
    anchor: str
    """The last word before a quoted response."""
    tail: str
    """What is rendered after the response."""


def _frame(
    vlm: VisionLanguageModel, template: RewardTemplate, query: RewardQuery, shown: FilledTemplate
) -> _Frame:
    if not query.responses or len(query.finished) not in (0, len(query.responses)):
        raise ModelError(
            f"Query {query.name!r} needs responses, and `finished` for all of them or none, got"
            f" {len(query.responses)} and {len(query.finished)}."
        )
    stated = [text for item in query.facts for text in item.texts if IMAGE_MARKER in text]
    if stated:
        raise ModelError(
            f"A fact of query {query.name!r} holds {IMAGE_MARKER!r}, which stands for a picture:"
            f" {stated[0][:80]!r}. Remove it from the fact."
        )
    before = [*(text for turn in query.history for text in turn), shown.before]
    render = partial(render_turns, vlm, num_images=len(query.images), system=query.system)
    if template.layout == "quote":
        quoted = render([*before[:-1], f"{shown.before} {_MARKER} {shown.after}".rstrip()])
        head, _, tail = quoted.partition(f" {_MARKER}")
        return _Frame(head, shown.before.split()[-1], _with_verdict(vlm, tail, template))
    head = render(before)
    if not shown.after:
        return _Frame(head, "", "")
    asked = render([*before, _MARKER, shown.after])
    return _Frame(head, "", _with_verdict(vlm, asked.partition(_MARKER)[2], template))


def _opened(images: Sequence[Picture]) -> list[Image.Image]:
    return [
        open_image(one, root=Path(one.path).parent) if isinstance(one, ImageRef) else one
        for one in images
    ]


def _encode_again(vlm: VisionLanguageModel, head: str, images: Sequence[Picture]) -> PromptTensors:
    (prompt,) = encode_separately(vlm, [head], [_opened(images)])
    return prompt


def _with_verdict(vlm: VisionLanguageModel, tail: str, template: RewardTemplate) -> str:
    return tail + response_frame(vlm).separator + template.verdict if template.verdict else tail


def _tokenize_responses(
    vlm: VisionLanguageModel,
    template: RewardTemplate,
    queries: Sequence[RewardQuery],
    frames: Sequence[_Frame],
) -> list[list[list[int]]]:
    """Tokens of every query's responses, with the end of the turn where it was reached."""
    texts = [text for query in queries for text in query.responses]
    if template.layout == "quote":
        anchors = [
            frame.anchor
            for query, frame in zip(queries, frames, strict=True)
            for _ in query.responses
        ]
        by_anchor: dict[str, list[int]] = {}
        for number, anchor in enumerate(anchors):
            by_anchor.setdefault(anchor, []).append(number)
        encoded: list[list[int]] = [[] for _ in texts]
        for anchor, numbers in by_anchor.items():
            found = tokenize_after(
                vlm, anchor, [texts[number] for number in numbers], separator=" "
            )
            for number, (ids, _) in zip(numbers, found, strict=True):
                encoded[number] = ids
    else:
        encoded = [response.ids for response in encode_responses(vlm, texts)]
        finished = [
            flag for query in queries for flag in query.finished or (True,) * len(query.responses)
        ]
        # Of an empty response the end of the turn is all there is, reached or not: the head needs a
        # token to read.
        encoded = [
            ids if done or len(ids) == 1 else ids[:-1]
            for ids, done in zip(encoded, finished, strict=True)
        ]
    found_of, start = [], 0
    for query in queries:
        found_of.append(encoded[start : start + len(query.responses)])
        start += len(query.responses)
    return found_of


def _tokenize_tail(vlm: VisionLanguageModel, text: str) -> list[int]:
    """Tokens after a response; the end of its turn belongs to the response."""
    if not text:
        return []
    ids: list[int] = vlm.tokenizer(text, add_special_tokens=False)["input_ids"]
    if ids and ids[0] in vlm.end_token_ids:
        return ids[1:]
    return ids


def _check_window(
    vlm: VisionLanguageModel, query: RewardQuery, row: EncodedQuery, max_tokens: int
) -> None:
    limits: Mapping[str, int | None] = {vlm.name: vlm.window, "max_tokens": max_tokens or None}
    length = row.prompt.prompt["input_ids"].shape[1] + max(map(len, row.branches))
    for what, limit in limits.items():
        if limit is not None and length > limit:
            raise ModelError(
                f"Query {query.name!r} takes {length} tokens with its longest response, `{what}`"
                f" allows {limit}. Shorten facts or response, or leave it out."
            )
