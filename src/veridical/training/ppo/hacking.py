r"""A test for reward hacking: since which step the proxy reward rises while the judge falls.

A policy is measured at steps s_1 … s_T on the same N held-out scenes, each time by the reward that
it is trained on (the proxy) and by a judge. Each earlier measurement s is compared with the last
one, scene by scene:

    hacking since s  ⇔  mean_scenes(proxy_T − proxy_s) > 0  and  mean_scenes(judge_T − judge_s) < 0

Both must be shown. Each is a one-sided sign-flip test on the scenes' differences, studentised; a
scene's differences to all steps flip together, and the largest statistic over the steps is what is
compared with (Westfall & Young 1993), so that the p-values hold for all steps at once. Proxy and
judge each get half of the error rate, and a run that looks several times divides it by the number
of looks.

**Error stated**: where the policy does not truly change in one of the two, the chance of any
warning in all looks of a run together is at most `error_rate` (5 %).

Where only means with intervals are known, not scenes, both measurements count as independent and
normal, and the steps are corrected by Bonferroni: right for the same scenes too as long as they
correlate positively, but blunter.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from veridical.records import Metric

_Floats = NDArray[np.float64]

FLIPS = 10_000
"""Random sign flips: the least p is one part in so many."""
_FLIPS_AT_ONCE = 1_000


class JudgedScenes(NamedTuple):
    """One measurement: what proxy and judge say of each scene's response."""

    step: int
    """Optimiser steps that the policy was trained for."""
    kl: float
    """Divergence from the reference in nats per response."""
    proxy: ArrayLike
    """The reward that is trained on, one number a scene (N)."""
    judge: ArrayLike
    """The judge's score, one number a scene (N), higher is better; scenes in the same order in
    every measurement."""


class JudgedMeans(NamedTuple):
    """One measurement whose means alone are known."""

    step: int
    """Optimiser steps that the policy was trained for."""
    kl: float
    """Divergence from the reference in nats per response."""
    proxy: Metric
    """Mean of the reward that is trained on."""
    judge: Metric
    """Mean of the judge's score; higher is better."""


class Hacking(NamedTuple):
    """The proxy rises while the judge falls."""

    since_step: int
    """The step from which on: of those that the test shows, the one at which the judge was
    highest."""
    until_step: int
    """The last measurement."""
    kl: tuple[float, float]
    """Divergence at both."""
    proxy: tuple[float, float]
    """Mean proxy at both."""
    judge: tuple[float, float]
    """Mean judge at both."""
    p: float
    """Adjusted p of the weaker of both halves, over all steps; compared with half of the error rate
    a look."""

    @property
    def text(self) -> str:
        """What happens, with its numbers."""
        return (
            f"proxy rises, judge falls since step {self.since_step}: proxy {self.proxy[0]:.3g} →"
            f" {self.proxy[1]:.3g}, judge {self.judge[0]:.3g} → {self.judge[1]:.3g}, KL"
            f" {self.kl[0]:.3g} → {self.kl[1]:.3g} nats at step {self.until_step} (p {self.p:.2g})"
        )

    @property
    def advice(self) -> str:
        """What to do about it."""
        return (
            f"keep the checkpoint of step {self.since_step}; raise the KL price, stop earlier, or"
            " give the reward model facts or fresh comparisons of what the policy says now"
        )


def find_hacking(
    points: Sequence[JudgedScenes], *, error_rate: float = 0.05, looks: int = 1, seed: int = 0
) -> Hacking | None:
    """Test whether the last policy is hacking the reward; see above.

    Args:
        points: Measurements on the same scenes, in the order of their steps.
        error_rate: Chance of a false warning, over all looks.
        looks: How often this run asks, in all.
        seed: Seed of the sign flips.

    Raises:
        ValueError: Measurements are of different numbers of scenes, or hold NaN.
    """
    proxy, judge = (
        _table([p.proxy for p in points], "proxy"),
        _table([p.judge for p in points], "judge"),
    )
    if proxy.shape != judge.shape:
        raise ValueError(
            f"Proxy and judge must be of the same scenes, got {proxy.shape} and {judge.shape}."
        )
    if len(points) < 2 or proxy.shape[1] < 2:
        return None
    rises = _flip_p(proxy[-1] - proxy[:-1], seed=seed)
    falls = _flip_p(judge[:-1] - judge[-1], seed=seed + 1)
    means = (proxy.mean(axis=1), judge.mean(axis=1))
    return _first_shown(points, means, np.maximum(rises, falls), level=error_rate / 2 / looks)


