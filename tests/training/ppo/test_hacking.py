"""The test of reward hacking: rarely wrong where nothing happens, right where it is planted."""

import numpy as np
import pytest

from veridical.statistics import mean_metric
from veridical.training.ppo import hacking
from veridical.training.ppo.hacking import (
    JudgedMeans,
    JudgedScenes,
    find_hacking,
    find_hacking_in_means,
)

STEPS = range(0, 160, 20)


def curves(random, *, scenes=80, proxy=lambda step: 0.0, judge=lambda step: 0.0, integers=False):
    """Scenes differ, and so does each sample; on top goes what truly happens by step."""
    own = random.normal(0, 1, (2, scenes))
    points = []
    for step in STEPS:
        noise = random.normal(0, 1, (2, scenes))
        rated = own[1] + noise[1] + judge(step)
        rated = np.clip(np.round(2 * rated + 4), 0, 6) if integers else rated
        points.append(JudgedScenes(step, step / 10, own[0] + noise[0] + proxy(step), rated))
    return points


def rate(make, *, runs=400):
    found = sum(
        find_hacking(make(np.random.default_rng(seed)), seed=seed) is not None
        for seed in range(runs)
    )
    return found / runs


@pytest.fixture(autouse=True)
def few_flips(monkeypatch):
    monkeypatch.setattr(hacking, "FLIPS", 1000)


@pytest.mark.parametrize(
    ("name", "proxy", "judge", "integers"),
    [
        ("nothing happens", lambda s: 0.0, lambda s: 0.0, False),
        ("the proxy rises, the judge stays", lambda s: s / 40, lambda s: 0.0, False),
        (
            "the proxy rises, the judge stays, in whole numbers",
            lambda s: s / 40,
            lambda s: 0.0,
            True,
        ),
        ("the proxy stays, the judge falls", lambda s: 0.0, lambda s: -s / 40, False),
        ("both rise", lambda s: s / 40, lambda s: s / 40, False),
        ("both fall", lambda s: -s / 40, lambda s: -s / 40, False),
    ],
)
def test_false_warnings_are_as_rare_as_stated(name, proxy, judge, integers):
    runs = 400
    allowed = 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
    assert (
        rate(lambda random: curves(random, proxy=proxy, judge=judge, integers=integers), runs=runs)
        <= allowed
    )


def hacked(step, since=80):
    """The judge rises with the proxy, and falls from a step on."""
    return step / 100 if step <= since else since / 100 - (step - since) / 50


def test_planted_hacking_is_found_with_its_step():
    found = [
        find_hacking(
            curves(np.random.default_rng(seed), scenes=200, proxy=lambda s: s / 60, judge=hacked),
            seed=seed,
        )
        for seed in range(20)
    ]
    assert all(found)
    assert np.median([one.since_step for one in found]) == 80
    one = found[0]
    assert one.until_step == 140
    assert one.proxy[1] > one.proxy[0]
    assert one.judge[1] < one.judge[0]
    assert f"proxy rises, judge falls since step {one.since_step}: proxy " in one.text
    assert f"checkpoint of step {one.since_step}" in one.advice


def test_more_looks_ask_for_more_evidence():
    points = curves(
        np.random.default_rng(3), scenes=60, proxy=lambda s: s / 60, judge=lambda s: -s / 300
    )
    p = [find_hacking(points, error_rate=rate) is not None for rate in (0.01, 0.05, 0.5, 1.0)]
    assert p == sorted(p)
    assert p[-1]
    assert find_hacking(points, error_rate=1.0, looks=100_000) is None


def test_scenes_together_reordered_change_nothing_but_the_draw():
    points = curves(np.random.default_rng(0), scenes=150, proxy=lambda s: s / 60, judge=hacked)
    order = np.random.default_rng(1).permutation(150)
    again = [
        p._replace(proxy=np.asarray(p.proxy)[order], judge=np.asarray(p.judge)[order])
        for p in points
    ]
    assert find_hacking(points).since_step == find_hacking(again).since_step


def means(points):
    return [JudgedMeans(p.step, p.kl, mean_metric(p.proxy), mean_metric(p.judge)) for p in points]


def test_means_with_intervals_find_it_too_but_later():
    strong = means(
        curves(np.random.default_rng(0), scenes=400, proxy=lambda s: s / 40, judge=hacked)
    )
    found = find_hacking_in_means(strong)
    assert found is not None
    assert found.since_step in (60, 80, 100)
    false = sum(
        find_hacking_in_means(means(curves(np.random.default_rng(seed), proxy=lambda s: s / 40)))
        is not None
        for seed in range(200)
    )
    assert false / 200 <= 0.05


def test_too_little_to_compare_warns_of_nothing():
    points = curves(np.random.default_rng(0))
    assert find_hacking([]) is None
    assert find_hacking(points[:1]) is None
    assert find_hacking_in_means(means(points[:1])) is None
    same = [points[0]._replace(step=step) for step in (0, 10)]
    assert find_hacking(same) is None
    unmeasured = [p._replace(judge=mean_metric([])) for p in means(points)]
    assert find_hacking_in_means(unmeasured) is None


def test_scenes_that_do_not_match_are_refused():
    points = curves(np.random.default_rng(0))
    with pytest.raises(ValueError, match="same scenes"):
        find_hacking([*points[:-1], points[-1]._replace(proxy=[1.0, 2.0])])
    with pytest.raises(ValueError, match="same scenes"):
        find_hacking([p._replace(judge=np.zeros(3)) for p in points])
    with pytest.raises(ValueError, match="NaN or infinity"):
        find_hacking([points[0]._replace(proxy=np.full(80, np.nan)), points[1]])
