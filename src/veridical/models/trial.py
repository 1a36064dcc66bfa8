"""Try a model out: does it load, do branches agree with plain scoring, does the picture count."""

import time
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from veridical.models.branches import (
    BranchBatch,
    no_branches_reason,
    score_branches,
    stack_responses,
)
from veridical.models.loading import VisionLanguageModel, load_model, unwrap
from veridical.models.prompts.encoding import encode_prompts
from veridical.models.prompts.responses import encode_responses

QUESTION = "What is in the picture?"
RESPONSES = (
    "There is a red circle on the left.",
    "There are two dogs and a blue square in the picture.",
)
_SIDE = 224
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_HALF_TOLERANCE = 0.25
"""Nats per token; half precision rounds differently where a matrix has another shape."""


class ModelCheck(NamedTuple):
    """What came of a trial."""

    passed: bool
    """Whether branches agree with plain scoring and the picture changes the scores."""
    lines: list[tuple[str, str]]
    """What was found, name and value, to be shown."""


def try_model(name_or_path: str, *, adapter: str | None = None) -> ModelCheck:
    """Load a model and score two responses to a drawn picture, as branches and each on its own.

    Args:
        name_or_path: A folder or hub id.
        adapter: A PEFT adapter to put on top.

    Raises:
        ModelError: It does not load, or lacks what Veridical needs.
    """
    started = time.perf_counter()
    vlm = load_model(name_or_path, adapter=adapter)
    seconds = time.perf_counter() - started
    base = unwrap(vlm.model)
    batch = _example(vlm, _picture())
    reason = no_branches_reason(vlm.model)
    plain = _score(vlm, batch, plain=True)
    blind = _score(vlm, _example(vlm, Image.new("RGB", (_SIDE, _SIDE), "white")), plain=True)
    seen = float((plain - blind).abs().max())
    lines = [
        ("model", f"{vlm.name} ({type(base).__name__}, loaded in {seconds:.1f} s)"),
        (
            "weights",
            (
                f"{sum(p.numel() for p in base.parameters()) / 1e6:.1f} M, {vlm.dtype}, on"
                f" {vlm.device}"
            ),
        ),
        ("prompt", f"{batch.prompt['input_ids'].shape[1]} tokens"),
        (
            "picture",
            (
                f"changes a token's log-probability by up to {seen:.2g} nats"
                if seen
                else "CHANGES NOTHING"
            ),
        ),
    ]
    if reason is not None:
        return ModelCheck(
            seen > 0, [*lines, ("branches", f"plain scoring is used instead: {reason}")]
        )
    gap = float((_score(vlm, batch, plain=False) - plain).abs().max())
    tolerance = _TOLERANCE.get(vlm.dtype, _HALF_TOLERANCE)
    agree = gap <= tolerance
    verdict = (
        "agree with plain scoring" if agree else "DISAGREE with plain scoring; please report this"
    )
    lines.append(
        ("branches", f"{verdict}: at most {gap:.2g} nats apart a token, {tolerance:g} allowed")
    )
    return ModelCheck(agree and seen > 0, lines)


def _picture() -> Image.Image:
    picture = Image.new("RGB", (_SIDE, _SIDE), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, 70, 100, 150), fill="red")
    draw.rectangle((130, 60, 210, 160), fill="green")
    return picture


def _example(vlm: VisionLanguageModel, picture: Image.Image) -> BranchBatch:
    responses = [response.ids for response in encode_responses(vlm, RESPONSES)]
    return BranchBatch(
        encode_prompts(vlm, [QUESTION], [picture]), *stack_responses([responses])
    ).to(vlm.device)


def _score(vlm: VisionLanguageModel, batch: BranchBatch, *, plain: bool) -> Tensor:
    with torch.no_grad():
        return score_branches(vlm.model, batch, plain=plain)
