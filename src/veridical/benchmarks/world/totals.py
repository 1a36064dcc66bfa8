"""All metrics of the world's benchmark from judged rows, for files and for answers in memory."""

from collections.abc import Sequence
from typing import NamedTuple

from veridical.benchmarks.world.metrics import (
    AnswerRow,
    DescriptionRow,
    description_measures,
    mmhal_measures,
    relative_measures,
    yes_no_measures,
)
from veridical.benchmarks.world.over_generalisation import (
    OverGeneralisation,
    over_generalisation,
    over_generalisation_metrics,
)
from veridical.records import Metric
from veridical.scoring.measures import Measure
from veridical.seeding import child_seed


class JudgedRows(NamedTuple):
    """Judged answers by the kind of question; a kind that was not asked has none."""

    descriptions: Sequence[DescriptionRow]
    """Of descriptions."""
    yes_no: Sequence[AnswerRow]
    """Of yes/no probes."""
    mmhal: Sequence[AnswerRow]
    """Of MMHal-style questions."""


class Totals(NamedTuple):
    """What judged answers amount to."""

    metrics: dict[str, Metric]
    """By name."""
    over_generalisation: OverGeneralisation | None
    """By context; None without descriptions."""


def world_measures(rows: JudgedRows) -> dict[str, Measure]:
    """The metrics that are sums over items, by name."""
    measures = description_measures(rows.descriptions) if rows.descriptions else {}
    if rows.yes_no:
        measures |= yes_no_measures(rows.yes_no)
    if rows.mmhal:
        measures |= mmhal_measures(rows.mmhal) | relative_measures(rows.mmhal)
    return measures


def world_totals(rows: JudgedRows, *, seed: int) -> Totals:
    """All metrics.

    Args:
        rows: Judged answers.
        seed: Seed of the resampling.
    """
    metrics = {
        name: measure.metric(seed=child_seed(seed, "metric", name))
        for name, measure in world_measures(rows).items()
    }
    if not rows.descriptions:
        return Totals(metrics, None)
    table = over_generalisation(rows.descriptions, seed=child_seed(seed, "over_generalisation"))
    return Totals(metrics | over_generalisation_metrics(table), table)
