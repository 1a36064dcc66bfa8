"""Objectives compared on the same corrections: a row per training run, and paired tests."""

from pydantic import Field

from veridical.records import Difference, Metric, Record


class ObjectiveRow(Record):
    """One training run of the table of objectives."""

    name: str
    """The objective: "DPO", "dense DPO (original)" …"""
    seed: int
    """Seed of the run."""
    settings: dict[str, str | int | float] = Field(default_factory=dict)
    """What was set: beta, learning rate …"""
    metrics: dict[str, Metric]
    """`hallucination_rate`, `object_coverage` and others, on the test scenes."""


class ObjectiveTest(Record):
    """Two objectives compared on the same scenes and seeds."""

    first: str
    """Name of one objective."""
    second: str
    """Name of the other."""
    metric: str
    """What is compared."""
    result: Difference
    """Second minus first; p as the test gave it (the report adjusts with Holm)."""


class RecordedObjectives(Record):
    """A table of objectives with where it comes from."""

    rows: tuple[ObjectiveRow, ...]
    """One row per arm and seed."""
    tests: tuple[ObjectiveTest, ...]
    """The last arm against each other one, seeds averaged within a scene."""
    base: str
    """Hash of the base model."""
    note: str
    """When, where and on how much it was measured."""
