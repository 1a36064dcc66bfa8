"""Cells of RLHF-V's grid, in small: what they leave can be judged, and is never of one seed."""

import tomllib

import pytest
from PIL import Image

from veridical.evaluation.world import hallucination_and_coverage
from veridical.files import hash_bytes
from veridical.models.loading import load_model
from veridical.records import Conversation, Correction, ImageRef, read_records, write_records
from veridical.studies.reproduce.bench import Bench
from veridical.studies.reproduce.derived import write_blanked
from veridical.studies.reproduce.grid import run_grid
from veridical.studies.reproduce.measured import load_arm
from veridical.studies.reproduce.paths import read_checkpoints
from veridical.studies.reproduce.plan import load_plan
from veridical.studies.reproduce.rlhf_v import HABITS, rlhf_v_cells
from veridical.training.run.choice import hold_out
from veridical.world.base import base_model_path
from veridical.world.scenes import IMAGE_PIXELS, sample_scenes

plan_seed = Bench("world", 0, 1, 1).seed_of
TRAINED = ("dense-32", "anchored-32", "sft-32", "blank-32", "four-epochs-32")
SMALL = {
    "seeds": 2,
    "test_scenes": 20,
    "probe_scenes": 5,
    "validation_scenes": 20,
    "corrections": (32, 48),
    "standard": 32,
    "hypotheses": (),
}


def test_a_policy_and_the_habits_are_measured_on_the_same_scenes(tmp_path):
    plan = load_plan("rlhf-v", quick=True)[0].model_copy(update=SMALL)
    wanted = {f"{arm}/seed-0" for arm in ("base", "corrections", *TRAINED, "habits")}
    cells = [cell for cell in rlhf_v_cells(plan) if cell.name in wanted]
    run_grid(lambda: cells, tmp_path, seed=0)
    base = load_arm(tmp_path, "base", seeds=1)[0].evaluation
    for arm in TRAINED:
        trained = load_arm(tmp_path, arm, seeds=1)[0].evaluation
        assert base.items == trained.items
        assert base.responses != trained.responses
        assert trained.metrics["hallucination_rate"].n == 20
        last = load_arm(tmp_path, arm, seeds=1)[0].metrics["hallucination_rate/last"]
        path = read_checkpoints(tmp_path / arm / "seed-0" / "run")
        assert (last.value, last.n) == (path[-1].hallucination, 20)
    recipes = {
        arm: tomllib.loads((tmp_path / arm / "seed-0" / "run" / "recipe.toml").read_text())
        for arm in TRAINED
    }
    assert recipes["dense-32"]["objective"]["sft_weight"] == 0
    assert recipes["anchored-32"]["objective"]["sft_weight"] == 30
    assert recipes["dense-32"]["data"]["corrections"].endswith("first-32.jsonl")
    assert recipes["blank-32"]["data"]["corrections"].endswith("blanked.jsonl")
    assert [recipes[f"{arm}-32"]["train"]["epochs"] for arm in ("dense", "four-epochs")] == [1, 4]
    scenes = list(sample_scenes(plan_seed(0), "validation", 20))
    base_model = load_model(str(base_model_path()))
    chosen_on = hallucination_and_coverage(base_model, scenes, seed=plan_seed(0))
    [start, *_] = read_checkpoints(tmp_path / "dense-32" / "seed-0" / "run")
    assert start.coverage == pytest.approx(chosen_on.object_coverage.value)
    learnt = read_records(tmp_path / "sft-32" / "seed-0" / "texts.jsonl", Conversation)
    for arm in HABITS:
        habit = load_arm(tmp_path, arm, seeds=1)[0].evaluation
        assert {item.prompt.id for item in habit.items} < {item.prompt.id for item in base.items}
    first, all_of_them = (
        read_records(tmp_path / "corrections" / "seed-0" / f"first-{size}.jsonl", Correction)
        for size in (32, 48)
    )
    assert first == all_of_them[:32]
    assert [row.texts[-1] for row in learnt] == [one.chosen for one in first]


def test_every_training_seed_is_measured_on_scenes_of_its_own():
    bench = Bench("world", 0, test_scenes=30, probe_scenes=5, questions_per_type=1)
    first, second = (bench.items(number) for number in (0, 1))
    assert bench.items(0) == first
    assert len(first) == len(second)
    assert not {item.prompt.id for item in first} & {item.prompt.id for item in second}
    drawn = [{str(item.scene.groups) for item in items} for items in (first, second)]
    assert not drawn[0] & drawn[1]
    assert not {bench.seed_of(number) for number in range(9)} & {bench.seed}


def test_blanked_corrections_differ_from_the_others_in_what_the_picture_shows(tmp_path):
    rows = [
        Correction(
            id=f"c{number}",
            prompt_id=f"p{number}",
            source="simulated",
            image=ImageRef(path=f"images/{number // 2}.png", sha256=hash_bytes(bytes(number // 2))),
            question="Describe the picture in detail.",
            rejected="A red cup.",
            chosen="A blue cup.",
        )
        for number in range(40)
    ]
    source = write_records(tmp_path / "corrections.jsonl", rows, kind="Correction")
    blanked = read_records(write_blanked(source, tmp_path / "out" / "blanked.jsonl"), Correction)
    for before, after in zip(rows, blanked, strict=True):
        assert after.model_copy(update={"image": before.image}) == before
        picture = Image.open(tmp_path / "out" / after.image.path)
        assert picture.size == (IMAGE_PIXELS, IMAGE_PIXELS)
        assert len(picture.getcolors()) == 1
    held_out = [
        {one.id for one in hold_out(these, 0.25, setting="share", seed=3)[1]}
        for these in (rows, blanked)
    ]
    assert held_out[0] == held_out[1]
    assert 0 < len(held_out[0]) < len(rows)


def test_a_plan_may_name_the_shipped_recipe_at_other_sizes_than_the_standard():
    def trained(**changes):
        plan = load_plan("rlhf-v", quick=True)[0].model_copy(update={**SMALL, **changes})
        return {cell.name.partition("/")[0] for cell in rlhf_v_cells(plan)}

    assert "anchored-48" not in trained()
    assert "anchored-48" in trained(arms=("anchored-32", "anchored-48"))
