"""Intervals and tests against scipy, statsmodels, simulation and values worked by hand."""

import math

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    power_proportions_2indep,
    proportion_confint,
)

from veridical import statistics as s
from veridical.errors import ConfigError


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (81, 146), (1, 3), (574, 1000)])
def test_wilson_is_that_of_statsmodels(k, n):
    metric = s.wilson(k, n)
    low, high = proportion_confint(k, n, method="wilson")
    assert (metric.value, metric.n) == (k / n, n)
    assert (metric.low, metric.high) == pytest.approx((low, high), abs=1e-12)
    assert 0 <= metric.low <= metric.value <= metric.high <= 1


def test_nothing_measured_is_unknown_and_not_nan():
    assert s.wilson(0, 0).model_dump(include={"value", "n", "low", "high"}) == {
        "value": 0,
        "n": 0,
        "low": 0,
        "high": 1,
    }
    assert s.mean_metric([], bounds=(0, 6)).high == 6
    assert (
        s.clustered_bootstrap([], seed=0).n,
        s.clustered_bootstrap([], bounds=(0, 1), seed=0).high,
    ) == (0, 1)
    nothing = s.mcnemar([], [])
    assert (nothing.low, nothing.high, nothing.p) == (-1, 1, 1)
    assert s.paired_permutation([], [], seed=0).p == 1
    assert s.fisher((0, 0), (3, 5)).p == 1
    assert s.holm([]) == []
    no_mentions = s.clustered_bootstrap([0, 0], denominators=[0, 0], bounds=(0, 1), seed=0)
    assert (no_mentions.value, no_mentions.low, no_mentions.high) == (0, 0, 1)


def test_impossible_counts_are_refused():
    with pytest.raises(ConfigError, match="got 5 of 3"):
        s.wilson(5, 3)
    with pytest.raises(ConfigError, match=r"nan at position 1"):
        s.mean_metric([1.0, math.nan])
    with pytest.raises(ConfigError, match="same items on both sides"):
        s.mcnemar([1, 0], [1])
    with pytest.raises(ConfigError, match="2 items, 1 clusters"):
        s.clustered_bootstrap([1, 2], ["a"], seed=0)


def test_the_ablation_of_rlhf_v_shows_no_difference():
    # Dense DPO 55.5 % against DPO 57.5 % of 146 responses: 81 against 84.
    difference = s.fisher((84, 146), (81, 146))
    assert difference.p == pytest.approx(0.81, abs=0.005)
    assert difference.low < 0 < difference.high
    low, high = confint_proportions_2indep(81, 146, 84, 146, method="newcomb")
    assert (difference.low, difference.high) == pytest.approx((low, high), abs=1e-9)


def test_a_mean_has_the_t_interval():
    values = np.random.default_rng(0).normal(20, 4, 50)
    metric = s.mean_metric(values)
    low, high = stats.t.interval(0.95, 49, loc=values.mean(), scale=stats.sem(values))
    assert (metric.low, metric.high) == pytest.approx((low, high))


def test_a_sample_without_spread_is_certain_only_within_its_bounds():
    assert s.mean_metric([3.0, 3.0]).low == 3.0
    perfect = s.clustered_bootstrap([1, 1, 1, 1], bounds=(0, 1), seed=0)
    assert (perfect.low, perfect.high) == pytest.approx((s.wilson(4, 4).low, 1.0))
    zero_of_six = s.mean_metric([0.0] * 10, bounds=(0, 6))
    assert (zero_of_six.low, zero_of_six.high) == pytest.approx((0, 6 * s.wilson(0, 10).high))
    assert s.clustered_bootstrap([1, 0], ["image", "image"], bounds=(0, 1), seed=0).high == 1


def test_bootstrap_of_singletons_is_that_of_scipy():
    values = np.random.default_rng(1).gamma(2.0, size=200)
    ours = s.clustered_bootstrap(values, seed=3)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=10_000, rng=4
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.02)
    assert ours == s.clustered_bootstrap(values, seed=3)
    assert ours != s.clustered_bootstrap(values, seed=4)


