"""Over-generalisation by context: are a context's typical objects invented more often within it than elsewhere?

After RLHF-V (arXiv 2312.00849, Table 2): H_a is the rate at which the typical objects of a context are hallucinated
over all scenes, H_s the same over scenes of the context, and their difference tells over-generalisation. The paper does
not state the denominator; its numbers allow only *responses that mention the object*, which is what is used here. Rates
are averaged over objects with at least one mention ("macro"), or pooled over mentions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.errors import ConfigError
from veridical.evaluation.world_metrics import DescriptionRow
from veridical.records import Difference, Metric
from veridical.world.inventory import CONTEXTS, OBJECTS

RESAMPLES = 2_000

_METHOD = "clustered bootstrap"
_Floats = NDArray[np.float64]


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
    """Mean of H_s − H_a over the contexts, with n the number of responses."""


class _Counts(NamedTuple):
    """What is summed over responses: [S, 2 · contexts · objects], hallucinated and mentioned, everywhere and inside."""

    wrong: _Floats
    mentioned: _Floats
    inside: _Floats
    """[S, contexts]: whether the scene is of the context."""


def over_generalisation(
    rows: Sequence[DescriptionRow], *, seed: int, pooled: bool = False, resamples: int = RESAMPLES
) -> OverGeneralisation:
    """Make the table of descriptions, with intervals from resampling scenes.

    Args:
        rows: Judged descriptions, one a scene.
        seed: Seed of the resampling.
        pooled: Pool mentions instead of averaging over objects.
        resamples: How many resamples.
    """
    counts = _count(rows)
    everywhere, inside = (part[0] for part in _rates(counts, np.ones((1, len(rows))), pooled=pooled))
    drawn_everywhere, drawn_inside = _rates(counts, _weights(len(rows), seed, resamples), pooled=pooled)
    totals = counts.mentioned.sum(axis=0).reshape(len(CONTEXTS), -1)
    own = np.einsum("sc,sco->co", counts.inside, counts.mentioned.reshape(len(rows), len(CONTEXTS), -1))
    table = []
    for number, context in enumerate(CONTEXTS):
        n = int(counts.inside[:, number].sum())
        h_a, h_s = everywhere[number], inside[number]
        a, s = drawn_everywhere[:, number], drawn_inside[:, number]
        table.append(
            ContextRates(
                context=context.name,
                objects=tuple(item.noun for item in context.objects),
                everywhere=_metric(h_a, a, len(rows), (0.0, 1.0)),
                in_context=_metric(h_s, s, n, (0.0, 1.0)),
                difference=_metric(h_s - h_a, s - a, n, (-1.0, 1.0)),
                mentions_everywhere=int(totals[number].sum()),
                mentions_in_context=int(own[number].sum()),
            )
        )
    drawn = (drawn_inside - drawn_everywhere).mean(axis=1)
    return OverGeneralisation(tuple(table), _metric(float((inside - everywhere).mean()), drawn, len(rows), (-1.0, 1.0)))


def over_generalisation_metrics(table: OverGeneralisation) -> dict[str, Metric]:
    """The table as metrics: `over_generalisation` (mean of the differences) and `over_generalisation/CONTEXT`."""
    metrics = {"over_generalisation": table.mean}
    return metrics | {f"over_generalisation/{row.context}": row.difference for row in table.contexts}


def compare_over_generalisation(
    first: Sequence[DescriptionRow],
    second: Sequence[DescriptionRow],
    *,
    seed: int,
    pooled: bool = False,
    resamples: int = RESAMPLES,
) -> dict[str, Difference]:
    """Second minus first of the mean and of each context, paired by scene: bootstrap interval, permutation p.

    Raises:
        ConfigError: The rows are not of the same scenes in the same order.
    """
    if [row.scene_id for row in first] != [row.scene_id for row in second]:
        raise ConfigError("Two runs are compared on the same scenes in the same order. Evaluate both on one set.")
    n = len(first)
    one, two = _count(first), _count(second)

    def values(counts: _Counts, weights: _Floats, other: _Counts, other_weights: _Floats) -> _Floats:
        everywhere, inside = _rates(counts, weights, pooled=pooled, other=other, other_weights=other_weights)
        gaps = inside - everywhere
        return np.concatenate([gaps.mean(axis=1, keepdims=True), gaps], axis=1)

    def gap(weights: _Floats, swapped: _Floats) -> _Floats:
        kept = weights * (1 - swapped)
        moved = weights * swapped
        return values(two, kept, one, moved) - values(one, kept, two, moved)

    observed = gap(np.ones((1, n)), np.zeros((1, n)))[0]
    drawn = gap(_weights(n, seed, resamples), np.zeros((1, n)))
    swaps = np.random.default_rng([seed, 1]).integers(0, 2, size=(resamples, n)).astype(np.float64)
    null = gap(np.ones((1, n)), swaps)
    reached = (np.abs(null) >= np.abs(observed) - 1e-12).sum(axis=0)
    names = ["over_generalisation", *(f"over_generalisation/{context.name}" for context in CONTEXTS)]
    sizes = [n, *(int(size) for size in one.inside.sum(axis=0))]
    differences = {}
    for number, name in enumerate(names):
        low, high = _interval(observed[number], drawn[:, number], (-2.0, 2.0))
        differences[name] = Difference(
            difference=float(observed[number]),
            low=low,
            high=high,
            p=float((reached[number] + 1) / (resamples + 1)),
            test="paired permutation of scenes",
            n=sizes[number],
        )
    return differences


def _count(rows: Sequence[DescriptionRow]) -> _Counts:
    # OBJECTS lists the contexts' objects in the order of CONTEXTS, six for each.
    column = {item.noun: number for number, item in enumerate(OBJECTS)}
    context = {item.name: number for number, item in enumerate(CONTEXTS)}
    counts = _Counts(
        np.zeros((len(rows), len(OBJECTS))), np.zeros((len(rows), len(OBJECTS))), np.zeros((len(rows), len(CONTEXTS)))
    )
    for number, row in enumerate(rows):
        counts.mentioned[number, [column[noun] for noun in row.mentioned]] = 1
        counts.wrong[number, [column[noun] for noun in row.absent]] = 1
        counts.inside[number, context[row.context]] = 1
    return counts


def _rates(
    counts: _Counts,
    weights: _Floats,
    *,
    pooled: bool,
    other: _Counts | None = None,
    other_weights: _Floats | None = None,
) -> tuple[_Floats, _Floats]:
    """H_a and H_s, each [R, contexts], of scenes weighted [R, S] (and of a second run's scenes in addition)."""
    size = len(OBJECTS) // len(CONTEXTS)
    own = np.repeat(counts.inside, size, axis=1)
    sums = [weights @ table for table in (counts.wrong, counts.mentioned, counts.wrong * own, counts.mentioned * own)]
    if other is not None and other_weights is not None:
        tables = (other.wrong, other.mentioned, other.wrong * own, other.mentioned * own)
        sums = [total + other_weights @ table for total, table in zip(sums, tables, strict=True)]
    by_context = [total.reshape(len(total), len(CONTEXTS), size) for total in sums]
    everywhere = _average(by_context[0], by_context[1], pooled=pooled)
    return everywhere, _average(by_context[2], by_context[3], pooled=pooled)


def _average(wrong: _Floats, mentioned: _Floats, *, pooled: bool) -> _Floats:
    if pooled:
        return _divide(wrong.sum(axis=2), mentioned.sum(axis=2))
    return _divide(_divide(wrong, mentioned).sum(axis=2), (mentioned > 0).sum(axis=2).astype(np.float64))


def _divide(above: _Floats, below: _Floats) -> _Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _weights(n: int, seed: int, resamples: int) -> _Floats:
    """How often each scene is drawn in each resample, [R, S]."""
    if n == 0:
        return np.zeros((resamples, 0))
    return np.random.default_rng([seed, 0]).multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def _metric(value: float, drawn: _Floats, n: int, bounds: tuple[float, float]) -> Metric:
    if n == 0:
        return Metric(value=0.0, n=0, low=bounds[0], high=bounds[1], method=_METHOD)
    low, high = _interval(value, drawn, bounds)
    return Metric(value=float(value), n=n, low=low, high=high, method=_METHOD)


def _interval(value: float, drawn: _Floats, bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return max(min(float(low), float(value)), bounds[0]), min(max(float(high), float(value)), bounds[1])
