"""The recipe of preference training: every setting with its unit, the papers' values and where they come from.

RLHF-V is arXiv 2312.00849; "released code" is its training repository (thunlp/Muffin), which was
published with three different settings, of which only the first implements the paper's Eq. 5.
LLaVA-RLHF is arXiv 2309.14525, RLAIF-V is arXiv 2405.17220, DPO is arXiv 2305.18290. A value set in
the recipe wins over the method's, that over the preset's.
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from veridical.config import Recipe
from veridical.training.run.presets import as_said, fill_in, settings_of
from veridical.training.run.settings import ModelSection, TrainSection

Preset = Literal["none", "rlhf-v", "veridical"]

PRESETS: dict[Preset, dict[str, dict[str, Any]]] = {
    "none": {},
    "rlhf-v": {
        "model": {"tuning": "full"},
        "objective": {
            "name": "dense_dpo",
            "beta": 0.5,
            "segment_weight": 5.0,
            "normalize": "weighted_mean",
            "diff": "original",
            "one_sided": "ignore",
        },
        "train": {
            "learning_rate": 5e-7,
            "batch_size": 32,
            "epochs": 7,
            "warmup_ratio": 0.1,
            "schedule": "cosine",
            "weight_decay": 0.0,
        },
    },
    "veridical": {
        "objective": {
            "name": "dense_dpo",
            "beta": 10.0,
            "segment_weight": 5.0,
            "normalize": "weighted_mean",
            "diff": "words",
            "one_sided": "anchor",
        },
        "train": {
            "learning_rate": 1e-5,
            "batch_size": 32,
            "epochs": 1,
            "warmup_ratio": 0.1,
            "schedule": "cosine",
            "weight_decay": 0.0,
        },
    },
}
"""Settings by preset: "rlhf-v" are the paper's (section 5.1 and appendix), "veridical" are those
that kept coverage on validation scenes of the embedded world (four pairs of beta and learning rate
tried)."""

METHODS: dict[str, dict[str, dict[str, Any]]] = {
    "dpo": {"objective": {"beta": 0.1, "segment_weight": 1.0, "normalize": "sum"}},
    "dense_dpo": {},
}
"""Settings that belong to a method whatever the preset says."""


class DataSection(Recipe):
    """What is learnt from."""

    corrections: str = Field(min_length=1)
    """JSONL file of corrections; image paths in it are relative to its folder. RLHF-V: 1,401
    corrections."""
    validation_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of the images whose pairs are held out to choose the checkpoint; no image is on both
    sides. Ours."""
    max_response_tokens: int = Field(default=1024, ge=1)
    """Longest response in tokens; a longer one is cut at the end. Released code: 2048 for prompt
    and response."""
    images_outside: bool = False
    """Accept images that lie outside of the corrections' folder."""
    skip_bad: bool = False
    """Put bad rows aside, into a file beside the run's output, and go on."""


class ObjectiveSection(Recipe):
    """The loss, see `veridical.objectives`."""

    name: Literal["dpo", "dense_dpo"] = "dense_dpo"
    """ "dpo" is direct preference optimization (arXiv 2305.18290); "dense_dpo" weighs corrected
    segments (RLHF-V)."""
    beta: float = Field(default=0.5, gt=0)
    """Strength of the tie to the reference, per nat; not comparable between `normalize` settings.
    RLHF-V: 0.5 with the weighted mean; later releases of its code: 0.1 with the sum. DPO: 0.1."""
    segment_weight: float = Field(default=5.0, gt=0)
    """Weight of a corrected token, others weigh 1 (γ in Eq. 5). RLHF-V: 5; the latest release of
    its code: 1.1."""
    normalize: Literal["weighted_mean", "sum"] = "weighted_mean"
    """Divide a response's score by the sum of its weights (N in Eq. 5), or not. RLHF-V:
    weighted_mean; later releases of its code and plain DPO: sum."""
    diff: Literal["words", "original"] = "words"
    """How corrected tokens are found: from segments in the text, or from token ids as the released
    code does."""
    one_sided: Literal["anchor", "mark", "ignore"] = "anchor"
    """What pure deletions and insertions mark: words and the seam on the other side, the words
    only, or nothing (the released code). Only with diff = "words"."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Probability that a preference is the wrong way round (conservative DPO). RLHF-V: 0."""
    sft_weight: float = Field(default=0.0, ge=0)
    """Weight of the chosen response's negative mean log-probability, added to the loss. RLHF-V:
    0."""

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if self.name == "dpo" and self.segment_weight != 1:
            raise ValueError(
                '`segment_weight` must be 1 for "dpo", which weighs all tokens alike; use'
                ' "dense_dpo"'
            )
        return self


class PreferenceRecipe(Recipe):
    """Train a model on corrections by DPO or dense DPO (`veridical train dpo`)."""

    preset: Preset = "none"
    """Where settings that the recipe leaves out come from: "rlhf-v" (the paper's), "veridical"
    (ours), "none"."""
    model: ModelSection
    """The model."""
    data: DataSection
    """The data."""
    objective: ObjectiveSection = Field(default_factory=ObjectiveSection)
    """The loss."""
    train: TrainSection = Field(default_factory=TrainSection)
    """The optimisation."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Fill in what is not said, from the method and then from the preset."""
        if not isinstance(data, dict):
            return data
        said = as_said(data)
        preset = settings_of(PRESETS, said.get("preset", "none"))
        named = (
            said.get("objective", {}).get("name")
            if isinstance(said.get("objective", {}), dict)
            else None
        )
        method = settings_of(METHODS, named or preset.get("objective", {}).get("name", "dense_dpo"))
        return fill_in(said, method, preset)
