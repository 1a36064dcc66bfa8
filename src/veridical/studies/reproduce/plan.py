"""The plan of a study: hypotheses with metric, margin, unit and correction, fixed before the runs.

It is a TOML file that is committed before its results; verdicts quote its hash.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from veridical.config import Recipe, resolve_recipe
from veridical.files import hash_bytes

Paper = Literal["rlhf-v"]


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
    """A study's plan."""

    study: Paper
    """Which paper."""
    fixed: str
    """Date on which the plan was fixed."""
    note: str
    """What a reader must know about the test bench."""
    seeds: int = Field(ge=2)
    """Training seeds per arm; each draws its own judgements. The unit of every test."""
    test_scenes: int = Field(ge=20)
    """Unseen scenes that every policy describes."""
    probe_scenes: int = Field(ge=5)
    """How many of them are probed with yes/no questions."""
    validation_scenes: int = Field(ge=20)
    """Scenes on which checkpoints are chosen."""
    corrections: tuple[int, ...]
    """Sizes of the curve of corrections."""
    standard: int
    """How many corrections the other arms learn from; in the curve."""
    minutes_per_correction: float = 1.0
    """Time that a correction costs a person."""
    minutes_per_comparison: tuple[float, ...] = (0.5,)
    """Time that a comparison costs, one entry per cost model."""
    hypotheses: tuple[Hypothesis, ...]
    """What is tested; p is adjusted by Holm over all of them."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.standard not in self.corrections:
            raise ValueError(f"`standard` ({self.standard}) must be one of `corrections`")
        names = [one.id for one in self.hypotheses]
        if len(set(names)) != len(names):
            raise ValueError("two hypotheses have one `id`")
        return self

    def comparisons(self) -> tuple[int, ...]:
        """How many comparisons cost as much as the standard corrections, by cost model."""
        total = self.standard * self.minutes_per_correction
        return tuple(round(total / minutes) for minutes in self.minutes_per_comparison)


def load_plan(study: Paper, *, quick: bool = False) -> tuple[Plan, str]:
    """Read the shipped plan of a study.

    Args:
        study: Which paper.
        quick: The same hypotheses on a fraction of the data: shows that everything runs.

    Returns:
        The plan and the hash of its file.
    """
    name = f"{study}-quick.toml" if quick else f"{study}.toml"
    data = resources.files("veridical.studies.reproduce").joinpath("plans", name).read_bytes()
    return parse_plan(data, where=name)


def read_plan(path: Path) -> tuple[Plan, str]:
    """Read the plan in a file."""
    return parse_plan(path.read_bytes(), where=str(path))


def parse_plan(data: bytes, *, where: str) -> tuple[Plan, str]:
    """Check a plan and hash it."""
    return resolve_recipe(tomllib.loads(data.decode()), Plan, where=where), hash_bytes(data)
