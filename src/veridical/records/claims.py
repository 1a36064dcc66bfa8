"""What a study says of a paper's claims: verdicts with the numbers that they rest on."""

from typing import Literal

from veridical.records.base import Record
from veridical.records.fact_rlhf import CurveMeasurement
from veridical.records.runs import Difference, Metric


class ArmSummary(Record):
    """An arm of the grid, over its seeds."""

    arm: str
    """Its name."""
    metrics: dict[str, Metric]
    """Means over seeds, with Student's interval; n is the number of seeds."""


class ClaimVerdict(Record):
    """What came of a hypothesis."""

    hypothesis: str
    """Its id."""
    claim: str
    """What was claimed."""
    source: str
    """Where it comes from."""
    metric: str
    """The primary metric."""
    first: Metric
    """The arm that it is compared with, over seeds."""
    second: Metric
    """The arm that is claimed to be better, over seeds."""
    scale: Literal["difference", "relative"]
    """Whether `by_seed` and `seeds` are second − first, or that divided by first."""
    by_seed: tuple[float, ...]
    """The difference of each seed."""
    seeds: Difference
    """Their mean with Student's interval: the test of the method."""
    scenes: Difference | None
    """The same runs pooled and paired by scene: the test of these policies. None where the metric
    is not one of the answers to test scenes."""
    kept: Difference | None
    """What had to be kept, second minus first, over seeds."""
    p: float
    """One-sided p of the claim, adjusted; the larger of two where something had to be kept."""
    p_reversed: float
    """One-sided p of the contrary, adjusted."""
    verdict: Literal["shown", "not shown", "reversed"]
    """What may be said."""


class CurveRow(Record):
    """A point of the curve over corrections."""

    corrections: int
    """How many."""
    arm: str
    """The arm that learnt from them."""


class TrainingPath(Record):
    """What an arm did along training, on the validation scenes; means over seeds."""

    arm: str
    """The arm."""
    last_hallucination: Metric
    """Descriptions with a hallucination at the last checkpoint."""
    last_coverage: Metric
    """Objects named at the last checkpoint."""
    matched_hallucination: Metric
    """The least hallucination while coverage lies at most two points below the base's."""


class HackingWarnings(Record):
    """How well the warning of reward hacking did on an arm's runs.

    Each run is looked at twice: the warning sees one half of the held-out prompts, the other half
    says whether the judge truly fell.
    """

    arm: str
    """The arm."""
    checked: int
    """How often it was looked: two halves per run."""
    fell: int
    """How often the judge fell from its best, as the other half shows."""
    hits: int
    """Warned, and the judge fell."""
    false_alarms: int
    """Warned, and no fall is shown."""


class ClaimsReport(Record):
    """Everything that a study leaves."""

    title: str
    """Its headline."""
    note: str
    """What a reader must know about the test bench."""
    plan: str
    """Hash of the plan's file."""
    fixed: str
    """Date on which the plan was fixed."""
    seeds: int
    """Seeds per arm."""
    scenes: int
    """Test scenes of each seed."""
    claims: tuple[ClaimVerdict, ...]
    """The verdicts, in the plan's order."""
    arms: tuple[ArmSummary, ...]
    """What every arm measured."""
    curve: tuple[CurveRow, ...]
    """The curve over corrections."""
    paths: tuple[TrainingPath, ...] = ()
    """What arms did along training, where they were measured on validation scenes."""
    policies: tuple[CurveMeasurement, ...] = ()
    """What reward and judge said of policies along their training, by arm, seed and step."""
    warnings: tuple[HackingWarnings, ...] = ()
    """Whether the warning of reward hacking is to be believed, by arm."""
    cells: int
    """How many stage runs the study has."""
    hours: float
    """How long they took, in all."""
    machine: dict[str, str | int | float]
    """What they ran on."""
    base: str
    """Hash of the base model's weights."""
