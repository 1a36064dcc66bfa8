import math

import pytest

from veridical.errors import ConfigError
from veridical.statistics.agreement import cohen_kappa, kendall, spearman

A = [int(digit) for digit in "4505334260123200001614511316165502434440"]
B = [int(digit) for digit in "6524252051042102220425600306355404222231"]
SCALE = range(7)


@pytest.mark.parametrize(
    ("weights", "kappa", "low", "high"),
    [
        # statsmodels 0.15.0, cohens_kappa (its wt None, "linear", "quadratic")
        ("none", 0.010909090909090903, -0.12084604042107039, 0.14266422223925218),
        ("linear", 0.45464663327768506, 0.3249026509790406, 0.5843906155763295),
        ("quadratic", 0.7440051847051199, 0.6456856088049411, 0.8423247606052987),
    ],
)
def test_kappa_as_statsmodels_has_it(weights, kappa, low, high):
    metric = cohen_kappa(A, B, categories=SCALE, weights=weights)
    assert metric.value == pytest.approx(kappa, abs=1e-12)
    assert (metric.low, metric.high) == pytest.approx((low, high), abs=1e-12)
    assert metric.n == 40


def test_kappa_by_hand():
    """20 and 15 of 50 on the diagonal: observed 0.7, by chance 0.5."""
    first = [0] * 25 + [1] * 25
    second = [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15
    metric = cohen_kappa(first, second, categories=(0, 1))
    assert metric.value == pytest.approx(0.4)
    assert (metric.low, metric.high) == pytest.approx(
        (0.151092290476661, 0.6489077095233389)
    )  # statsmodels


def test_kappa_is_symmetric_and_equal_raters_agree():
    assert cohen_kappa(A, B, categories=SCALE).value == pytest.approx(
        cohen_kappa(B, A, categories=SCALE).value
    )
    for weights in ("none", "linear", "quadratic"):
        assert cohen_kappa(A, A, categories=SCALE, weights=weights).value == pytest.approx(1.0)


def test_kappa_of_two_categories_is_the_same_under_all_weights():
    first, second = [int(a > 2) for a in A], [int(b > 2) for b in B]
    values = {
        cohen_kappa(first, second, categories=(0, 1), weights=w).value
        for w in ("none", "linear", "quadratic")
    }
    assert max(values) - min(values) < 1e-12


@pytest.mark.parametrize("ratings", [[], [3], [3, 3, 3]])
def test_what_cannot_be_measured_has_n_0_and_the_whole_range(ratings):
    for metric in (
        cohen_kappa(ratings, ratings, categories=SCALE, weights="quadratic"),
        spearman(ratings, ratings),
        kendall(ratings, ratings),
    ):
        assert (metric.value, metric.n, metric.low, metric.high) == (0.0, 0, -1.0, 1.0)


def test_rank_correlations_as_scipy_has_them():
    rho, tau = spearman(A, B), kendall(A, B)
    assert rho.value == pytest.approx(0.7339692091673201, abs=1e-12)  # scipy 1.17.1
    assert tau.value == pytest.approx(0.5850742122114198, abs=1e-12)
    half = 1.959963984540054 * math.sqrt((1 + rho.value**2 / 2) / 37)
    assert math.atanh(rho.high) - math.atanh(rho.value) == pytest.approx(half)
    assert math.atanh(tau.value) - math.atanh(tau.low) == pytest.approx(
        1.959963984540054 * math.sqrt(0.437 / 36)
    )


def test_few_items_leave_everything_possible():
    two = spearman([1, 2], [3, 4])
    assert (two.value, two.n) == (pytest.approx(1.0), 2)
    metric = spearman([1, 2, 3], [1, 3, 2])
    assert metric.value == pytest.approx(0.5)
    assert (metric.low, metric.high) == (-1.0, 1.0)
    assert kendall([1, 2, 3, 4], [1, 2, 3, 4]).low == -1.0
    assert spearman(range(10), range(10)).low == pytest.approx(1.0)


def test_ratings_outside_of_the_categories_and_unequal_lists_are_refused():
    with pytest.raises(ConfigError, match="holds 7, which is none of the categories"):
        cohen_kappa([7], [1], categories=SCALE)
    with pytest.raises(ConfigError, match="same items on both sides"):
        spearman([1, 2], [1, 2, 3])
