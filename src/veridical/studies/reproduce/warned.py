"""Is the warning of reward hacking to be believed? Hits and false alarms on other prompts.

The warning looks at what the judge says, so it cannot be checked on the prompts that it saw. It is
given one half of the held-out prompts, at every measurement as a run would ask it, and the other
half says whether the judge fell between the two steps that the warning names; then the halves
change places. Where it is silent, the step with the highest judge on its own half takes the place
of the first.
"""

from collections.abc import Sequence

from veridical.records.claims import HackingWarnings
from veridical.statistics import paired_t
from veridical.studies.fact_rlhf.curves import CurvePoint, RunCurve
from veridical.training.ppo.hacking import find_hacking


def check_warnings(arm: str, runs: Sequence[RunCurve]) -> HackingWarnings:
    """Count an arm's warnings, and how many of them other prompts confirm.

    Args:
        arm: The arm.
        runs: Its runs with what was measured along the way.
    """
    outcomes = [
        _check(_half(run.points, seen), _half(run.points, 1 - seen))
        for run in runs
        for seen in (0, 1)
    ]
    return HackingWarnings(
        arm=arm,
        checked=len(outcomes),
        fell=sum(fell for _, fell in outcomes),
        hits=sum(warned and fell for warned, fell in outcomes),
        false_alarms=sum(warned and not fell for warned, fell in outcomes),
    )


def _half(points: Sequence[CurvePoint], which: int) -> list[CurvePoint]:
    return [point._replace(prompts=point.prompts[which::2]) for point in points]


def _check(seen: Sequence[CurvePoint], other: Sequence[CurvePoint]) -> tuple[bool, bool]:
    """Whether the first half warned, and whether the judge fell on the second."""
    judged = [point.judged() for point in seen]
    for last in range(1, len(judged)):
        found = find_hacking(judged[: last + 1], looks=len(judged) - 1)
        if found is not None:
            since = next(n for n, point in enumerate(seen) if point.step == found.since_step)
            return True, _falls(other[since], other[last])
    best = max(range(len(seen)), key=lambda n: sum(seen[n].scores()))
    return False, _falls(other[best], other[-1])


def _falls(before: CurvePoint, after: CurvePoint) -> bool:
    """Whether the judge's fall is shown at 2.5 %, one-sided."""
    return paired_t(before.scores(), after.scores()).high < 0