def test_ratio_of_sums_counts_clusters_and_ignores_the_order():
    mentions = {"a": [1, 0, 0], "b": [1], "c": [0, 0, 0, 0]}
    values = [v for group in mentions.values() for v in group]
    clusters = [name for name, group in mentions.items() for _ in group]
    metric = s.clustered_bootstrap(values, clusters, denominators=[1] * 8, bounds=(0, 1), seed=0)
    assert (metric.value, metric.n) == (2 / 8, 3)
    # By hand: three images drawn with replacement; a rate of 1 needs b thrice (1 in 27), 0 needs c
    # thrice (1 in 27).
    assert (metric.low, metric.high) == (0.0, 1.0)
    per_image = s.clustered_bootstrap([1, 1, 0], denominators=[3, 1, 4], bounds=(0, 1), seed=0)
    assert per_image == metric


def test_copies_of_an_item_in_one_cluster_do_not_narrow_the_interval():
    values = np.random.default_rng(2).integers(0, 2, 100)
    once = s.clustered_bootstrap(values, bounds=(0, 1), seed=0)
    copied = s.clustered_bootstrap(
        np.repeat(values, 5), np.repeat(np.arange(100), 5), bounds=(0, 1), seed=0
    )
    assert (copied.value, copied.low, copied.high) == pytest.approx(
        (once.value, once.low, once.high)
    )
    assert (once.low, once.high) == pytest.approx(
        (s.wilson(values.sum(), 100).low, s.wilson(values.sum(), 100).high), abs=0.02
    )


def _pairs(both, lost, gained, neither):
    first = [1] * (both + lost) + [0] * (gained + neither)
    second = [1] * both + [0] * lost + [1] * gained + [0] * neither
    return first, second


@pytest.mark.parametrize(
    "table", [(20, 15, 5, 60), (0, 9, 1, 0), (5, 3, 3, 5), (0, 0, 0, 9), (40, 500, 20, 440)]
)
def test_mcnemar_is_the_exact_test_of_statsmodels(table):
    both, lost, gained, neither = table
    ours = s.mcnemar(*_pairs(*table))
    theirs = reference_mcnemar([[both, lost], [gained, neither]], exact=True)
    assert ours.p == pytest.approx(min(1.0, theirs.pvalue))
    assert ours.difference == pytest.approx((gained - lost) / sum(table))
    assert -1 <= ours.low <= ours.difference <= ours.high <= 1


def _tango(both, lost, gained, neither):
    """Tango's score interval (1998), another method for the same thing, by root finding."""
    n = both + lost + gained + neither

    def score(delta):
        a = 2 * n
        b = -lost - gained + (2 * n - gained + lost) * delta
        c = -lost * delta * (1 - delta)
        q = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        return (gained - lost - n * delta) / math.sqrt(
            max(1e-300, n * (2 * q + delta * (1 - delta)))
        )

    estimate = (gained - lost) / n
    z = stats.norm.ppf(0.975)
    low = optimize.brentq(lambda d: score(d) - z, -1 + 1e-9, estimate)
    return low, optimize.brentq(lambda d: score(d) + z, estimate, 1 - 1e-9)


@pytest.mark.parametrize("table", [(20, 15, 5, 60), (100, 400, 20, 480), (300, 40, 30, 630)])
def test_paired_interval_agrees_with_tangos(table):
    ours = s.mcnemar(*_pairs(*table))
    assert (ours.low, ours.high) == pytest.approx(_tango(*table), abs=0.015)


def test_paired_interval_covers_the_truth_about_95_times_in_100():
    random = np.random.default_rng(0)
    tables = random.multinomial(150, [0.1, 0.4, 0.05, 0.45], size=1000)
    covered = [d.low <= -0.35 <= d.high for d in (s.mcnemar(*_pairs(*table)) for table in tables)]
    assert 0.93 <= np.mean(covered) <= 0.98


def test_permutation_goes_through_all_swaps_of_few_pairs():
    first, second = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 4.0, 6.0, 8.0, 10.0]
    # By hand: differences 1 … 5, all positive; of 32 signs only all plus and all minus reach a sum
    # of 15.
    result = s.paired_permutation(first, second, seed=0)
    assert (result.difference, result.p, result.n) == (3.0, 2 / 32, 5)
    back = s.paired_permutation(second, first, seed=0)
    assert (back.difference, back.p) == (-3.0, 2 / 32)


