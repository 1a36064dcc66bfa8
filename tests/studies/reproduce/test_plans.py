"""The shipped plans: what they name is in the grid, and a faulty plan is refused."""

import pytest

from veridical.errors import ConfigError
from veridical.studies.reproduce.plan import load_plan, parse_plan
from veridical.studies.reproduce.rlhf_v import HABITS, rlhf_v_cells


@pytest.mark.parametrize("quick", [False, True])
def test_every_arm_that_a_plan_names_is_in_its_grid(quick):
    plan, _ = load_plan("rlhf-v", quick=quick)
    cells = rlhf_v_cells(plan)
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    arms = {name.partition("/")[0] for name in names} | set(HABITS)
    for one in plan.hypotheses:
        assert {one.first, one.second} <= arms
    for number, cell in enumerate(cells):
        assert set(cell.needs) <= set(names[:number])


def test_the_quick_plan_tests_the_same_claims_on_less():
    (plan, digest), (quick, other) = load_plan("rlhf-v"), load_plan("rlhf-v", quick=True)
    assert digest != other
    assert [one.id for one in quick.hypotheses] == [one.id for one in plan.hypotheses]
    assert [one.metric for one in quick.hypotheses] == [one.metric for one in plan.hypotheses]
    assert quick.seeds < plan.seeds


def test_comparisons_cost_as_much_time_as_the_standard_corrections():
    plan, _ = load_plan("rlhf-v")
    assert plan.comparisons() == (2800, 10000)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("standard = 1400", "standard = 7"), "must be one of"),
        (("seeds = 5", "seeds = 1"), "seeds"),
        (('id = "dense"', 'id = "fewer"'), "two hypotheses have one"),
        (("claimed = ", "claims = "), "claims"),
    ],
)
def test_a_faulty_plan_is_refused(change, said):
    from importlib import resources

    folder = resources.files("veridical.studies.reproduce").joinpath("plans")
    text = folder.joinpath("rlhf-v.toml").read_text(encoding="utf-8")
    assert change[0] in text
    with pytest.raises(ConfigError, match=said):
        parse_plan(text.replace(*change).encode(), where="mine.toml")
