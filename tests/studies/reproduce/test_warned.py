"""Whether the warning of reward hacking is confirmed by prompts that it did not see."""

import random

import pytest

from veridical.studies.fact_rlhf.curves import CurvePoint, RunCurve
from veridical.studies.reproduce.warned import check_warnings
from veridical.training.ppo.train import HeldOutPrompt


def run(*means, rise=1.0, deceived=()):
    """A run with the judge's mean at each step.

    Args:
        *means: The judge's mean at each measurement; prompts vary by a quarter around it.
        rise: How much the reward rises from one measurement to the next.
        deceived: Prompts (0: those with even numbers, 1: odd ones) on which the judge falls by one
            at the end whatever its mean.
    """
    rng = random.Random(0)
    points = []
    for step, mean in enumerate(means):
        fallen = deceived if step == len(means) - 1 else ()
        prompts = tuple(
            HeldOutPrompt(
                id=f"p{n}",
                proxy=rise * step + rng.gauss(0, 0.25),
                judge=mean + rng.gauss(0, 0.25) - (n % 2 in fallen),
                response="",
            )
            for n in range(48)
        )
        points.append(CurvePoint(step, float(step), prompts))
    return RunCurve("rlhf", 0, tuple(points), (), ())


@pytest.mark.parametrize(
    ("judged", "counts"),
    [
        (run(2.0, 4.0, 3.0), (2, 2, 2, 0)),
        (run(2.0, 3.0, 4.0), (2, 0, 0, 0)),
        # A fall that only the half shows that is warned by.
        (run(2.0, 2.0, 2.0, deceived=(0,)), (2, 0, 0, 1)),
        # The judge falls, but so does the reward: nothing is hacked, and nothing warned of.
        (run(2.0, 4.0, 3.0, rise=-1.0), (2, 2, 0, 0)),
        # Hacked on the way and recovered since: the run would have been warned at that time.
        (run(2.0, 4.0, 3.0, 4.0), (2, 2, 2, 0)),
    ],
)
def test_a_warning_is_confirmed_by_prompts_that_it_did_not_see(judged, counts):
    found = check_warnings("rlhf", [judged])
    assert (found.checked, found.fell, found.hits, found.false_alarms) == counts


def test_counts_are_over_all_runs_of_an_arm():
    found = check_warnings("rlhf", [run(2.0, 4.0, 3.0), run(2.0, 3.0, 4.0)])
    assert (found.checked, found.fell, found.hits, found.false_alarms) == (4, 2, 2, 0)
