"""How large the demo is."""

from pydantic import Field

from veridical.config import Recipe
from veridical.files import JsonObject
from veridical.world.people.person import PersonModel


class DemoRecipe(Recipe):
    """How large the demo is. Scenes of test, validation and training are never the same."""

    seed: int = Field(default=0, ge=0)
    """Root seed of scenes, samples, people and training."""
    corrections: int = Field(default=1400, ge=32)
    """Corrections to learn from. RLHF-V: 1,401."""
    test_scenes: int = Field(default=1000, ge=20)
    """Unseen scenes that both models describe."""
    probe_scenes: int = Field(default=250, ge=5)
    """How many of them are probed with yes/no questions, four each."""
    questions_per_type: int = Field(default=48, ge=1)
    """MMHal-style questions of each of the eight types. MMHal-Bench: 12."""
    validation_scenes: int = Field(default=200, ge=20)
    """Scenes on which the checkpoint is chosen."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of the responses that people correct."""
    person: PersonModel = Field(default_factory=PersonModel)
    """The simulated people: their rates of misses and slips."""
    training: JsonObject = Field(default_factory=dict)
    """Settings that override the recipe `dpo-world`, by section: `training.train.epochs=2`."""


QUICK = DemoRecipe(
    corrections=640, test_scenes=240, probe_scenes=60, questions_per_type=12, validation_scenes=60
)
"""The same loop in a fraction of the time, with wider intervals."""
