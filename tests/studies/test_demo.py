"""The whole loop in small, through the real command line."""

import json

import pytest

from veridical.cli import main
from veridical.config import load_recipe
from veridical.errors import ConfigError
from veridical.models.loading import load_model
from veridical.records import Correction, read_records
from veridical.records.results import REQUIRED_METRICS, read_results
from veridical.studies.collection import collect_corrections
from veridical.studies.demo.recipe import DemoRecipe
from veridical.studies.demo.run import run_demo
from veridical.studies.illustrations import mark_faults
from veridical.studies.stages import claim_folder
from veridical.world.base import base_model_path
from veridical.world.people.person import EXACT
from veridical.world.scenes import Group, Scene

SMALL = [
    "corrections=96",
    "test_scenes=60",
    "probe_scenes=10",
    "questions_per_type=2",
    "validation_scenes=20",
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "Anna's run"  # a quote once broke the recipes
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--out", str(out), *SMALL])
    assert ended.value.code == 0
    return out


def test_the_demo_leaves_numbers_with_their_intervals(demo):
    results = json.loads((demo / "results.json").read_text())
    for name in REQUIRED_METRICS:
        for side in ("base", "aligned"):
            metric = results[side][name]
            assert set(metric) == {"value", "n", "low", "high"}
            assert metric["low"] <= metric["value"] <= metric["high"]
        assert set(results["comparison"][name]) == {"difference", "low", "high", "p", "test"}
    assert results["base"]["hallucination_rate"]["n"] == 60
    assert list(results["seconds"]) == ["measure", "collect", "align", "measure again", "report"]
    assert results["seed"] == 0
    assert len(results["image_free"]) == 5
    read = read_results(demo)
    assert read.image_free[0].name == "last sentence cut"
    assert read.image_free[0].metrics["mean_length"].value < results["base"]["mean_length"]["value"]


def test_the_demo_leaves_a_report_that_needs_no_network(demo):
    page = (demo / "report.html").read_text()
    assert "<script src" not in page
    assert "simulated" in page
    assert "Did it learn to look?" in page
    assert "Details stated" in page
    assert page.count("data:image/png;base64") >= 18


def test_the_demo_s_corrections_are_records_of_simulated_people(demo):
    corrections = read_records(demo / "2-corrections" / "corrections.jsonl", Correction)
    assert len(corrections) == 96
    assert {one.source for one in corrections} == {"simulated"}
    assert all((demo / "2-corrections" / one.image.path).is_file() for one in corrections)


def test_the_resolved_recipe_repeats_the_run(demo, tmp_path):
    recipe = load_recipe(demo / "recipe.toml", DemoRecipe)
    again = run_demo(recipe, tmp_path / "again")
    first = json.loads((demo / "results.json").read_text())
    assert {name: metric.value for name, metric in again.aligned.items()} == {
        name: metric["value"] for name, metric in first["aligned"].items()
    }


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="holds no earlier demo"):
        run_demo(DemoRecipe(), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_wrong_words_are_marked_with_what_is_true():
    groups = (
        Group(noun="cow", colour="red", number=1, size="small", row=0, column=0),
        Group(noun="pig", colour="blue", number=2, size="small", row=1, column=1),
    )
    scene = Scene(id="made", context="farm", groups=groups)
    marked = mark_faults(
        scene, "There is a red cow on the right. There is a blue rooster on the left."
    )
    said = {marked.text[span.start : span.end]: span for span in marked.spans}
    assert said.keys() == {"right", "rooster"}
    assert (said["right"].kind, said["right"].truth) == ("place", "left")
    assert (said["rooster"].kind, said["rooster"].truth) == ("object", "")


def test_people_who_find_nothing_leave_no_correction(demo, tmp_path):
    collected = collect_corrections(
        load_model(str(base_model_path())),
        tmp_path,
        count=20,
        split="few",
        seed=0,
        temperature=1.0,
        person=EXACT,
    )
    assert len(collected.corrections) == 20
    assert collected.shown > 20
    assert all(one.chosen != one.rejected for one in collected.corrections)


@pytest.mark.parametrize("system", ["rlhf-v", "llava-rlhf"])
def test_a_demo_needs_a_folder_not_a_file(tmp_path, system, capsys):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SystemExit) as left:
        main(["demo", "--out", str(tmp_path / "file"), "--system", system])
    assert left.value.code == 1
    assert "file` is a file. Give a folder with --out." in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_an_earlier_demo_is_replaced_only_with_a_word(tmp_path, capsys):
    (tmp_path / "recipe.toml").write_text("")
    (tmp_path / "1-base").mkdir()
    claim_folder(tmp_path, holds=["recipe.toml", "1-base"], what="demo")
    assert f"Replacing the earlier demo in {tmp_path}" in capsys.readouterr().err
    assert not tmp_path.exists()
