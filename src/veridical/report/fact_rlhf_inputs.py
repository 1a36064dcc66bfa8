"""Inputs of the Fact-RLHF report: plain data, so that the report can be drawn again from disk."""

from pydantic import Field

from veridical.records import Difference, Metric, Record, Source
from veridical.records.fact_rlhf import FactRlhfResults
from veridical.report.inputs import ImageBytes, MarkedText, Rerun, Stage


class Arm(Record):
    """One way of training, or of choosing, that is compared."""

    key: str
    """Its key in `results.arms`."""
    label: str
    """What it is called on the page: "Fact-RLHF"."""
    does: str
    """What it does, a sentence."""
    learnt_from: str = ""
    """What people gave it: "4,000 comparisons"."""
    kl: Metric | None = None
    """Divergence from the reference in nats per response, where known."""
    chosen: str = ""
    """Which policy of it is shown and by which rule: "the last checkpoint of each of 3 seeds"."""


class CurveWarning(Record):
    """What a run warned of; see `veridical.training.ppo.hacking` and `diagnostics`."""

    arm: str
    """Key of the arm."""
    seed: int
    """Seed of the run."""
    kind: str
    """"reward hacking", "entropy collapse" …"""
    since_step: int
    """Step from which on it holds."""
    text: str
    """What happens, with its numbers."""
    advice: str
    """What to do."""


class RewardBreakdown(Record):
    """Accuracy of the reward models on some of the held-out comparisons."""

    name: str
    """Which ones: "all, seed 0", "differ by one fault", "wrong colour" …"""
    without_facts: Metric
    """Accuracy of the reward model that sees no facts."""
    with_facts: Metric
    """Accuracy of the one that does."""


class LeakCheck(Record):
    """The reward model's accuracy when something it sees is taken away or exchanged."""

    name: str
    """What was done: "as trained", "facts of another picture", "no facts", "another picture"."""
    accuracy: Metric
    """Accuracy on the same held-out comparisons."""
    meaning: str = ""
    """What that shows, a short sentence."""


class Dependence(Record):
    """Accuracy of the reward model with facts that are less complete, or more often wrong."""

    name: str
    """What is varied: "share of the facts that are given"."""
    points: tuple[tuple[float, Metric], ...] = Field(min_length=1)
    """Share in [0, 1], ascending, and the accuracy at it."""


class RewardModels(Record):
    """The two reward models, side by side; their accuracies stand in `results.reward_model`."""

    difference: Difference | None = None
    """With minus without facts, paired on the same held-out comparisons."""
    comparisons: int = Field(ge=0)
    """Comparisons that each was trained on."""
    source: Source
    """Who compared."""
    image_alone: Metric | None = None
    """What accuracy the picture alone could give at best, where that was measured."""
    image_alone_note: str = ""
    """How that was measured."""
    breakdown: tuple[RewardBreakdown, ...] = ()
    """By seed, margin, kind of fault, length difference."""
    leaks: tuple[LeakCheck, ...] = ()
    """The leak check of the reward model with facts; the first row is as trained."""
    leak_note: str = ""
    """What the leak check shows, in words."""
    dependence: tuple[Dependence, ...] = ()
    """On completeness and on wrongness of the facts."""


class ClimbStep(Record):
    """One response on the way up the KL axis."""

    step: int = Field(ge=0)
    """Optimiser steps of the policy."""
    kl: float
    """Divergence of the policy at this step in nats per response."""
    response: MarkedText
    """What it said, hallucinated words marked."""
    proxy: float | None = None
    """What the reward model says of it."""
    judge: float | None = None
    """What the judge says of it."""


class Climb(Record):
    """The responses of one run to one scene, step by step."""

    label: str
    """Which run: "RLHF, without facts"."""
    steps: tuple[ClimbStep, ...] = Field(min_length=1)
    """In order of their steps."""


class ClimbScene(Record):
    """One picture and what the runs said of it along the KL axis."""

    scene_id: str
    """Which scene."""
    context: str
    """Kitchen, farm, street …"""
    image: ImageBytes
    """The picture."""
    alt: str
    """What the picture shows, in words."""
    question: str
    """What was asked."""
    climbs: tuple[Climb, ...]
    """The runs that are shown."""


class TrainingMeasure(Record):
    """One measure along training, a line for each run."""

    label: str
    """What it is: "KL from the reference"."""
    unit: str = ""
    """Its unit: "nats per response"; "%" shows shares in per cent."""
    lines: dict[str, tuple[tuple[int, float], ...]]
    """Step and value, by the label of the run."""


class Effort(Record):
    """What people gave for one arm, counted in one currency."""

    label: str
    """The arm, or the feedback that several share."""
    judgements: int = Field(ge=0)
    """How many."""
    unit: str
    """What one is: "comparison", "correction"."""
    seconds_each: float = Field(ge=0)
    """Seconds that one takes."""
    how: str
    """How that is known: measured, or assumed after which source."""

    @property
    def hours(self) -> float:
        """Hours in all."""
        return self.judgements * self.seconds_each / 3600


class Cost(Record):
    """What an iteration costs under some of the savings."""

    name: str
    """Which savings are on: "naive: four models, image encoded for each", "+ shared base" …"""
    seconds: float = Field(ge=0)
    """Wall-clock seconds per iteration."""
    memory_bytes: float = Field(ge=0)
    """Peak memory."""


class FactRlhfReport(Record):
    """All that the Fact-RLHF report says."""

    title: str = "Fact-RLHF on the embedded world"
    """Title of the page."""
    notice: str = ""
    """Shown at the very top where the reader must know something first ("made-up numbers")."""
    model: str
    """What was trained, in a few words."""
    results: FactRlhfResults
    """The numbers, as in `results.json`."""
    arms: tuple[Arm, ...]
    """The arms in the order in which they are shown; "sft", "rlhf" and "fact_rlhf" must be among
    them."""
    judge_label: str = "exact judge, 0 to 6"
    """What the judge of the curves is, and its scale."""
    proxy_label: str = "reward model"
    """What the proxy of the curves is."""
    warnings: tuple[CurveWarning, ...] = ()
    """What the runs warned of."""
    warning_rule: str = ""
    """By which rule the warnings come, with its stated error."""
    reward_models: RewardModels
    """The reward models."""
    stages: tuple[Stage, ...]
    """The steps of the loop, in order."""
    gallery: tuple[ClimbScene, ...] = ()
    """Scenes to look at; how they were chosen stands in `gallery_note`."""
    gallery_note: str = ""
    """How the scenes of the gallery were chosen."""
    training: tuple[TrainingMeasure, ...] = ()
    """KL, entropy, length, reward terms along training."""
    effort: tuple[Effort, ...] = ()
    """What people gave, by kind of feedback."""
    effort_note: str = ""
    """What is taken as equal, and what is not."""
    costs: tuple[Cost, ...] = ()
    """An iteration under more and more savings; the first row is the naive way."""
    cost_note: str = ""
    """On what machine and shape that was measured."""
    caveats: tuple[str, ...] = ()
    """What the reader must not conclude."""
    rerun: Rerun
    """How to do it again."""
