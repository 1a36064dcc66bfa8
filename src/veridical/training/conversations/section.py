"""The settings of a file of conversations that is learnt from. LLaVA-RLHF is arXiv 2309.14525."""

from pydantic import Field

from veridical.config import Recipe
from veridical.training.run.paths import DataPath


class ConversationSection(Recipe):
    """What is learnt from."""

    conversations: DataPath = ""
    """JSONL file of conversations; image paths in it are relative to its folder. Needed,
    unless the data is given in memory. LLaVA-RLHF: 226 k
    rows for SFT, 15 k for the policy's start."""
    validation_fraction: float = Field(default=0.02, ge=0, lt=1)
    """Share of the images whose conversations are held out to choose the checkpoint; no image is on
    both sides. LLaVA-RLHF holds nothing out."""
    max_tokens: int = Field(default=1280, ge=2)
    """Longest part after the first question, in tokens; a longer one is cut after an answer's
    token and counted. LLaVA-RLHF: 1280 for the whole conversation."""
    weights: dict[str, float] = Field(default_factory=dict)
    """How often the training conversations of a part of a mix (`data mix`) are seen per epoch, for
    instance {"vqa-v2" = 0.5}: the whole part of the number for all of them, the rest for a drawn
    share. Parts that are not named: 1. LLaVA-RLHF: 1 for all."""
    images_outside: bool = False
    """Accept images that lie outside of the conversations' folder."""
    skip_bad: bool = False
    """Leave bad rows out, and keep them in a file in the run directory."""
