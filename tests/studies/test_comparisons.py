"""Comparisons collected in the world can be learnt from as they lie there."""

import json

import pytest

from veridical.config import resolve_recipe
from veridical.errors import ConfigError
from veridical.feedback.comparisons import read_compared_pairs
from veridical.models.loading import load_model
from veridical.studies.comparisons import collect_comparisons
from veridical.studies.world_prompts import QuestionMix, write_facts
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.train import train_reward_model
from veridical.world.base import base_model_path
from veridical.world.judge import judge_description
from veridical.world.known_facts import FactsModel
from veridical.world.people.person import EXACT


@pytest.fixture(scope="module")
def vlm():
    return load_model(base_model_path(), device="cpu")


@pytest.fixture(scope="module")
def collected(vlm, tmp_path_factory):
    return collect_comparisons(
        vlm,
        tmp_path_factory.mktemp("comparisons"),
        count=24,
        split="test-comparisons",
        seed=0,
        temperature=1.0,
        person=EXACT,
        questions=QuestionMix(yes_no=0.2, other=0.2),
    )


def test_what_is_written_reads_back_with_facts_and_images(collected):
    pairs = read_compared_pairs(collected.folder)
    assert [pair.comparison for pair in pairs] == collected.comparisons
    assert len(pairs) == 24 <= collected.shown
    assert {pair.prompt.task for pair in pairs} > {"description"}
    kinds = json.loads((collected.folder / "kinds.json").read_text())
    for pair in pairs:
        scene = collected.scenes[pair.prompt.id]
        assert pair.facts == (scene.facts(),)
        assert pair.first.text != pair.second.text
        if pair.prompt.task == "description":
            faults = [
                len(judge_description(scene, r.text).faults) for r in (pair.first, pair.second)
            ]
            if faults[0] != faults[1]:
                assert pair.comparison.preferred == ("first" if faults[0] < faults[1] else "second")
                assert pair.comparison.hallucination
                assert kinds[pair.comparison.id]
            elif pair.comparison.preferred != "tie":
                assert pair.comparison.hallucination is False


def test_the_same_seed_collects_the_same(vlm, collected, tmp_path):
    again = collect_comparisons(
        vlm,
        tmp_path,
        count=24,
        split="test-comparisons",
        seed=0,
        temperature=1.0,
        person=EXACT,
        questions=QuestionMix(yes_no=0.2, other=0.2),
        facts=FactsModel(missing=0.9, wrong=0.5),
    )
    assert again.comparisons == collected.comparisons
    assert (tmp_path / "facts.jsonl").read_text() != (collected.folder / "facts.jsonl").read_text()
    write_facts(
        tmp_path, [again.scenes[c.prompt_id] for c in again.comparisons], FactsModel(), seed=0
    )
    assert (tmp_path / "facts.jsonl").read_text() == (collected.folder / "facts.jsonl").read_text()


def test_pairs_with_a_right_answer_can_be_asked_for(vlm, tmp_path):
    found = collect_comparisons(
        vlm,
        tmp_path,
        count=10,
        split="test-comparisons",
        seed=1,
        temperature=1.0,
        person=EXACT,
        pairs="differing_faults",
    )
    assert all(judged.hallucination and judged.preferred != "tie" for judged in found.comparisons)


def test_it_can_be_learnt_from_and_the_report_knows_the_kinds(collected, tmp_path, capsys):
    recipe = resolve_recipe(
        {
            "model": {"base": "world", "tuning": "full", "device": "cpu"},
            "data": {"comparisons": str(collected.folder), "validation_fraction": 0.5},
            "template": {"name": "world"},
            "train": {"max_steps": 2, "batch_size": 8, "micro_batch_size": 8},
        },
        RewardRecipe,
    )
    result = train_reward_model(recipe, tmp_path / "run")
    report = json.loads((result.run_dir / "reward_report.json").read_text())
    assert report["accuracy"]["n"] + report["ties_of_people"] == report["comparisons"]
    assert report["by_kind"]
    assert set(report["by_kind"]) <= {"object", "number", "colour", "place", "context", "answer"}
    assert set(report["leak_check"]) == {
        "intact",
        "swapped_facts",
        "no_facts",
        "swapped_image",
        "swapped_both",
    }
    assert report["sources"] == ["simulated"]
    assert "held-out comparisons" in capsys.readouterr().err


def test_a_model_that_never_differs_is_given_up_on(vlm, tmp_path, monkeypatch):
    from veridical.studies import comparisons

    monkeypatch.setattr(comparisons, "_SCENES_AT_ONCE", 4)
    monkeypatch.setattr(comparisons, "_FRUITLESS", 2)
    with pytest.raises(ConfigError, match="8 scenes in a row"):
        collect_comparisons(
            vlm, tmp_path, count=3, split="x", seed=0, temperature=1e-4, person=EXACT
        )
    with pytest.raises(ConfigError, match="Shares of questions"):
        collect_comparisons(
            vlm,
            tmp_path,
            count=3,
            split="x",
            seed=0,
            temperature=1.0,
            person=EXACT,
            questions=QuestionMix(yes_no=1.2),
        )
