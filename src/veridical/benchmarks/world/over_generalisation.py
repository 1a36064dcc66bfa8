"""Over-generalisation in the world: are a context's typical objects invented more often in it?

RLHF-V's Table 2 (arXiv 2312.00849) over the world's contexts, whose typical objects are known
exactly; what is counted, and how, stands in `context_rates`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from veridical.benchmarks.world.metrics import DescriptionRow
from veridical.errors import ConfigError
from veridical.records import Difference, Metric
from veridical.statistics.context_rates import (
    RESAMPLES,
    ContextCounts,
    compare_contexts,
    measure_contexts,
)
from veridical.world.inventory import CONTEXTS, OBJECTS


class ContextRates(NamedTuple):
    """One row of the table."""

    context: str
    """Kitchen, farm, street …"""
    objects: tuple[str, ...]
    """What is typical of it."""
    everywhere: Metric
    """H_a, with n the number of responses."""
    in_context: Metric
    """H_s, with n the number of responses on scenes of the context."""
    difference: Metric
    """H_s − H_a, with n as for H_s."""
    mentions_everywhere: int
    """Responses that mention one of the objects, counted for each object."""
    mentions_in_context: int
    """The same on scenes of the context."""


class OverGeneralisation(NamedTuple):
    """The whole table."""

    contexts: tuple[ContextRates, ...]
    """By context."""
    mean: Metric
    """Mean of H_s − H_a over the contexts whose objects are mentioned in them, with n the number of
    responses."""


def over_generalisation(
    rows: Sequence[DescriptionRow], *, seed: int, pooled: bool = False, resamples: int = RESAMPLES
) -> OverGeneralisation:
    """Make the table of descriptions, with intervals from resampling scenes.

    Args:
        rows: Judged descriptions, one per scene.
        seed: Seed of the resampling.
        pooled: Pool mentions instead of averaging over objects.
        resamples: How many resamples.
    """
    counts = _count(rows)
    table = measure_contexts(counts, seed=seed, pooled=pooled, resamples=resamples)
    contexts = []
    for number, (context, rates) in enumerate(zip(CONTEXTS, table.contexts, strict=True)):
        n = int(counts.inside[:, number].sum())
        contexts.append(
            ContextRates(
                context=context.name,
                objects=tuple(item.noun for item in context.objects),
                everywhere=_of(len(rows), rates.everywhere),
                in_context=_of(n, rates.inside),
                difference=_of(n, rates.gap),
                mentions_everywhere=rates.everywhere.n,
                mentions_in_context=rates.inside.n,
            )
        )
    return OverGeneralisation(tuple(contexts), _of(len(rows), table.mean.gap))


def over_generalisation_metrics(table: OverGeneralisation) -> dict[str, Metric]:
    """The table as metrics: the mean difference, and `over_generalisation/CONTEXT` for each."""
    metrics = {"over_generalisation": table.mean}
    return metrics | {
        f"over_generalisation/{row.context}": row.difference for row in table.contexts
    }


def compare_over_generalisation(
    first: Sequence[DescriptionRow],
    second: Sequence[DescriptionRow],
    *,
    seed: int,
    pooled: bool = False,
    resamples: int = RESAMPLES,
) -> dict[str, Difference]:
    """Second minus first, overall and by context, paired by scene (bootstrap, permutation).

    Raises:
        ConfigError: The rows are not of the same scenes in the same order.
    """
    if [row.scene_id for row in first] != [row.scene_id for row in second]:
        raise ConfigError(
            "Two runs are compared on the same scenes in the same order. Evaluate both on one set."
        )
    table = compare_contexts(
        _count(first), _count(second), seed=seed, pooled=pooled, resamples=resamples
    )
    names = [f"over_generalisation/{context.name}" for context in CONTEXTS]
    gaps = [rates.gap for rates in table.contexts]
    return {"over_generalisation": table.mean.gap, **dict(zip(names, gaps, strict=True))}


def _count(rows: Sequence[DescriptionRow]) -> ContextCounts:
    # OBJECTS lists the contexts' objects in the order of CONTEXTS, as many for each.
    column = {item.noun: number for number, item in enumerate(OBJECTS)}
    context = {item.name: number for number, item in enumerate(CONTEXTS)}
    wrong, mentioned = (np.zeros((len(rows), len(OBJECTS))) for _ in range(2))
    inside = np.zeros((len(rows), len(CONTEXTS)))
    for number, row in enumerate(rows):
        mentioned[number, [column[noun] for noun in row.mentioned]] = 1
        wrong[number, [column[noun] for noun in row.absent]] = 1
        inside[number, context[row.context]] = 1
    shape = (len(rows), len(CONTEXTS), len(OBJECTS) // len(CONTEXTS))
    return ContextCounts(wrong.reshape(shape), mentioned.reshape(shape), inside)


def _of(n: int, metric: Metric) -> Metric:
    return metric.model_copy(update={"n": n})
