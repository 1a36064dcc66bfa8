r"""One prompt, many responses: K branches after a prompt that is encoded once.

A comparison, a correction, k samples for PPO or best-of-n: always one image and one question (576
image tokens and more) with a few short responses. Laid out as one row

    prompt | response 1 | response 2 | … | response K

under a tree mask (a response's token sees the prompt and its own response's past, nothing else) and
with positions that continue from the prompt's end in every branch, one forward gives what K
forwards over prompt + response give: for a 600-token prompt and two 100-token responses, 800 tokens
instead of 1,400. Vocabulary logits are computed only where a token is scored, in chunks, so that
memory does not grow with V times the length of the prompt.

Where an architecture or attention kernel does not allow it, or it would cost more (`path_choice`),
every response gets its own copy of the prompt (the plain path); the result is the same up to
rounding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from veridical.errors import ModelError
from veridical.models.architectures.images import ImageOutputs, image_arguments
from veridical.models.architectures.parts import last_hidden_states, run_whole
from veridical.models.architectures.positions import (
    log_once,
    no_fast_path_reason,
    no_tree_reason,
)
from veridical.models.branch_layout import Layout, lay_out_branches, lay_out_plain
from veridical.models.checks.first_batch import check_first_batch
from veridical.models.kernels.packed_layout import lay_out_packed, no_packing_reason
from veridical.models.loading import Model, unwrap
from veridical.models.path_choice import copies_reason, note_path
from veridical.models.sending import send
from veridical.models.token_scores import Sampling, score_logits, score_tokens


class HostMasks(NamedTuple):
    """Masks of a batch on the host, so that nobody has to wait for the device to read them."""

    prompt: Tensor
    """True at the prompts' tokens (B L)."""
    response: Tensor
    """True at the responses' tokens (B K T)."""


@dataclass(frozen=True)
class BranchBatch:
    """B prompts with K responses each."""

    prompt: dict[str, Tensor]
    """What `encode_prompts` gives: B padded prompts and their images."""
    response_ids: Tensor
    """Token ids (B K T)."""
    response_mask: Tensor
    """True at the responses' tokens (B K T), which fill T from the left; a branch may be empty."""
    host_masks: HostMasks | None = None
    """Both masks on the host, where they are known there; else they are fetched."""

    def __post_init__(self) -> None:
        """Check shapes, and that masks have no holes: a token after one would lack its context."""
        if self.response_ids.ndim != 3 or self.response_ids.shape != self.response_mask.shape:
            raise ModelError(
                "response_ids and response_mask must both be (B K T), got"
                f" {tuple(self.response_ids.shape)} and {tuple(self.response_mask.shape)}."
            )
        if self.response_ids.shape[0] != self.prompt["input_ids"].shape[0]:
            raise ModelError(
                f"Every prompt needs its responses, got {self.prompt['input_ids'].shape[0]} "
                f"prompts and responses to {self.response_ids.shape[0]}."
            )
        mask = self.response_mask
        if mask.device.type == "cpu" and bool((mask[..., 1:] & ~mask[..., :-1]).any()):
            raise ModelError(
                "response_mask must be True from the first token to the last, without holes."
            )

    def to(self, device: torch.device | str) -> "BranchBatch":
        """Move all tensors."""
        prompt = {key: value.to(device, non_blocking=True) for key, value in self.prompt.items()}
        known = self.on_host()
        return BranchBatch(
            prompt, self.response_ids.to(device), self.response_mask.to(device), known
        )

    def on_host(self) -> HostMasks:
        """Both masks on the host."""
        if self.host_masks is not None:
            return self.host_masks
        return HostMasks(self.prompt["attention_mask"].bool().cpu(), self.response_mask.cpu())


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


def no_branches_reason(model: Model) -> str | None:
    """Why responses of this model need a copy of the prompt each; None where they can branch."""
    attention = unwrap(model).config.get_text_config()._attn_implementation
    if attention not in ("sdpa", "eager"):
        return f"the attention implementation `{attention}` takes no tree mask (sdpa and eager do)"
    return no_tree_reason(model)


class BranchOutputs(NamedTuple):
    """What one forward gives for the responses' tokens; all 0 where `response_mask` is False."""

    logprobs: Tensor
    """Token log-probabilities (B K T) in nats, float32."""
    entropies: Tensor
    """Entropy of the distribution that each token was chosen from (B K T), in nats; detached."""
    states: Tensor
    """Last hidden states that predict the tokens (B K T D): what a value head reads."""


