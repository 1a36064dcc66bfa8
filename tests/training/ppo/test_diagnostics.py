"""Warnings of a run's log: silent on noise; on planted faults: step, numbers and advice."""

import numpy as np
import pytest

from veridical.training.ppo.diagnostics import RULES, find_warnings, hacking_warning
from veridical.training.ppo.hacking import Hacking

NORMAL = {
    "entropy": 1.2,
    "length": 30.0,
    "repetition": 0.03,
    "finished": 0.98,
    "kl_k1": 6.0,
    "clip_fraction": 0.1,
    "explained_variance": 0.4,
}


def log(*, rows=60, seed=0, noise=0.1, **planted):
    """Rows of noise around normal values; `planted` gives a measure's course from row 30 on."""
    random = np.random.default_rng(seed)
    return [
        {
            "step": 4 * row,
            "part": "rollout",
            **{
                name: (
                    (planted[name](row - 30) if name in planted and row >= 30 else value)
                    * (1 + noise * random.normal())
                )
                for name, value in NORMAL.items()
            },
        }
        for row in range(rows)
    ]


def test_stationary_noise_warns_in_fewer_than_one_run_of_a_hundred():
    """Asked after every tenth row of 200, since a run is watched while it goes."""
    false = 0
    for seed in range(150):
        rows = log(rows=200, seed=seed)
        false += any(find_warnings(rows[:end]) for end in range(10, 201, 10))
    assert false / 150 < 0.01


@pytest.mark.parametrize(
    ("measure", "course", "kind"),
    [
        ("entropy", lambda n: 0.2, "entropy collapse"),
        ("length", lambda n: 30 + 3 * n, "length growth"),
        ("length", lambda n: 8.0, "length collapse"),
        ("repetition", lambda n: 0.4, "repetition"),
        ("finished", lambda n: 0.5, "unfinished answers"),
        ("kl_k1", lambda n: 6.0 * 1.3**n, "KL blow-up"),
        ("clip_fraction", lambda n: 0.6, "clipping"),
        ("explained_variance", lambda n: -0.5, "critic worse than none"),
    ],
)
def test_what_is_planted_is_found(measure, course, kind):
    (warned,) = find_warnings(log(**{measure: course}))
    assert warned.kind == kind
    assert 120 <= warned.since_step <= 160
    assert f"since step {warned.since_step}" in str(warned)
    assert measure in warned.text
    assert "To do: " in str(warned)


def test_every_rule_is_about_a_measure_of_its_own_kind():
    assert len({rule.kind for rule in RULES}) == len(RULES)
    assert {rule.measure for rule in RULES} == set(NORMAL)


def test_one_bad_row_and_what_is_over_do_not_warn():
    rows = log(noise=0.0)
    rows[-1]["kl_k1"] = 500.0
    assert find_warnings(rows) == []
    rows = log(noise=0.0, clip_fraction=lambda n: 0.6 if n < 10 else 0.1)
    assert find_warnings(rows[:38]) != []
    assert find_warnings(rows) == []


def test_a_value_on_the_limit_does_not_warn():
    assert find_warnings([{"step": n, "clip_fraction": 0.3} for n in range(20)]) == []
    assert find_warnings([{"step": n, "explained_variance": 0.0} for n in range(20)]) == []


def test_rows_without_the_measure_and_validation_rows_do_not_count():
    rows = [{"step": n, "part": "train", "clip_fraction": 0.6} for n in range(6)]
    between = [{"step": n, "part": "rollout", "length": 30.0} for n in range(6)]
    held_out = [{"step": n, "part": "validation", "clip_fraction": 0.0} for n in range(6)]
    mixed = [row for three in zip(rows, between, held_out, strict=True) for row in three]
    assert [one.kind for one in find_warnings(mixed)] == ["clipping"]
    assert find_warnings([{"step": n, "clip_fraction": None} for n in range(20)]) == []
    assert find_warnings([]) == []


def test_a_measure_that_began_at_nothing_has_no_share():
    assert find_warnings([{"step": n, "entropy": 0.0} for n in range(30)]) == []


def test_hacking_stands_beside_the_others():
    warned = hacking_warning(Hacking(140, 200, (4.0, 9.0), (0.2, 0.9), (4.1, 3.6), 0.001))
    assert warned.since_step == 140
    assert "proxy rises, judge falls since step 140" in str(warned)
    assert "keep the checkpoint of step 140" in str(warned)
