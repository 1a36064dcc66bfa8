r"""One prompt, many responses: K branches behind a prompt that is encoded once.

A comparison, a correction, k samples for PPO or best-of-n: always one image and one question (576
image tokens and more) with a few short responses. Laid out as one row

    prompt | response 1 | response 2 | … | response K

under a tree mask (a response's token sees the prompt and its own response's past, nothing else) and
with positions that go on from the prompt's end in every branch, one forward gives what K forwards
over prompt + response give: for a 600-token prompt and two 100-token responses 800 tokens instead
of 1,400. Vocabulary logits are made at the scored positions only, in chunks, so that memory does
not grow with V times the length of the prompt.

Where an architecture or attention kernel does not allow it, every response gets its own copy of the
prompt (the plain path); the result is the same to rounding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from veridical.errors import ModelError
from veridical.models.architectures import (
    image_arguments,
    log_once,
    no_fast_path_reason,
    prompt_positions,
    repeat_images,
)
from veridical.models.loading import unwrap
from veridical.models.token_scores import Sampling, score_logits, score_tokens


@dataclass(frozen=True)
class BranchBatch:
    """B prompts with K responses each."""

    prompt: dict[str, Tensor]
    """What `encode_prompts` gives: B padded prompts and their images."""
    response_ids: Tensor
    """Token ids (B K T)."""
    response_mask: Tensor
    """True at the responses' tokens (B K T), which fill T from the left; a branch may be empty."""

    def __post_init__(self) -> None:
        """Check shapes, and that a mask has no holes (a hole would take context from what follows it)."""
        if self.response_ids.ndim != 3 or self.response_ids.shape != self.response_mask.shape:
            raise ModelError(
                "response_ids and response_mask must both be (B K T), got"
                f" {tuple(self.response_ids.shape)} and {tuple(self.response_mask.shape)}."
            )
        if self.response_ids.shape[0] != self.prompt["input_ids"].shape[0]:
            raise ModelError(
                f"Prompts and responses must be as many, got {self.prompt['input_ids'].shape[0]} "
                f"and {self.response_ids.shape[0]}."
            )
        mask = self.response_mask
        if mask.device.type == "cpu" and bool((mask[..., 1:] & ~mask[..., :-1]).any()):
            raise ModelError(
                "response_mask must be True from the first token to the last, without holes."
            )

    def to(self, device: torch.device | str) -> "BranchBatch":
        """Move all tensors."""
        prompt = {key: value.to(device, non_blocking=True) for key, value in self.prompt.items()}
        return BranchBatch(prompt, self.response_ids.to(device), self.response_mask.to(device))


