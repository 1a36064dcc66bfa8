"""What a saved reward model is: template, tokenizer and base, checked before anything is scored."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from veridical.errors import ModelError
from veridical.files import hash_bytes
from veridical.models.hashing import model_hash
from veridical.models.loading import VisionLanguageModel, unwrap
from veridical.progress import log
from veridical.rewards.template import RewardTemplate

Pooling = Literal["last", "mean", "sum"]
"""The head reads the branch's last token, or all tokens of the response itself, averaged or
summed."""

CARD_FILE = "reward_model.json"
"""Name of the file in a reward model's folder."""


class RewardCard(BaseModel):
    """What a saved reward model is, apart from its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    """Version of this file."""
    base: str
    """Folder or hub id of its base model."""
    base_hash: str
    """Content hash of that model's weights; with weights of its own, empty."""
    base_dtype: str
    """Type of those weights when they were hashed."""
    tokenizer_hash: str
    """Content hash of tokenizer and chat template."""
    weights: Literal["adapter", "model"]
    """What the folder holds: an adapter for the base, or a whole model."""
    pooling: Pooling
    """Which states the head reads."""
    template: RewardTemplate
    """What it is shown."""
    mean: float = 0.0
    """Mean reward on held-out responses: what to subtract where rewards are to be centred."""
    deviation: float = 1.0
    """Standard deviation of the reward there: what to divide by where rewards are to be of one
    size."""


def read_card(path: Path | str) -> RewardCard:
    """Read what a saved reward model is.

    Raises:
        ModelError: There is none, or it is of another version.
    """
    file = Path(path) / CARD_FILE
    try:
        return RewardCard.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"`{path}` is not a reward model: {file.name} is missing or wrong"
            f" ({str(error).splitlines()[0]}), and without its template a reward model cannot"
            " score. Give the folder that `veridical train reward` wrote."
        ) from error


def tokenizer_hash(vlm: VisionLanguageModel) -> str:
    """Content hash of tokenizer and chat template, without the settings that calls change."""
    tokenizer = json.loads(vlm.tokenizer.backend_tokenizer.to_str())
    settings = {
        name: value for name, value in tokenizer.items() if name not in ("padding", "truncation")
    }
    template = getattr(vlm.processor, "chat_template", None) or vlm.tokenizer.chat_template
    return hash_bytes(json.dumps([settings, template], sort_keys=True).encode())


def check_tokenizer(vlm: VisionLanguageModel, card: RewardCard) -> None:
    """Reject a tokenizer or chat template other than the one the reward model was trained with."""
    if tokenizer_hash(vlm) != card.tokenizer_hash:
        raise ModelError(
            "The reward model was trained with a tokenizer or chat template other than that of"
            f" `{vlm.name}`, so it would read other tokens. Give its own base, `{card.base}`."
        )


def check_base_weights(vlm: VisionLanguageModel, card: RewardCard) -> None:
    """Reject a base of other weights; one of another precision is only logged as unchecked."""
    quantised = bool(getattr(unwrap(vlm.model), "is_quantized", False))
    if quantised or str(vlm.dtype) != card.base_dtype:
        held = f"{vlm.dtype}{', quantised' if quantised else ''}"
        log(
            f"Not checked whether `{vlm.name}` is the reward model's base: it is in {held} now and"
            f" was in {card.base_dtype} then."
        )
    elif model_hash(vlm.model, adapters=False) != card.base_hash:
        raise ModelError(
            f"The reward model was trained on weights other than those of `{vlm.name}`. Give its"
            f' base, `{card.base}`, or set check_base = "any" if you know that they fit (as for a'
            " reward model saved before fingerprints of weights changed)."
        )