def score_branches(
    model: Model,
    batch: BranchBatch,
    *,
    image_outputs: ImageOutputs | None = None,
    plain: bool = False,
) -> Tensor:
    """Log-probabilities of the responses' tokens, given image, question and what precedes each.

    Args:
        model: The model, with adapters or without.
        batch: Prompts and responses, on the model's device.
        image_outputs: Images encoded before (`FeatureCache.image_outputs`, `encode_images`),
            instead of the pixels.
        plain: Score each response after its own copy of the prompt, even where branches would do.

    Returns:
        Token log-probabilities (B K T) in nats, float32; 0 where `response_mask` is False.
    """
    return _evaluate(
        model, batch, image_outputs, plain=plain, sampling=None, entropies=False
    ).logprobs


def evaluate_branches(
    model: Model,
    batch: BranchBatch,
    *,
    sampling: Sampling | None = None,
    image_outputs: ImageOutputs | None = None,
    plain: bool = False,
) -> BranchOutputs:
    """Log-probabilities, entropies and hidden states from one forward: what PPO needs of a policy.

    Args:
        model: The model, with adapters or without.
        batch: Prompts and responses, on the model's device.
        sampling: The distribution that the responses were drawn from; by default the model's own.
        image_outputs: Images encoded before, instead of the pixels.
        plain: Give each response its own prompt copy.
    """
    return _evaluate(model, batch, image_outputs, plain=plain, sampling=sampling, entropies=True)


def _evaluate(
    model: Model,
    batch: BranchBatch,
    image_outputs: ImageOutputs | None,
    *,
    plain: bool,
    sampling: Sampling | None,
    entropies: bool,
) -> BranchOutputs:
    layout, mask = _lay_out(model, batch, image_outputs, plain=plain), batch.response_mask
    # Indexing by the mask itself would wait for the device to count it.
    tokens = send(batch.on_host().response.reshape(-1).nonzero().squeeze(-1), mask.device)
    rows, columns, ids = (
        values.reshape(-1)[tokens]
        for values in (layout.rows.expand_as(mask), layout.before, batch.response_ids)
    )
    if no_tree_reason(model) is None:
        states = last_hidden_states(model, layout.arguments)[rows, columns]
        scores = score_tokens(model, states, ids, sampling=sampling, with_entropies=entropies)
    else:
        # Some architectures scale or cap their logits; where that is not known, the model's own
        # forward computes them.
        output, given = run_whole(model, layout.arguments)
        states = given[rows, columns]
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
    model: Model,
    batch: BranchBatch,
    *,
    at: Literal["token", "before"] = "token",
    image_outputs: ImageOutputs | None = None,
    plain: bool = False,
) -> Tensor:
    """Last hidden states (after the final norm) of the responses: what reward and value heads read.

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
    hidden = last_hidden_states(model, layout.arguments)
    index = layout.at if at == "token" else layout.before
    states = hidden[layout.rows.expand_as(index), index]
    return states.masked_fill(~batch.response_mask.unsqueeze(-1), 0)


def _check_first_batch(
    model: Model, batch: BranchBatch, image_outputs: ImageOutputs | None
) -> None:
    def score(
        prompt: Mapping[str, Tensor], ids: Tensor, mask: Tensor, *, plain: bool = False
    ) -> Tensor:
        other = BranchBatch(dict(prompt), ids, mask)
        return score_branches(model, other, image_outputs=image_outputs, plain=plain)

    prompt = batch.prompt
    if image_outputs is not None:  # then pixels that may be there are not looked at
        prompt = {key: value for key, value in prompt.items() if key != "pixel_values"}
    check_first_batch(
        model,
        prompt,
        batch.response_ids,
        batch.response_mask,
        score,
        branches=no_branches_reason(model) is None,
    )


def _lay_out(
    model: Model, batch: BranchBatch, image_outputs: ImageOutputs | None, *, plain: bool
) -> Layout:
    if torch.is_grad_enabled():
        _check_first_batch(model, batch, image_outputs)
    images = image_arguments(model, batch.prompt, image_outputs)
    reason = None if plain else no_branches_reason(model)
    causal = no_fast_path_reason(model) is None
    if reason is None and not plain and causal and no_packing_reason(model) is None:
        note_path(model, "packed branches")
        return lay_out_packed(
            model, batch.prompt, batch.response_ids, *batch.on_host(), images=images
        )
    if reason is None and not plain:
        reason = copies_reason(model, batch.prompt["attention_mask"], batch.response_mask)
    if reason is not None:
        log_once(f"Each response is scored after its own copy of the prompt: {reason}.")
    if not plain:
        note_path(model, "branches" if reason is None else "copies of the prompt")
    lay_out = lay_out_plain if plain or reason is not None else lay_out_branches
    return lay_out(model, batch.prompt, batch.response_ids, batch.response_mask, images)
