"""Policies compared at the same KL from their start, in pairs over held-out prompts.

A policy that has moved less has had less chance to win or to go wrong, so that the last checkpoints
of two runs compare their speed as well as their rewards. Between two measurements each prompt's
judgement is interpolated over the KL.
"""

from collections.abc import Sequence
from itertools import pairwise

from veridical.records.fact_rlhf import EqualDistance
from veridical.statistics import clustered_bootstrap, paired_permutation
from veridical.studies.fact_rlhf.curves import RunCurve

_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Where to compare: shares of the least distance that any run has gone."""


def judged_at(curve: RunCurve, kl: float) -> list[float] | None:
    """The judge's ratings where the run first reaches this distance; None if it never does.

    Args:
        curve: The run.
        kl: Distance from the start, nats per response.
    """
    for before, after in pairwise(curve.points):
        if before.kl <= kl <= after.kl and after.kl > before.kl:
            share = (kl - before.kl) / (after.kl - before.kl)
            return [
                (1 - share) * (one.judge or 0.0) + share * (two.judge or 0.0)
                for one, two in zip(before.prompts, after.prompts, strict=True)
            ]
    return None


def compare_at_equal_distance(
    curves: Sequence[RunCurve], *, first: str, second: str, seed: int
) -> tuple[EqualDistance, ...]:
    """Compare two arms at several distances, seed by seed, over the same prompts.

    Args:
        curves: All runs; those of either arm are paired by seed.
        first: Key of one arm.
        second: Key of the other.
        seed: Seed of the resampling.
    """
    runs = {(curve.arm, curve.seed): curve for curve in curves if curve.points}
    seeds = sorted(number for arm, number in runs if arm == first and (second, number) in runs)
    if not seeds:
        return ()
    pairs = [(runs[first, number], runs[second, number]) for number in seeds]
    reach = reach_of([curve for pair in pairs for curve in pair])
    found = []
    for kl in (share * reach for share in _SHARES if reach > 0):
        judged = [tuple(judged_at(curve, kl) for curve in pair) for pair in pairs]
        one = [value for pair in judged for value in pair[0] or ()]
        two = [value for pair in judged for value in pair[1] or ()]
        prompts = [prompt.id for pair in pairs for prompt in pair[0].points[0].prompts]
        found.append(
            EqualDistance(
                kl=kl,
                first=first,
                second=second,
                judge_first=clustered_bootstrap(one, prompts, bounds=(0.0, 6.0), seed=seed),
                judge_second=clustered_bootstrap(two, prompts, bounds=(0.0, 6.0), seed=seed),
                result=paired_permutation(one, two, prompts, seed=seed),
                by_seed=tuple(_mean(b) - _mean(a) for a, b in judged),
            )
        )
    return tuple(found)


def reach_of(curves: Sequence[RunCurve]) -> float:
    """The largest distance that every run has gone, nats per response."""
    return min(max(point.kl for point in curve.points) for curve in curves)


def _mean(values: Sequence[float] | None) -> float:
    return sum(values) / len(values) if values else 0.0
