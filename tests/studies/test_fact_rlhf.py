"""The LLaVA-RLHF loop in small: every stage leaves its records, every arm its numbers."""

import json

import pytest
from numpy import average

from veridical.benchmarks.world.evaluation import (
    compare_pooled,
    compare_world,
    pool_evaluations,
    score_world,
)
from veridical.benchmarks.world.items import build_world_benchmark
from veridical.errors import ConfigError
from veridical.records import Prompt, Response, read_records
from veridical.records.fact_rlhf import ARMS, read_fact_rlhf_results
from veridical.records.results import REQUIRED_METRICS
from veridical.rewards.protocol import Candidate
from veridical.studies.fact_rlhf import evidence
from veridical.studies.fact_rlhf.recipe import FactRlhfRecipe
from veridical.studies.fact_rlhf.run import run_fact_rlhf
from veridical.studies.world_prompts import ExactJudge, QuestionMix, write_world_prompts
from veridical.world.known_facts import FactsModel

_SMALL = FactRlhfRecipe(
    comparisons=64,
    held_out_comparisons=64,
    prompts=32,
    curve_prompts=8,
    test_scenes=20,
    probe_scenes=5,
    questions_per_type=1,
    best_of=2,
    dependence_comparisons=16,
    reward={"train": {"epochs": 1}},
    ppo={
        "train": {
            "iterations": 2,
            "evaluation_iterations": 1,
            "batch_size": 16,
            "micro_batch_size": 16,
        },
        "rollout": {"prompts": 16, "samples": 2},
    },
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("fact_rlhf") / "Anna's run"
    with pytest.MonkeyPatch.context() as patch:  # how well the probe reads is tested by itself
        patch.setattr(evidence, "_PROBE_SCENES", 200)
        return out, run_fact_rlhf(_SMALL, out)


def test_every_arm_states_the_required_metrics_on_the_same_scenes(run):
    out, results = run
    assert tuple(results.arms) == ARMS
    for arm in ARMS:
        assert set(REQUIRED_METRICS) <= results.arms[arm].keys()
        assert results.arms[arm]["hallucination_rate"].n == _SMALL.test_scenes
    kept = json.loads((out / "results.json").read_text())
    assert kept["reward_model"]["with_facts"]["accuracy"]["n"] <= _SMALL.held_out_comparisons
    assert {"step", "kl", "proxy", "judge"} <= kept["curves"][0].keys()
    read = read_fact_rlhf_results(out)
    for arm in ARMS:
        for name, metric in results.arms[arm].items():
            assert read.arms[arm][name].value == metric.value, (arm, name)
    assert [test.result.p for test in read.tests] == [test.result.p for test in results.tests]
    assert read.image_free == results.image_free


def test_fact_rlhf_stands_beside_baselines_that_never_look(run):
    out, results = run
    assert len(results.image_free) == 5
    for row in results.image_free:
        difference = row.trained["hallucination_rate"].difference
        trained = results.arms["fact_rlhf"]["hallucination_rate"].value
        assert difference == pytest.approx(trained - row.metrics["hallucination_rate"].value)
    assert "Did it learn to look?" in (out / "report.html").read_text()


def test_both_policies_are_followed_on_the_same_held_out_prompts(run):
    _, results = run
    steps = {
        arm: [point.step for point in results.curves if point.arm == arm]
        for arm in ("rlhf", "fact_rlhf")
    }
    assert steps["rlhf"] == steps["fact_rlhf"] == [0, 1, 2]
    start = {point.arm: point.judge for point in results.curves if point.step == 0}
    assert (
        start["rlhf"] == start["fact_rlhf"]
    )  # both start from the base and sample from the same streams
    assert all(point.kl == 0 for point in results.curves if point.step == 0)


def test_only_the_reward_model_with_facts_is_shown_any(run):
    out, results = run
    assert "accuracy/swapped_facts" in results.reward_model["with_facts"]
    assert "accuracy/swapped_facts" not in results.reward_model["without_facts"]
    recipes = {
        arm: (out / arm / "seed-0" / "recipe.toml").read_text() for arm in ("rlhf", "fact_rlhf")
    }
    assert "facts.jsonl" not in recipes["rlhf"]
    assert "facts.jsonl" in recipes["fact_rlhf"]


def test_corrections_cost_people_as_much_time_as_comparisons(run):
    out, _ = run
    assert (
        _SMALL.corrections * _SMALL.correction_seconds
        == _SMALL.comparisons * _SMALL.comparison_seconds
    )
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Fact-RLHF" in page
    kinds = json.loads((out / "reward" / "with_facts-0" / "reward_report.json").read_text())[
        "by_kind"
    ]
    shown = [name for name, accuracy in kinds.items() if accuracy["n"] >= 25]
    assert shown
    assert all(f"differ in {name}" in page for name in shown)
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_an_unrelated_folder_is_never_cleared(tmp_path):
    (tmp_path / "letter.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        run_fact_rlhf(_SMALL, tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "keep"


def test_the_exact_judge_rates_true_answers_highest(tmp_path):
    asked = write_world_prompts(
        tmp_path,
        count=40,
        split="judge",
        seed=0,
        mix=QuestionMix(yes_no=0.5, other=0.0),
        facts=FactsModel(),
    )
    assert [one.prompt for one in asked] == read_records(tmp_path / "prompts.jsonl", Prompt)
    judge = ExactJudge(asked)
    questions = [one for one in asked if one.question is not None]
    true = judge([Candidate(one.prompt, one.question.answer, True, 8) for one in questions])
    swapped = {"Yes": "No", "No": "Yes"}
    false = judge(
        [
            Candidate(o.prompt, swapped[o.question.answer.split(",")[0]] + ".", True, 2)
            for o in questions
        ]
    )
    assert len(questions) > 10
    assert true.min() >= 4
    assert false.max() < 3


def test_pooling_the_same_answers_twice_changes_no_value_and_narrows_no_interval():
    items = build_world_benchmark(0, "test", n_scenes=30, n_probe_scenes=10, n_per_type=1)
    said = [
        Response(
            id=item.prompt.id,
            prompt_id=item.prompt.id,
            text="There is a red apple on the left.",
            model="m",
        )
        for item in items
    ]
    one = score_world(items, said, seed=0)
    two = pool_evaluations([one, one], seed=0)
    for name, metric in one.metrics.items():
        assert two.metrics[name].value == pytest.approx(metric.value), name
    width = {
        n: e.metrics["object_coverage"].high - e.metrics["object_coverage"].low
        for n, e in ((1, one), (2, two))
    }
    assert width[2] == pytest.approx(width[1], rel=0.15)


def test_seeds_are_pooled_over_the_same_prompts_or_each_over_its_own():
    def answered(split, n_scenes):
        items = build_world_benchmark(0, split, n_scenes=n_scenes, n_probe_scenes=0, n_per_type=0)
        said = [
            Response(id=one.prompt.id, prompt_id=one.prompt.id, text="A red apple.", model="m")
            for one in items
        ]
        return score_world(items, said, seed=0)

    one, other = answered("test-0", 30), answered("test-1", 20)
    both = pool_evaluations([one, other], seed=0)
    pooled = both.metrics["object_coverage"]
    seeds = [[one, other], [other, one]]
    with pytest.raises(ConfigError, match="same order"):
        compare_pooled(*seeds)
    assert compare_pooled([one, other], [one, other]) == compare_world(both, both)
    assert pooled.n == 50
    objects = [sum(len(item.scene.groups) for item in part.items) for part in (one, other)]
    named = [part.metrics["object_coverage"].value for part in (one, other)]
    assert pooled.value == pytest.approx(average(named, weights=objects))
    for mixed in ([one, answered("test-0", 20)], [one, one, other]):
        with pytest.raises(ConfigError, match="share some"):
            pool_evaluations(mixed, seed=0)
    with pytest.raises(ConfigError, match="no evaluations to pool"):
        pool_evaluations([], seed=0)
