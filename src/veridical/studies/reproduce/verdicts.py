"""From measured arms to verdicts: shown, not shown, or reversed.

The unit is the seed, with judgements and scenes of its own: each pair of runs gives one difference,
and Student's t asks whether their mean lies beyond the margin. Tests are one-sided at 2.5 %,
adjusted by Holm over the plan's hypotheses; "reversed" is the same test for the other side of 0.
The comparison of the same runs paired by scene stands next to it: it says how sure one can be of
these very policies, not of the method.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from veridical.benchmarks.world.evaluation import compare_pooled
from veridical.errors import ConfigError
from veridical.progress import track
from veridical.records import Difference, Metric
from veridical.records.claims import ArmSummary, ClaimVerdict
from veridical.report.wording import metric_info
from veridical.statistics import holm, mean_metric, paired_t
from veridical.studies.reproduce.measured import Measured, load_arm, on_shared_items
from veridical.studies.reproduce.plan import Hypothesis, Plan

Runs = Mapping[str, Sequence[Measured]]
"""What was measured, by arm and seed."""
_BOUNDS = {"%": (0.0, 1.0), "of 6": (0.0, 6.0), "words": (0.0, math.inf)}
"""Least and greatest value of a metric, by the unit that it is shown in."""
_COUNTED = (
    "hallucination_rate",
    "object_coverage",
    "detail_coverage",
    "reward_accuracy",
    "mmhal_score",
    "judge",
)
"""Metrics that begin so count whole numbers over n items: seeds may agree to the last one."""
LEVEL = 0.025
"""Of each one-sided test, after Holm."""


def load_runs(
    out: Path, arms: Collection[str], *, seeds: int, seed: int = 0
) -> dict[str, list[Measured]]:
    """Read what arms of a finished grid measured, and judge their answers again."""
    return {
        arm: load_arm(out, arm, seeds=seeds, seed=seed)
        for arm in track(arms, label="Judging answers", total=len(arms))
    }


def judge_claims(plan: Plan, runs: Runs, *, seed: int = 0) -> tuple[ClaimVerdict, ...]:
    """Test every hypothesis of a plan on what its arms measured."""
    found = [
        _test(one, runs[one.first], runs[one.second], seed)
        for one in track(plan.hypotheses, label="Testing claims", total=len(plan.hypotheses))
    ]
    adjusted = zip(
        holm([one.p for one in found]), holm([one.p_reversed for one in found]), strict=True
    )
    return tuple(
        one.model_copy(
            update={
                "p": p,
                "p_reversed": contrary,
                "verdict": _verdict(p, contrary),
            }
        )
        for one, (p, contrary) in zip(found, adjusted, strict=True)
    )


def summarise_arm(arm: str, runs: Sequence[Measured], metrics: Sequence[str]) -> ArmSummary:
    """An arm's metrics over its seeds."""
    measured = [name for name in metrics if all(name in run.metrics for run in runs)]
    return ArmSummary(
        arm=arm,
        metrics={name: _over_seeds(runs, name) for name in measured},
    )


def _verdict(p: float, contrary: float) -> Literal["shown", "not shown", "reversed"]:
    if p < LEVEL:
        return "shown"
    return "reversed" if contrary < LEVEL else "not shown"


def _test(
    one: Hypothesis, first: Sequence[Measured], second: Sequence[Measured], seed: int
) -> ClaimVerdict:
    _check_measured(one, (*first, *second))
    first, second, scenes = _paired(one.metric, first, second, seed)
    before, after = (_values(runs, one.metric) for runs in (first, second))
    scale = before if one.scale == "relative" else np.ones_like(before)
    gains = (after - before) / scale
    step = float(np.max(_steps(first, one.metric) / np.abs(scale)))
    sign = 1.0 if one.claimed == "higher" else -1.0
    p = _one_sided(sign * gains - one.by_at_least, step)
    kept = None
    if one.keeps is not None:
        columns = [_values(runs, one.keeps.metric) for runs in (first, second)]
        own_step = float(np.max(_steps(first, one.keeps.metric)))
        kept = paired_t(*columns, least_spread=own_step)
        p = max(p, _one_sided(columns[1] - columns[0] + one.keeps.loses_at_most, own_step))
    return ClaimVerdict(
        hypothesis=one.id,
        claim=one.claim,
        source=one.source,
        metric=one.metric,
        first=_over_seeds(first, one.metric),
        second=_over_seeds(second, one.metric),
        by_seed=tuple(float(gain) for gain in gains),
        scale=one.scale,
        seeds=paired_t(np.zeros_like(gains), gains, least_spread=step),
        scenes=scenes,
        kept=kept,
        p=p,
        p_reversed=_one_sided(-sign * gains, step),
        verdict="not shown",
    )


def _check_measured(one: Hypothesis, runs: Sequence[Measured]) -> None:
    wanted = [one.metric, *([one.keeps.metric] if one.keeps else [])]
    for name in wanted:
        if any(name not in run.metrics for run in runs):
            known = ", ".join(sorted(set.intersection(*(set(run.metrics) for run in runs))))
            raise ConfigError(
                f"The hypothesis {one.id!r} asks for {name!r}, which was not measured of both"
                f" {one.first!r} and {one.second!r}. Measured: {known or 'nothing in common'}."
            )


def _paired(
    metric: str, first: Sequence[Measured], second: Sequence[Measured], seed: int
) -> tuple[Sequence[Measured], Sequence[Measured], Difference | None]:
    """Both arms on what both were asked, and the same runs pooled and paired by scene."""
    answers = [[run.evaluation for run in runs if run.evaluation] for runs in (first, second)]
    if not all(answers) or metric not in answers[0][0].metrics:
        return first, second, None
    shared = on_shared_items(*answers, seed=seed)
    scenes = compare_pooled(*shared, seed=seed, metrics=[metric])[metric]
    own, other = (
        [Measured({**old.metrics, **run.metrics}, run) for old, run in zip(*both, strict=True)]
        for both in zip((first, second), shared, strict=True)
    )
    return own, other, scenes


def _over_seeds(runs: Sequence[Measured], name: str) -> Metric:
    """The mean over seeds; with few of them, an interval is wide, but never beyond what can be."""
    values = _values(runs, name)
    bounds = _BOUNDS.get(metric_info(name).unit)
    # A score relative to a reference may lie above 100 %.
    fits = bounds is not None and values.max() <= bounds[1]
    return mean_metric(values, bounds=bounds if fits else None)


def _one_sided(values: np.ndarray, step: float) -> float:
    """The p-value of "the mean is greater than 0"."""
    found = paired_t(np.zeros_like(values), values, least_spread=step)
    return found.p / 2 if found.difference > 0 else 1 - found.p / 2


def _values(runs: Sequence[Measured], metric: str) -> np.ndarray:
    return np.array([run.metrics[metric].value for run in runs])


def _steps(runs: Sequence[Measured], metric: str) -> np.ndarray:
    """The step in which a metric moves, by run: 1/n where items are counted, else none."""
    if not metric.startswith(_COUNTED):
        return np.zeros(len(runs))
    return np.array([1 / max(run.metrics[metric].n, 1) for run in runs])
