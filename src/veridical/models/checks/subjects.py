"""What the checks of a model have in common: pictures, questions, responses, and their scores."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.checks.first_batch import tolerance
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import Images, encode_prompts
from veridical.models.prompts.responses import encode_responses

QUESTIONS = ("What is in the picture?", "Which objects can be seen on the left of the picture?")
RESPONSES = (
    "There is a red circle on the left.",
    "There are two dogs and a blue square in the picture.",
)
SIZES = ((224, 160), (130, 260))


class Found(NamedTuple):
    """What came of a check."""

    passed: bool | None
    """Whether it holds; None if the model has no such ability, which is not a fault."""
    detail: str
    """What was found."""


def drawn_picture(size: tuple[int, int]) -> Image.Image:
    """A circle and a rectangle on white, of a size (width, height)."""
    width, height = size
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((width // 10, height // 4, width // 2, 3 * height // 4), fill="red")
    draw.rectangle((6 * width // 10, height // 5, 9 * width // 10, 4 * height // 5), fill="green")
    return picture


PICTURES = [drawn_picture(size) for size in SIZES]


@torch.no_grad()
def score_all(
    vlm: VisionLanguageModel,
    questions: Sequence[str],
    pictures: Sequence[Images],
    responses: Sequence[Sequence[int]],
    *,
    plain: bool = True,
) -> Tensor:
    """Scores (B K T) of the same K responses to each of B prompts."""
    prompt = encode_prompts(vlm, questions, pictures)
    batch = BranchBatch(prompt, *stack_responses([responses] * len(questions)))
    return score_branches(vlm.model, batch.to(vlm.device), plain=plain).cpu()


def response_ids(vlm: VisionLanguageModel) -> list[list[int]]:
    """Token ids of the responses."""
    return [response.ids for response in encode_responses(vlm, RESPONSES)]


def agree(vlm: VisionLanguageModel, found: Tensor, expected: Tensor) -> Found:
    """Whether two ways to the same scores agree."""
    gap, allowed = float((found - expected).abs().max()), tolerance(vlm.model)
    return Found(gap <= allowed, f"at most {gap:.2g} nats apart per token, {allowed:g} allowed")