def test_permutation_of_many_pairs_agrees_with_scipy():
    random = np.random.default_rng(5)
    first = random.normal(size=60)
    second = first + random.normal(0.25, 1, size=60)
    ours = s.paired_permutation(first, second, seed=0, resamples=20_000)
    assert ours.p == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.02)
    half = 1.96 * stats.sem(second - first)
    assert (ours.low, ours.high) == pytest.approx(
        (ours.difference - half, ours.difference + half), abs=0.03
    )


def test_equal_runs_do_not_differ():
    result = s.paired_permutation([1, 2, 3], [1, 2, 3], seed=0)
    assert (result.difference, result.low, result.high, result.p) == (0, 0, 0, 1)


def test_clusters_swap_whole():
    first, second = [0.0] * 40, [1.0] * 40
    apart = s.paired_permutation(first, second, seed=0)
    together = s.paired_permutation(first, second, ["one image"] * 20 + ["another"] * 20, seed=0)
    assert apart.p < 0.001
    assert (together.p, together.n) == (1 / 2, 2)


def test_f1_is_a_ratio_of_sums():
    truth = np.array([1, 1, 1, 0, 0, 0, 1, 0])
    yes = np.array([1, 1, 0, 1, 0, 0, 1, 0])
    better = truth.copy()
    numerators = [2 * (truth & answer) for answer in (yes, better)]
    denominators = [truth + answer for answer in (yes, better)]
    result = s.paired_ratio_difference(
        (numerators[0], denominators[0]), (numerators[1], denominators[1]), seed=0
    )
    assert result.difference == pytest.approx(1 - 2 * 3 / (4 + 4))
    # Two answers changed: of the four swaps, both kept and both swapped reach the difference.
    assert result.p == 0.5


def test_ratio_with_equal_denominators_is_the_mean():
    random = np.random.default_rng(6)
    a, b, ones = random.normal(size=30), random.normal(size=30), np.ones(30)
    means = s.paired_permutation(a, b, seed=1)
    ratios = s.paired_ratio_difference((a, ones), (b, ones), seed=1)
    assert (ratios.difference, ratios.low, ratios.high, ratios.p) == (
        means.difference,
        means.low,
        means.high,
        means.p,
    )


