"""Intervals, resampling, paired tests, power and agreement: no number without its n.

Rates get Wilson's interval; whatever is counted several times an image (mentions, objects,
questions) is resampled by image, since answers about one picture are not independent. Every rate of
that sort is a ratio of sums, and so is F1: 2·TP / (2·TP + FP + FN) has one numerator and one
denominator a question. One bootstrap therefore serves them all.

Degenerate input never gives NaN. Nothing measured (n = 0) gives the value 0 and the widest interval
that is known (the bounds; [0, 0] where there are none); readers must look at n. A sample whose
every cluster sits at a bound, which a bootstrap would call certain, gets Wilson's interval over its
clusters, scaled to the bounds.

Papers: McNemar (1947), Psychometrika 12; Holm (1979), Scandinavian Journal of Statistics 6.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from veridical.records import Difference
from veridical.statistics.intervals import (
    mean_metric,
    newcombe_paired,
    paired_t,
    same_length,
    vector,
    wilson,
)
from veridical.statistics.power import (
    detectable_difference,
    minimum_detectable_difference,
    needed_n,
    needed_pairs,
    power_sentence,
)
from veridical.statistics.resampling import (
    RESAMPLES,
    clustered_bootstrap,
    clustered_ratios,
    paired_permutation,
    paired_ratio_difference,
)

__all__ = [
    "RESAMPLES",
    "clustered_bootstrap",
    "clustered_ratios",
    "detectable_difference",
    "fisher",
    "holm",
    "mcnemar",
    "mean_metric",
    "minimum_detectable_difference",
    "needed_n",
    "needed_pairs",
    "paired_permutation",
    "paired_ratio_difference",
    "paired_t",
    "power_sentence",
    "wilson",
]


def mcnemar(first: ArrayLike, second: ArrayLike) -> Difference:
    """McNemar's exact test of two yes/no outcomes on the same items, with Newcombe's interval.

    Args:
        first: Outcome of every item in the first run, true or false.
        second: Outcome of the same items, in the same order, in the second run.

    Returns:
        Rate of the second minus rate of the first; n = 0 gives 0 within [-1, 1] and p = 1.
    """
    a, b = vector(first, "first") != 0, vector(second, "second") != 0
    same_length(a, b)
    n = len(a)
    if n == 0:
        return Difference(difference=0.0, low=-1.0, high=1.0, p=1.0, test="mcnemar exact", n=0)
    lost, gained = int((a & ~b).sum()), int((~a & b).sum())
    both = int((a & b).sum())
    p = min(1.0, 2.0 * float(stats.binom.cdf(min(lost, gained), lost + gained, 0.5)))
    low, high = newcombe_paired(both, gained, lost, n - both - lost - gained)
    return Difference(
        difference=(gained - lost) / n, low=low, high=high, p=p, test="mcnemar exact", n=n
    )


def fisher(first: tuple[int, int], second: tuple[int, int]) -> Difference:
    """Fisher's exact test of two independent rates, with Newcombe's hybrid score interval.

    For published counts, whose items are not known. Runs on the same items deserve `mcnemar`.

    Args:
        first: Successes and n of the first run.
        second: Successes and n of the second run.

    Returns:
        Second minus first; n is that of both together.
    """
    one, two = wilson(*first), wilson(*second)
    table = [[first[0], first[1] - first[0]], [second[0], second[1] - second[0]]]
    p = float(stats.fisher_exact(table).pvalue) if one.n and two.n else 1.0
    difference = two.value - one.value if one.n and two.n else 0.0
    if one.n and two.n:
        low = difference - math.hypot(two.value - two.low, one.high - one.value)
        high = difference + math.hypot(two.high - two.value, one.value - one.low)
    else:
        low, high = -1.0, 1.0
    return Difference(
        difference=difference,
        low=low,
        high=high,
        p=min(1.0, p),
        test="fisher exact",
        n=one.n + two.n,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests (Holm's step-down), in the order given."""
    p = vector(p_values, "p_values")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return [float(value) for value in adjusted]