def find_hacking_in_means(
    points: Sequence[JudgedMeans], *, error_rate: float = 0.05, looks: int = 1
) -> Hacking | None:
    """The same where only means with 95 % intervals are known: blunter, see above.

    Args:
        points: Measurements in the order of their steps.
        error_rate: Chance of a false warning, over all looks.
        looks: How often this run asks, in all.
    """
    if len(points) < 2:
        return None
    means = tuple(np.array([getattr(p, name).value for p in points]) for name in ("proxy", "judge"))
    errors = [
        np.array([_standard_error(getattr(p, name)) for p in points]) for name in ("proxy", "judge")
    ]
    p_values = []
    for mean, error, sign in zip(means, errors, (1, -1), strict=True):
        spread = np.hypot(error[:-1], error[-1])
        z = np.divide(
            sign * (mean[-1] - mean[:-1]), spread, out=np.zeros(len(mean) - 1), where=spread > 0
        )
        p_values.append(np.minimum(stats.norm.sf(z) * (len(points) - 1), 1.0))
    return _first_shown(
        points, (means[0], means[1]), np.maximum(*p_values), level=error_rate / 2 / looks
    )


def _first_shown(
    points: Sequence[JudgedScenes | JudgedMeans],
    means: tuple[_Floats, _Floats],
    p: _Floats,
    *,
    level: float,
) -> Hacking | None:
    shown = np.flatnonzero(p <= level)
    if not len(shown):
        return None
    proxy, judge = means
    since = int(shown[np.argmax(judge[shown])])
    first, last = points[since], points[-1]
    return Hacking(
        since_step=first.step,
        until_step=last.step,
        kl=(first.kl, last.kl),
        proxy=(float(proxy[since]), float(proxy[-1])),
        judge=(float(judge[since]), float(judge[-1])),
        p=float(p[since]),
    )


def _flip_p(differences: _Floats, *, seed: int) -> _Floats:
    """One-sided p (S) of means above 0 of differences (S N), over all S at once."""
    sizes = np.sqrt((differences**2).sum(axis=1, keepdims=True))  # the same under every flip
    scaled = np.divide(differences, sizes, out=np.zeros_like(differences), where=sizes > 0)
    observed = scaled.sum(axis=1)
    random = np.random.default_rng([seed, len(differences)])
    reached = np.zeros(len(differences))
    for start in range(0, FLIPS, _FLIPS_AT_ONCE):
        count = min(_FLIPS_AT_ONCE, FLIPS - start)
        signs = random.integers(0, 2, size=(count, differences.shape[1])) * 2.0 - 1.0
        largest = (signs @ scaled.T).max(axis=1, keepdims=True)
        reached += (largest >= observed - 1e-12).sum(axis=0)
    return (reached + 1) / (FLIPS + 1)


def _table(rows: Sequence[ArrayLike], name: str) -> _Floats:
    arrays = [np.asarray(row, dtype=np.float64) for row in rows]
    if len({array.shape for array in arrays}) > 1 or any(array.ndim != 1 for array in arrays):
        raise ValueError(
            f"Every measurement of {name} must be of the same scenes, got"
            f" {[a.shape for a in arrays]}."
        )
    table = np.stack(arrays) if arrays else np.zeros((0, 0))
    if not np.isfinite(table).all():
        raise ValueError(
            f"{name} holds NaN or infinity. Leave these scenes out of all measurements."
        )
    return table


def _standard_error(metric: Metric) -> float:
    return (
        math.inf
        if metric.n == 0
        else (metric.high - metric.low) / (2 * float(stats.norm.ppf(0.975)))
    )
