"""How much of a row a model reads: its window against prompt, pictures and responses, in tokens.

Nothing but configuration and processor is loaded, no weights.
"""

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image

from veridical.models.loading import load_without_weights
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
    picture = Image.new("RGB", (640, 480))
    bare, shown = (
        int(encode_prompts(vlm, ["What?"], [image])["input_ids"].shape[1])
        for image in (None, picture)
    )
    return Window(vlm.window, shown - bare, lambda text: len(vlm.tokenizer.tokenize(text)))
