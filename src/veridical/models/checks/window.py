"""How much of a row a model reads: its window against prompt, pictures and responses, in tokens.

Nothing but configuration and processor is loaded, no weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from PIL import Image

from veridical.errors import ModelError
from veridical.models.loading import VisionLanguageModel, load_without_weights
from veridical.models.prompts.encoding import encode_prompts


class Window(NamedTuple):
    """What a model reads at once."""

    tokens: int | None
    """Tokens in all; None where the model does not say."""
    image_tokens: int
    """Tokens of a picture of 640 × 480 pixels."""
    count: Callable[[str], int]
    """Tokens of a text."""


def window_of(model: str, *, trust_remote_code: bool = False) -> Window:
    """Find out what a model reads.

    Args:
        model: Folder, hub id or name of a model.
        trust_remote_code: Run code that comes with it.

    Raises:
        ModelError: It cannot be loaded.
    """
    vlm = load_without_weights(model, trust_remote_code=trust_remote_code)
    return Window(vlm.window, _image_tokens(vlm), lambda text: len(vlm.tokenizer.tokenize(text)))


def _image_tokens(vlm: VisionLanguageModel) -> int:
    shown = encode_prompts(vlm, ["What?"], [Image.new("RGB", (640, 480))])["input_ids"]
    try:
        bare = encode_prompts(vlm, ["What?"], [None])["input_ids"]
    except ModelError:  # PaliGemma's processor reads no prompt without a picture
        return int(torch.isin(shown, torch.tensor(vlm.placeholder_token_ids)).sum())
    return shown.shape[1] - bare.shape[1]
