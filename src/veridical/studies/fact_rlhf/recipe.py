"""How large the Fact-RLHF loop is, and what its people, facts and questions are like."""

from pydantic import Field

from veridical.config import Recipe
from veridical.files import JsonObject
from veridical.studies.world_prompts import QuestionMix
from veridical.world.base import WORLD_MODEL
from veridical.world.known_facts import FactsModel
from veridical.world.people.person import PersonModel
from veridical.world.scenes import IMAGE_PIXELS


class FactRlhfRecipe(Recipe):
    """How large the loop is. Scenes of test, validation and training are never the same."""

    base: str = WORLD_MODEL
    """The model that is aligned: "world", or the folder of another one made by `veridical world
    pretrain`."""
    seed: int = Field(default=0, ge=0)
    """Root seed of scenes, samples and people."""
    training_seeds: int = Field(default=1, ge=1)
    """How often reward models and policies are trained, each time from another seed; results are
    pooled."""
    pixels: int = Field(default=32, ge=8, le=IMAGE_PIXELS)
    """Resolution of all pictures, pixels a side. At 120 the base sees all but what is
    covered; at 32 it sees about as badly as real models do, which is what facts are for."""
    comparisons: int = Field(default=6000, ge=64)
    """Comparisons to learn from. LLaVA-RLHF: 9,422."""
    held_out_comparisons: int = Field(default=1000, ge=32)
    """Comparisons by people who never err, on which reward models are measured."""
    dependence_comparisons: int = Field(default=500, ge=16)
    """How many of them are scored again with facts that are incomplete or wrong."""
    comparison_seconds: float = Field(default=30.0, gt=0)
    """Time that one comparison is taken to cost a person. Assumed; neither paper reports it."""
    correction_seconds: float = Field(default=60.0, gt=0)
    """Time that one correction is taken to cost. Assumed; it sets how many corrections the same
    effort buys."""
    prompts: int = Field(default=3072, ge=16)
    """Prompts that PPO answers. LLaVA-RLHF: 72,000."""
    curve_prompts: int = Field(default=256, ge=8)
    """Held-out prompts on which proxy reward and judge are followed."""
    test_scenes: int = Field(default=1000, ge=20)
    """Unseen scenes that every arm describes."""
    probe_scenes: int = Field(default=250, ge=5)
    """How many of them are probed with yes/no questions, four each."""
    questions_per_type: int = Field(default=48, ge=1)
    """MMHal-style questions of each of the eight types."""
    best_of: int = Field(default=8, ge=2)
    """n of best-of-n."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of the responses that people see."""
    person: PersonModel = Field(default_factory=PersonModel)
    """The simulated people: how often they prefer the wrong response."""
    facts: FactsModel = Field(default_factory=FactsModel)
    """What is known of the scenes that reward models are trained and used on."""
    questions: QuestionMix = Field(default_factory=QuestionMix)
    """What people compare answers to, and what PPO asks."""
    reward: JsonObject = Field(default_factory=dict)
    """Settings that override the recipe `reward-world`, by section: `reward.train.epochs=2`."""
    ppo: JsonObject = Field(default_factory=dict)
    """Settings that override the recipe `ppo-world`, by section: `ppo.train.iterations=6`."""
    dpo: JsonObject = Field(default_factory=dict)
    """Settings that override the recipe `dpo-world`, by section."""

    @property
    def corrections(self) -> int:
        """Corrections that cost people as much time as the comparisons."""
        return max(32, round(self.comparisons * self.comparison_seconds / self.correction_seconds))


QUICK_FACT_RLHF = FactRlhfRecipe(
    comparisons=1200,
    held_out_comparisons=200,
    prompts=768,
    curve_prompts=64,
    test_scenes=200,
    probe_scenes=50,
    questions_per_type=12,
    best_of=4,
    ppo={"train": {"iterations": 6, "evaluation_iterations": 2}},
)
"""The same loop in a fraction of the time, with wider intervals."""
