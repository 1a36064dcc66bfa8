"""The shipped plans: what they name is in the grid, and a faulty plan is refused."""

import shutil
from pathlib import Path

import pytest

from veridical import recipes
from veridical.errors import ConfigError
from veridical.studies.reproduce.llava_rlhf import llava_rlhf_cells
from veridical.studies.reproduce.plan import load_plan, parse_plan, read_plan
from veridical.studies.reproduce.run import Study, cells_of, measured_arms, reproduce

PLAN_FILES = Path(recipes.__file__).parents[1].glob("studies/reproduce/plans/*.toml")
STUDIES = ("rlhf-v", "llava-rlhf")


@pytest.mark.parametrize("file", sorted(PLAN_FILES), ids=lambda file: file.stem)
def test_every_arm_that_a_plan_names_is_in_its_grid(file):
    study = next(study for study in STUDIES if file.stem.startswith(study))
    plan, digest = read_plan(file, study)
    cells = cells_of(Study(plan, digest))
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    arms = set(measured_arms(cells))
    assert set(plan.arms) <= arms
    for one in plan.hypotheses:
        assert {one.first, one.second} <= arms
    for number, cell in enumerate(cells):
        assert set(cell.needs) <= set(names[:number])


@pytest.mark.parametrize("study", STUDIES)
def test_the_quick_plan_tests_the_same_claims_on_less(study):
    (plan, digest), (quick, other) = load_plan(study), load_plan(study, quick=True)
    assert digest != other
    assert [one.id for one in quick.hypotheses] == [one.id for one in plan.hypotheses]
    for less, whole in zip(quick.hypotheses, plan.hypotheses, strict=True):
        for name in ("metric", "claimed", "scale", "by_at_least", "keeps", "source"):
            assert getattr(less, name) == getattr(whole, name), (whole.id, name)
    assert quick.seeds < plan.seeds


def test_judgements_are_no_arms_and_the_parts_of_a_cell_are():
    plan, digest = load_plan("llava-rlhf")
    arms = measured_arms(cells_of(Study(plan, digest)))
    assert not [arm for arm in arms if arm.startswith(("comparisons", "corrections", "equal-kl"))]
    assert {"base", "reward-blind-sharp", "rlhf-equal-kl", "best-of-n"} <= set(arms)


def test_an_arm_that_the_grid_does_not_have_is_refused_before_the_first_run(tmp_path):
    plan, digest = load_plan("llava-rlhf", quick=True)
    wrong = plan.hypotheses[0].model_copy(update={"second": "reward-guessed"})
    asked = plan.model_copy(update={"hypotheses": (wrong,)})
    with pytest.raises(ConfigError, match=r"'reward-guessed' \(facts\)"):
        reproduce(Study(asked, digest), tmp_path)
    assert not list(tmp_path.iterdir())


def test_another_base_of_the_same_name_is_another_cell(tmp_path):
    plan, _ = load_plan("llava-rlhf", quick=True)
    weights = tmp_path / "model.safetensors"
    weights.write_text("one")
    before = llava_rlhf_cells(plan, base=str(tmp_path))[0].settings
    weights.write_text("two")
    assert llava_rlhf_cells(plan, base=str(tmp_path))[0].settings != before


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
        parse_plan(text.replace(*change).encode(), "rlhf-v", where="mine.toml")


def test_a_plan_of_some_arms_has_their_cells_and_what_they_build_on():
    whole, digest = load_plan("rlhf-v")
    one = next(one for one in whole.hypotheses if one.id == "dense")
    plan = whole.model_copy(
        update={"arms": ("dense-1400", "dpo-1400"), "hypotheses": (one,), "seeds": 2}
    )
    names = [cell.name for cell in cells_of(Study(plan, digest))]
    assert names == [
        f"{arm}/seed-{number}"
        for number in range(2)
        for arm in ("base", "corrections", "dense-1400", "dpo-1400", "habits")
    ]


def test_a_plan_that_does_not_train_what_it_compares_is_refused():
    data = b"""study = "rlhf-v"
fixed = "2026-11-27"
note = ""
seeds = 2
test_scenes = 20
probe_scenes = 5
validation_scenes = 20
corrections = [32]
standard = 32
arms = ["dense-32"]
[[hypotheses]]
id = "dense"
claim = "dense beats plain"
source = "ours"
first = "dpo-32"
second = "dense-32"
"""
    with pytest.raises(ConfigError, match=r"lacks dpo-32"):
        parse_plan(data, "rlhf-v", where="plan.toml")


def test_cells_are_made_again_where_a_recipe_that_arms_start_from_has_changed(
    tmp_path, monkeypatch
):
    study = Study(*load_plan("rlhf-v", quick=True))
    before = cells_of(study)[0].settings
    shutil.copytree(Path(recipes.__file__).parent, tmp_path / "recipes")
    monkeypatch.setattr(recipes, "__file__", str(tmp_path / "recipes" / "__init__.py"))
    assert cells_of(study)[0].settings == before
    with (tmp_path / "recipes" / "dpo-world.toml").open("a") as file:
        file.write("# tuned\n")
    assert cells_of(study)[0].settings != before
