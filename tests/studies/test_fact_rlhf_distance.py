"""Two policies at equal distance: judgements interpolated over KL, tested in pairs over prompts."""

import pytest

from veridical.studies.fact_rlhf.curves import CurvePoint, RunCurve
from veridical.studies.fact_rlhf.distance import compare_at_equal_distance, judged_at
from veridical.training.ppo.train import HeldOutPrompt


def run(arm, seed, points):
    """A run of measurements (KL, judgement of each prompt)."""
    return RunCurve(
        arm,
        seed,
        tuple(
            CurvePoint(
                step,
                kl,
                tuple(HeldOutPrompt(f"p{n}", 0.0, value, "") for n, value in enumerate(judged)),
            )
            for step, (kl, judged) in enumerate(points)
        ),
        (),
        (),
    )


def test_a_judgement_between_two_measurements_is_interpolated_prompt_by_prompt():
    curve = run("rlhf", 0, [(0.0, [3.0, 1.0]), (2.0, [5.0, 1.0]), (4.0, [5.0, 5.0])])
    assert judged_at(curve, 0.0) == [3.0, 1.0]
    assert judged_at(curve, 0.5) == [3.5, 1.0]
    assert judged_at(curve, 3.0) == [5.0, 3.0]
    assert judged_at(curve, 4.1) is None


def test_a_run_that_comes_back_counts_where_it_first_was():
    curve = run("rlhf", 0, [(0.0, [3.0]), (2.0, [5.0]), (1.0, [0.0]), (3.0, [1.0])])
    assert judged_at(curve, 1.0) == [4.0]
    assert judged_at(curve, 2.5) == [0.75]


def test_arms_are_compared_up_to_the_least_distance_that_all_runs_have_gone():
    prompts = 40
    curves = [
        run(
            arm,
            seed,
            [(0.0, [3.0] * prompts), (reach, [3.0 + gain + (n % 3) / 10 for n in range(prompts)])],
        )
        for arm, gain, reach in (("rlhf", 0.5, 4.0), ("fact_rlhf", 1.5, 8.0))
        for seed in range(2)
    ]
    rows = compare_at_equal_distance(curves, first="rlhf", second="fact_rlhf", seed=0)
    assert [row.kl for row in rows] == [1.0, 2.0, 3.0, 4.0]
    # At KL 4 the one has all of its gain, the other half of it: 3.5 + 0.1 against 3 + (1.5 + 0.1) /
    # 2.
    last = rows[-1]
    mean = sum((n % 3) / 10 for n in range(prompts)) / prompts
    assert last.judge_first.value == pytest.approx(3.5 + mean)
    assert last.judge_second.value == pytest.approx(3 + (1.5 + mean) / 2)
    assert last.by_seed == pytest.approx((last.result.difference,) * 2)
    assert last.result.p < 0.01
    assert last.result.n == prompts  # prompts are clusters: seeds make no more of them


def test_without_a_run_of_either_arm_nothing_is_compared():
    alone = run("rlhf", 0, [(0.0, [3.0]), (1.0, [4.0])])
    assert compare_at_equal_distance([alone], first="rlhf", second="fact_rlhf", seed=0) == ()
    still = [run(arm, 0, [(0.0, [3.0]), (0.0, [3.0])]) for arm in ("rlhf", "fact_rlhf")]
    assert compare_at_equal_distance(still, first="rlhf", second="fact_rlhf", seed=0) == ()