def test_p_of_equal_models_is_uniform():
    random = np.random.default_rng(7)
    p = [
        s.paired_permutation(
            random.normal(size=40), random.normal(size=40), seed=i, resamples=500
        ).p
        for i in range(200)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_holm_is_that_of_statsmodels():
    p = [0.04, 0.001, 0.03, 0.9, 0.012]
    assert s.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_needed_n_has_the_power_asked_for():
    n = s.needed_n(0.575, 0.555)
    power = power_proportions_2indep(-0.02, 0.575, n, return_results=False)
    assert power == pytest.approx(0.8, abs=0.001)
    assert n == pytest.approx(9_600, rel=0.05)
    with pytest.raises(ConfigError, match="two different rates"):
        s.needed_n(0.3, 0.3)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_minimum_detectable_difference_turns_needed_n_around(rate):
    difference = s.minimum_detectable_difference(146, rate)
    towards = rate + difference if rate < 0.5 else rate - difference
    assert s.needed_n(rate, towards) in (146, 147)
    assert s.minimum_detectable_difference(1, rate) == 1.0
    assert s.minimum_detectable_difference(0, rate) == 1.0


def test_several_ratios_from_one_draw_are_those_of_the_bootstrap():
    random = np.random.default_rng(4)
    images = np.repeat(np.arange(120), 5)
    said = random.integers(0, 2, 600).astype(float)
    right = said * random.integers(0, 2, 600)
    ones = np.ones(600)
    together = s.clustered_ratios(
        {"a": (right, said), "b": (said, ones)}, images, bounds=(0, 1), seed=0
    )
    for name, (above, below) in {"a": (right, said), "b": (said, ones)}.items():
        alone = s.clustered_bootstrap(above, images, denominators=below, bounds=(0, 1), seed=0)
        assert (
            (together[name].value, together[name].n)
            == (alone.value, alone.n)
            == (together[name].value, 120)
        )
        assert (together[name].low, together[name].high) == pytest.approx(
            (alone.low, alone.high), abs=0.004
        )


def test_several_ratios_of_nothing_or_without_spread_are_not_nan():
    nothing = s.clustered_ratios({"a": ([], [])}, [], bounds=(0, 1), seed=0)["a"]
    assert (nothing.value, nothing.n, nothing.low, nothing.high) == (0, 0, 0, 1)
    undefined = s.clustered_ratios({"a": ([0, 0], [0, 0])}, [1, 2], bounds=(0, 1), seed=0)["a"]
    assert (undefined.value, undefined.low, undefined.high) == (0, 0, 1)
    certain = s.clustered_ratios({"a": ([1.0] * 40, [1.0] * 40)}, range(40), bounds=(0, 1), seed=0)[
        "a"
    ]
    assert certain.value == certain.high == 1
    assert 0.9 < certain.low < 1


def test_a_comparison_that_shows_nothing_says_what_it_would_take():
    published = s.power_sentence(
        84 / 146, 81 / 146, s.fisher((84, 146), (81, 146)), percent=True, paired=False
    )
    assert (
        published
        == "146 items cannot tell 55.5 % from 57.5 % (p = 0.81); about 9,600 would be needed."
    )
    nothing = s.power_sentence(0.5, 0.5, s.mcnemar([1, 0], [1, 0]), percent=True)
    assert nothing == "Both are 50.0 % on 2 items."
    assert "Nothing was measured" in s.power_sentence(0, 0, s.mcnemar([], []), percent=True)


def test_needed_pairs_have_the_power_asked_for():
    """Simulated: with the pairs said to be needed, McNemar finds the difference in 4 of 5 runs."""
    random = np.random.default_rng(8)
    # 12 % of the pairs change for the better, 6 % for the worse.
    observed = s.mcnemar(*_pairs(40, 6, 12, 42))
    n = s.needed_pairs(observed)
    tables = random.multinomial(n, [0.4, 0.06, 0.12, 0.42], size=400)
    found = np.mean([s.mcnemar(*_pairs(*table)).p < 0.05 for table in tables])
    assert 0.72 <= found <= 0.9
    assert s.detectable_difference(observed) == pytest.approx(0.06 * math.sqrt(n / 100), rel=0.02)
    assert s.needed_pairs(s.mcnemar([1, 0], [1, 0])) is None


def test_fishers_p_is_that_of_scipy():
    assert s.fisher((3, 40), (11, 38)).p == pytest.approx(
        stats.fisher_exact([[3, 37], [11, 27]]).pvalue
    )


def test_runs_are_compared_by_students_t_and_equal_differences_by_their_signs():
    """Differences 1, 2, 3: mean 2, t = 2√3, two degrees of freedom."""
    found = s.paired_t([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    assert found.difference == 2
    assert found.p == pytest.approx(2 * stats.t.sf(2 * 3**0.5, 2))
    assert found.low == pytest.approx(2 - stats.t.ppf(0.975, 2) / 3**0.5)
    assert s.paired_t([0.0] * 5, [0.1] * 5).p == pytest.approx(2 / 32)
    assert s.paired_t([0.0] * 2, [0.1] * 2).p == pytest.approx(1 / 2)
    assert s.paired_t([0.3] * 4, [0.3] * 4).p == 1
    assert s.paired_t([0.0], [1.0]).p == 1
    steps = s.paired_t([0.0] * 4, [0.1] * 4, least_spread=0.05)
    assert steps.p == pytest.approx(2 * stats.t.sf(0.1 / (0.05 / 2), 3))
    assert steps.low == pytest.approx(0.1 - stats.t.ppf(0.975, 3) * 0.025)


def test_a_margin_of_nobody_leaves_newcombes_limits_uncorrelated():
    """Where the first run has none of ten right, φ is 0: Wilson's limits combine as they are."""
    found = s.mcnemar([0] * 10, [1] * 5 + [0] * 5)
    one, two = s.wilson(0, 10), s.wilson(5, 10)
    assert found.low == pytest.approx(0.5 - math.hypot(two.value - two.low, one.high - one.value))
    assert found.high == pytest.approx(0.5 + math.hypot(two.high - two.value, one.value - one.low))
