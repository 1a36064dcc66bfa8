"""The first batch that a model is trained on, checked before anything is learned from it.

A model that passes `veridical doctor` passes here. This check is for the one that nobody tried, and
for settings other than those it was tried with.
"""

from collections.abc import Mapping
from typing import Any, Protocol
from weakref import WeakSet

import torch
from torch import Tensor

from veridical.errors import ModelError
from veridical.models.loading import Model, unwrap

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_HALF_TOLERANCE = 0.25
"""Nats per token; half precision rounds differently where a matrix has another shape."""

_checked: WeakSet[Any] = WeakSet()


class Score(Protocol):
    """Scores (B K T) of response ids (B K T) to prompts."""

    def __call__(
        self, prompt: Mapping[str, Tensor], ids: Tensor, mask: Tensor, *, plain: bool = False
    ) -> Tensor:
        """Score responses, each after its own copy of the prompt if `plain`."""
        ...


def tolerance(model: Model) -> float:
    """How far two ways to the same log-probability may be apart, in nats per token."""
    dtype = next(unwrap(model).parameters()).dtype
    if torch.is_autocast_enabled(next(unwrap(model).parameters()).device.type):
        return _HALF_TOLERANCE
    return _TOLERANCE.get(dtype, _HALF_TOLERANCE)


def check_first_batch(
    model: Model,
    prompt: Mapping[str, Tensor],
    ids: Tensor,
    mask: Tensor,
    score: Score,
    *,
    branches: bool,
) -> None:
    """Check causality, sight and company on a model's first batch; later batches cost nothing.

    Args:
        model: The model; its mode is restored.
        prompt: Encoded prompts (B L).
        ids: Response tokens (B K T).
        mask: True at them (B K T).
        score: Scores responses.
        branches: Whether responses may branch off one prompt.

    Raises:
        ModelError: A later token changes an earlier score, another picture changes nothing, a
            response's scores depend on its place in the batch, or branches and prompt copies
            disagree.
    """
    inner = unwrap(model)
    if inner in _checked or not bool(mask.any()):
        return
    _checked.add(inner)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            _check(model, prompt, ids, mask, score, branches=branches)
    finally:
        model.train(was_training)


def _check(
    model: Model,
    prompt: Mapping[str, Tensor],
    ids: Tensor,
    mask: Tensor,
    score: Score,
    *,
    branches: bool,
) -> None:
    allowed = tolerance(model)
    scores = score(prompt, ids, mask)
    last = mask & ~torch.cat([mask[..., 1:], torch.zeros_like(mask[..., :1])], dim=-1)
    # Not any token, which might be a placeholder: the response's own first one.
    other = torch.where(last, ids[..., :1].expand_as(ids), ids)
    earlier = mask & ~last
    gap = _gap(score(prompt, other, mask)[earlier], scores[earlier])
    if gap > allowed:
        _fail(model, f"changing a response's last token changes earlier scores by {gap:.2g} nats")
    if branches:
        gap = _gap(score(prompt, ids, mask, plain=True), scores)
        if gap > allowed:
            _fail(model, f"branches and copies of the prompt give scores {gap:.2g} nats apart")
    else:
        # Each response in another one's row, or, if it has no siblings, in a second row.
        moved = [x.roll(1, 1) if x.shape[1] > 1 else torch.cat([x, x], 1) for x in (ids, mask)]
        gap = _gap(score(prompt, *moved)[:, -1], scores[:, -2 if ids.shape[1] > 1 else 0])
        if gap > allowed:
            _fail(model, f"its place in the batch changes a response's scores by {gap:.2g} nats")
    if "pixel_values" in prompt:
        blank = {**prompt, "pixel_values": -prompt["pixel_values"]}
        if _gap(score(blank, ids, mask), scores) == 0:
            _fail(model, "another picture changes no score")


def _gap(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max()) if found.numel() else 0.0


def _fail(model: Model, what: str) -> None:
    raise ModelError(
        f"`{unwrap(model).config.model_type}` is not scored correctly on its first batch: {what}."
        " Run `veridical doctor --model` on it and report what it shows."
    )
