"""The plan of a study: hypotheses with metric, margin, unit and correction, fixed before the runs.

It is a TOML file that is committed before its results; verdicts quote its hash.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from veridical.config import Recipe, resolve_recipe
from veridical.files import JsonObject, hash_bytes
from veridical.world.known_facts import FactsModel
from veridical.world.scenes import IMAGE_PIXELS

Paper = Literal["rlhf-v", "llava-rlhf"]


class Guard(Recipe):
    """What must not be lost for a claim to count as shown."""

    metric: str
    """Name of the metric: "object_coverage"."""
    loses_at_most: float = Field(gt=0)
    """The largest loss that is accepted, in the metric's units."""


class Hypothesis(Recipe):
    """One claim, as it is tested."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    """Short name."""
    claim: str
    """The claim in a sentence."""
    source: str
    """Where it comes from: paper and place, or "ours"."""
    first: str
    """The arm that it is compared with."""
    second: str
    """The arm that is claimed to be better."""
    metric: str = "hallucination_rate"
    """The primary metric."""
    claimed: Literal["lower", "higher"] = "lower"
    """What `second` should be."""
    scale: Literal["difference", "relative"] = "difference"
    """Compare second − first, or (second − first) / first."""
    by_at_least: float = 0.0
    """Margin: how much lower or higher, on that scale; below 0: no worse than by that much."""
    keeps: Guard | None = None
    """Shown only if this is kept, too (an intersection-union test: the larger p counts)."""


class Plan(Recipe):
    """What the plans of all studies state."""

    study: Paper
    """Which paper."""
    fixed: str
    """Date on which the plan was fixed."""
    note: str
    """What a reader must know about the test bench."""
    seeds: int = Field(ge=2)
    """Training seeds per arm; each draws its own judgements and scenes. The unit of every test."""
    test_scenes: int = Field(ge=20)
    """Unseen scenes that each seed's policies describe."""
    probe_scenes: int = Field(ge=5)
    """How many of them are probed with yes/no questions."""
    minutes_per_correction: float = Field(default=1.0, gt=0)
    """Time that a correction costs a person."""
    minutes_per_comparison: tuple[float, ...] = (0.5,)
    """Time that a comparison costs, one entry per cost model."""
    arms: tuple[str, ...] = ()
    """The arms that are trained, where not all are; those of the hypotheses among them."""
    hypotheses: tuple[Hypothesis, ...]
    """What is tested; p is adjusted by Holm over all of them."""

    @model_validator(mode="after")
    def _hypotheses_differ(self) -> Self:
        names = [one.id for one in self.hypotheses]
        if len(set(names)) != len(names):
            raise ValueError("two hypotheses have one `id`")
        return self

    @model_validator(mode="after")
    def _arms_are_enough(self) -> Self:
        tested = {arm for one in self.hypotheses for arm in (one.first, one.second)}
        trained = {arm for arm in tested if arm != "base" and not arm.startswith("habit-")}
        if self.arms and not trained <= set(self.arms):
            missing = ", ".join(sorted(trained - set(self.arms)))
            raise ValueError(f"`arms` must name what the hypotheses compare; it lacks {missing}")
        return self


class RlhfVPlan(Plan):
    """The plan of RLHF-V's study."""

    study: Literal["rlhf-v"]
    """The paper."""
    validation_scenes: int = Field(ge=20)
    """Scenes on which checkpoints are chosen."""
    corrections: tuple[int, ...]
    """Sizes of the curve of corrections."""
    standard: int
    """How many corrections the other arms learn from; in the curve."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.standard not in self.corrections:
            raise ValueError(f"`standard` ({self.standard}) must be one of `corrections`")
        return self

    def comparisons(self) -> tuple[int, ...]:
        """How many comparisons cost as much as the standard corrections, by cost model."""
        total = self.standard * self.minutes_per_correction
        return tuple(round(total / minutes) for minutes in self.minutes_per_comparison)


class LlavaRlhfPlan(Plan):
    """The plan of LLaVA-RLHF's study. Every arm keeps its last checkpoint: nothing is chosen."""

    study: Literal["llava-rlhf"]
    """The paper."""
    questions_per_type: int = Field(ge=1)
    """MMHal-style questions of each type, on scenes of their own."""
    pixels: int = Field(default=32, ge=8, le=IMAGE_PIXELS)
    """Resolution of all pictures but those of `sharp_pixels`."""
    sharp_pixels: int = Field(default=IMAGE_PIXELS, ge=8, le=IMAGE_PIXELS)
    """Resolution at which reward models are trained once more, to see what facts are worth where
    the picture can be seen well."""
    comparisons: int = Field(ge=64)
    """Comparisons to learn from."""
    held_out_comparisons: int = Field(ge=32)
    """Comparisons by people who never err, on which reward models are measured."""
    facts: dict[str, FactsModel]
    """What reward models read about a picture, by name; "complete" is what policies are
    rewarded with."""
    prompts: int = Field(ge=16)
    """Prompts that policies learn on."""
    curve_prompts: int = Field(ge=8)
    """Held-out prompts on which reward and judge are followed."""
    best_of: int = Field(default=8, ge=2)
    """n of best-of-n."""
    reward: JsonObject = Field(default_factory=dict)
    """Settings that override the recipe `reward-world`."""
    ppo: JsonObject = Field(default_factory=dict)
    """Settings that override the recipe `ppo-world`, for every policy."""
    unpriced: JsonObject = Field(default_factory=dict)
    """Further settings of the policies that no KL price holds back."""
    dpo: JsonObject = Field(default_factory=dict)
    """Settings that override the recipe `dpo-world`."""

    @model_validator(mode="after")
    def _facts_are_complete_too(self) -> Self:
        if "complete" not in self.facts:
            raise ValueError('`facts` must have an entry "complete"')
        return self

    @property
    def corrections(self) -> int:
        """Corrections that cost people as much time as the comparisons."""
        minutes = self.comparisons * self.minutes_per_comparison[0]
        return max(32, round(minutes / self.minutes_per_correction))


PLANS: dict[Paper, type[RlhfVPlan] | type[LlavaRlhfPlan]] = {
    "rlhf-v": RlhfVPlan,
    "llava-rlhf": LlavaRlhfPlan,
}
"""What a plan must state, by study."""


def load_plan(study: Paper, *, quick: bool = False) -> tuple[RlhfVPlan | LlavaRlhfPlan, str]:
    """Read the shipped plan of a study.

    Args:
        study: Which paper.
        quick: The same hypotheses on a fraction of the data: shows that everything runs.

    Returns:
        The plan and the hash of its file.
    """
    name = f"{study}-quick.toml" if quick else f"{study}.toml"
    data = resources.files("veridical.studies.reproduce").joinpath("plans", name).read_bytes()
    return parse_plan(data, study, where=name)


def read_plan(path: Path, study: Paper) -> tuple[RlhfVPlan | LlavaRlhfPlan, str]:
    """Read the plan in a file."""
    return parse_plan(path.read_bytes(), study, where=str(path))


def parse_plan(data: bytes, study: Paper, *, where: str) -> tuple[RlhfVPlan | LlavaRlhfPlan, str]:
    """Check a plan of a study and hash it."""
    stated = tomllib.loads(data.decode())
    return resolve_recipe(stated, PLANS[study], where=where), hash_bytes(data)
