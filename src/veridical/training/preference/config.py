"""The recipe of preference training: settings with units, the papers' values and their sources.

RLHF-V is arXiv 2312.00849; "released code" is its training repository (thunlp/Muffin), which was
published with three different settings; only the first implements the paper's Eq. 5.
LLaVA-RLHF is arXiv 2309.14525, RLAIF-V is arXiv 2405.17220. A value set in the recipe wins over the
preset's, that over the objective's default.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from veridical.config import Recipe
from veridical.training.conversations.section import ConversationSection
from veridical.training.preference.objectives.protocol import Objective
from veridical.training.preference.objectives.registry import DEFAULT, OBJECTIVES, AnyObjective
from veridical.training.run.paths import DataPath
from veridical.training.run.settings import (
    ModelSection,
    Sections,
    TrainingRecipe,
    TrainSection,
    fill_in,
    given_settings,
    settings_of,
)

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


class DataSection(Recipe):
    """What is learnt from."""

    corrections: DataPath = ""
    """File of corrections (or of comparisons or ratings, with prompts and responses next to it);
    image paths in it are relative to its folder. Needed, unless the data is given in memory.
    RLHF-V: 1,401 corrections."""
    rating_margin: float = Field(default=1.0, gt=0)
    """Least difference, in points, of the ratings of two responses that make a pair. Ours."""
    validation_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of the images whose pairs are held out to choose the checkpoint; no image is on both
    sides. Ours."""
    max_response_tokens: int = Field(default=1024, ge=1)
    """Longest response in tokens; a longer one is cut at the end. Released code: 2048 for prompt
    and response."""
    images_outside: bool = False
    """Accept images that lie outside of the corrections' folder."""
    skip_bad: bool = False
    """Move bad rows into a file next to the run's output, and continue."""


class SftStreamSection(ConversationSection):
    """Conversations that the policy is fine-tuned on beside the pairs.

    The loss of a step is that of its pairs plus `weight` times the cross-entropy (nats per token)
    of the answers in as many conversations, drawn in passes of their own. RLHF-V fine-tunes on
    VQAv2 before its DPO; the stream keeps short answers alive during it. `objective.sft_weight` is
    another term: the likelihood of the pairs' own chosen responses.
    """

    conversations: DataPath = ""
    """JSONL file of conversations, as `train sft` and `data mix` have them; image paths in it are
    relative to its folder. Empty: no second stream."""
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Weight of the conversations' cross-entropy; 0: the stream is not read, as if there were
    none. Ours."""
    batch_size: int = Field(default=0, ge=0)
    """Conversations per optimiser step, `train.micro_batch_size` at a time; 0: as many as pairs
    (`train.batch_size`)."""


class PreferenceRecipe(TrainingRecipe):
    """Train a model on corrections by a preference objective (`veridical train dpo`)."""

    preset: Preset = "none"
    """Where settings that the recipe leaves out come from: "rlhf-v" (the paper's), "veridical"
    (ours), "none"."""
    model: ModelSection
    """The model."""
    data: DataSection = Field(default_factory=DataSection)
    """The data."""
    objective: AnyObjective = Field(default_factory=OBJECTIVES[DEFAULT])
    """The loss; its `name` decides which settings there are."""
    sft: SftStreamSection = Field(default_factory=SftStreamSection)
    """A second stream: fine-tuning on conversations beside the pairs, for instance on VQAv2."""
    train: TrainSection = Field(default_factory=TrainSection)
    """The optimisation."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Fill in from the preset what the recipe leaves out."""
        if not isinstance(data, dict):
            return data
        said = given_settings(data)
        given = data.get("objective")
        if isinstance(given, Objective):
            said["objective"] = {"name": given.name, **said["objective"]}
        preset = settings_of(PRESETS, said.get("preset", "none"))
        return fill_in(said, _fitting(preset, said.get("objective")))


def _fitting(preset: Sections, objective: object) -> Sections:
    """A preset without settings of another objective than the one that the recipe names."""
    theirs = preset.get("objective", {})
    named = objective.get("name") if isinstance(objective, dict) else None
    if named is None or named == theirs.get("name"):
        return preset
    shared = {key: value for key, value in theirs.items() if key in Objective.model_fields}
    return {**preset, "objective": shared}