def stack_responses(responses: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor]:
    """Pad token ids of B prompts' responses to one block.

    Args:
        responses: For each prompt its responses' token ids; missing branches and tokens are masked.

    Returns:
        `response_ids` and `response_mask`, both (B K T).
    """
    branches = max(map(len, responses))
    width = max((len(ids) for row in responses for ids in row), default=0)
    ids = torch.zeros(len(responses), branches, max(width, 1), dtype=torch.long)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for b, row in enumerate(responses):
        for k, tokens in enumerate(row):
            ids[b, k, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
            mask[b, k, : len(tokens)] = True
    return ids, mask


def no_branches_reason(model: Any) -> str | None:
    """Say why responses of this model must be scored behind a prompt copy each; None where branches hold."""
    attention = unwrap(model).config.get_text_config()._attn_implementation
    if attention not in ("sdpa", "eager"):
        return f"the attention implementation `{attention}` takes no tree mask (sdpa and eager do)"
    return no_fast_path_reason(model)


class BranchOutputs(NamedTuple):
    """What one forward says of the responses' tokens; all is 0 where `response_mask` is False."""

    logprobs: Tensor
    """Token log-probabilities (B K T) in nats, float32."""
    entropies: Tensor
    """Entropy of the distribution that each token was chosen from (B K T), in nats; detached."""
    states: Tensor
    """Last hidden states that predict the tokens (B K T D): what a value head stands on."""


def score_branches(
    model: Any,
    batch: BranchBatch,
    *,
    image_outputs: Mapping[str, Any] | None = None,
    plain: bool = False,
) -> Tensor:
    """Log-probabilities of the responses' tokens, each given image, question and its own response's past.

    Args:
        model: The model, with adapters or without.
        batch: Prompts and responses, on the model's device.
        image_outputs: Images encoded before (`FeatureCache.image_outputs`, `encode_images`),
            instead of the pixels.
        plain: Score each response behind its own prompt copy, even where branches hold.

    Returns:
        Token log-probabilities (B K T) in nats, float32; 0 where `response_mask` is False.
    """
    return _read(model, batch, image_outputs, plain=plain, sampling=None, entropies=False).logprobs


def evaluate_branches(
    model: Any,
    batch: BranchBatch,
    *,
    sampling: Sampling | None = None,
    image_outputs: Mapping[str, Any] | None = None,
    plain: bool = False,
) -> BranchOutputs:
    """Log-probabilities, entropies and hidden states of the responses from one forward: what PPO needs of a policy.

    Args:
        model: The model, with adapters or without.
        batch: Prompts and responses, on the model's device.
        sampling: The distribution that the responses were drawn from; by default the model's own.
        image_outputs: Images encoded before, instead of the pixels.
        plain: Give each response its own prompt copy.
    """
    return _read(model, batch, image_outputs, plain=plain, sampling=sampling, entropies=True)


def _read(
    model: Any,
    batch: BranchBatch,
    image_outputs: Mapping[str, Any] | None,
    *,
    plain: bool,
    sampling: Sampling | None,
    entropies: bool,
) -> BranchOutputs:
    layout, mask = _lay_out(model, batch, image_outputs, plain=plain), batch.response_mask
    rows, columns, ids = (
        layout.rows.expand_as(mask)[mask],
        layout.before[mask],
        batch.response_ids[mask],
    )
    if no_fast_path_reason(model) is None:
        hidden = unwrap(model).base_model(**layout.arguments, use_cache=False).last_hidden_state
        states = hidden[rows, columns]
        scores = score_tokens(model, states, ids, sampling=sampling, with_entropies=entropies)
    else:
        # Some architectures scale or cap their logits; one that has not been checked makes them
        # itself.
        output = unwrap(model)(**layout.arguments, use_cache=False, output_hidden_states=entropies)
        states = output.hidden_states[-1][rows, columns] if entropies else output.logits
        scores = score_logits(
            output.logits[rows, columns], ids, sampling=sampling, with_entropies=entropies
        )

    def spread(values: Tensor) -> Tensor:
        return values.new_zeros(mask.shape).masked_scatter(mask, values)

    placed = states.new_zeros(*mask.shape, states.shape[-1] if entropies else 0)
    if entropies:
        placed = placed.masked_scatter(mask.unsqueeze(-1), states)
    return BranchOutputs(spread(scores.logprobs), spread(scores.entropies), placed)


def branch_hidden_states(
    model: Any,
    batch: BranchBatch,
    *,
    at: Literal["token", "before"] = "token",
    image_outputs: Mapping[str, Any] | None = None,
    plain: bool = False,
) -> Tensor:
    """Last hidden states (after the final norm) of the responses: what reward and value heads stand on.

    Args:
        model: The model, with adapters or without.
        batch: Prompts and responses, on the model's device.
        at: "token": the state that has read the token; "before": the state that predicts it.
        image_outputs: Images encoded before, instead of the pixels.
        plain: Give each response its own prompt copy.

    Returns:
        Hidden states (B K T D), 0 where `response_mask` is False.
    """
    layout = _lay_out(model, batch, image_outputs, plain=plain)
    hidden: Tensor = unwrap(model).base_model(**layout.arguments, use_cache=False).last_hidden_state
    index = layout.at if at == "token" else layout.before
    states = hidden[layout.rows.expand_as(index), index]
    return states.masked_fill(~batch.response_mask.unsqueeze(-1), 0)


class _Layout(NamedTuple):
    arguments: dict[str, Any]
    """Arguments of the backbone's forward: R rows of Q tokens."""
    rows: Tensor
    """The row that holds a branch (B K 1)."""
    at: Tensor
    """Column of each response token (B K T); 0 where masked."""
    before: Tensor
    """Column of the token before it (B K T); 0 where masked."""


def _lay_out(
    model: Any, batch: BranchBatch, image_outputs: Mapping[str, Any] | None, *, plain: bool
) -> _Layout:
    reason = None if plain else no_branches_reason(model)
    if reason is not None:
        log_once(f"Each response is scored behind its own copy of the prompt: {reason}.")
    images = image_arguments(batch.prompt, image_outputs)
    copies = plain or reason is not None
    return _lay_out_plain(batch, images) if copies else _lay_out_branches(model, batch, images)


def _lay_out_branches(model: Any, batch: BranchBatch, images: dict[str, Any]) -> _Layout:
    prompt, mask = batch.prompt, batch.response_mask
    B, K, T = mask.shape
    L = prompt["input_ids"].shape[1]
    flat = mask.reshape(B, K * T)
    # Responses stand tight: row by row the valid tokens of all branches, in order, then padding.
    order = flat.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
    width = int(flat.sum(-1).max())
    order, valid = order[:, :width], flat.gather(1, order[:, :width])
    slots = L + flat.long().cumsum(-1) - 1
    at = torch.where(flat, slots, 0).reshape(B, K, T)
    columns = torch.arange(L, device=mask.device)
    last = torch.where(prompt["attention_mask"].bool(), columns, 0).amax(-1)
    before = torch.where(
        mask, torch.cat([last.reshape(B, 1, 1).expand(B, K, 1), at[..., :-1]], dim=-1), 0
    )

    positions = prompt_positions(model, prompt)
    steps = positions.next.unsqueeze(1) + order % T
    steps = torch.where(valid, steps, 0)
    if positions.ids.ndim == 3:
        steps = steps.unsqueeze(0).expand(positions.ids.shape[0], -1, -1)
    segments = torch.cat(
        [prompt["attention_mask"].long() - 1, torch.where(valid, order // T + 1, -1)], dim=-1
    )
    arguments = {
        **images,
        **_extend(prompt, batch.response_ids.reshape(B, K * T).gather(1, order)),
        "attention_mask": _tree_mask(model, segments),
        "position_ids": torch.cat([positions.ids, steps], dim=-1),
    }
    return _Layout(arguments, torch.arange(B, device=mask.device).reshape(B, 1, 1), at, before)


def _tree_mask(model: Any, segments: Tensor) -> Tensor:
    """Who sees whom (B 1 Q Q); segment 0 is the prompt, k+1 branch k, -1 padding, which sees itself alone."""
    Q = segments.shape[1]
    seen, seeing = segments.unsqueeze(1), segments.unsqueeze(2)
    causal = torch.ones(Q, Q, dtype=torch.bool, device=segments.device).tril()
    allowed = causal & (((seen == 0) & (seeing >= 0)) | ((seen == seeing) & (seen > 0)))
    allowed = (allowed | torch.eye(Q, dtype=torch.bool, device=segments.device)).unsqueeze(1)
    if unwrap(model).config.get_text_config()._attn_implementation == "sdpa":
        return allowed
    dtype = next(p.dtype for p in unwrap(model).get_input_embeddings().parameters())
    return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)


def _lay_out_plain(batch: BranchBatch, images: dict[str, Any]) -> _Layout:
    prompt, mask = batch.prompt, batch.response_mask
    B, K, T = mask.shape
    R = B * K
    copies = {
        key: value.repeat_interleave(K, dim=0)
        for key, value in prompt.items()
        if _is_sequence(prompt, key)
    }
    rows = _extend(copies, batch.response_ids.reshape(R, T))
    attention = torch.cat(
        [copies["attention_mask"], mask.reshape(R, T).to(copies["attention_mask"].dtype)], dim=-1
    )
    # Without gaps and padded on the right, every architecture finds the positions by itself.
    order = attention.argsort(dim=-1, descending=True, stable=True)[
        :, : int(attention.sum(-1).max())
    ]
    arguments = {key: value.gather(1, order) for key, value in rows.items()}
    arguments["attention_mask"] = attention.gather(1, order)
    length = copies["attention_mask"].sum(-1).reshape(B, K, 1)
    at = torch.where(mask, length + torch.arange(T, device=mask.device), 0)
    before = torch.where(mask, at - 1, 0)
    repeated = repeat_images(images, prompts=B, times=K)
    index = torch.arange(R, device=mask.device).reshape(B, K, 1)
    return _Layout({**repeated, **arguments}, index, at, before)


def _is_sequence(prompt: Mapping[str, Tensor], key: str) -> bool:
    return prompt[key].shape == prompt["input_ids"].shape


def _extend(prompt: Mapping[str, Tensor], ids: Tensor) -> dict[str, Tensor]:
    """Put response ids behind the prompt's and zeros (plain text) behind all else that goes token by token."""
    extended = {}
    for key, value in prompt.items():
        if _is_sequence(prompt, key) and key != "attention_mask":
            more = ids if key == "input_ids" else torch.zeros_like(ids)
            extended[key] = torch.cat([value, more.to(value.dtype)], dim=-1)
    return extended
