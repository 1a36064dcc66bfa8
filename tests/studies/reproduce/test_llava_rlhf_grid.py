"""Cells of LLaVA-RLHF's grid, in small: what they leave can be judged."""

import json

import pytest

from veridical.records import Facts, read_records
from veridical.studies.fact_rlhf.curves import CurvePoint, RunCurve
from veridical.studies.reproduce.grid import run_grid
from veridical.studies.reproduce.llava_rlhf import llava_rlhf_cells
from veridical.studies.reproduce.measured import load_arm
from veridical.studies.reproduce.plan import load_plan
from veridical.studies.reproduce.policies import measures_of
from veridical.training.ppo.train import HeldOutPrompt

SMALL = {
    "seeds": 2,
    "test_scenes": 20,
    "probe_scenes": 5,
    "questions_per_type": 1,
    "comparisons": 64,
    "held_out_comparisons": 32,
    "prompts": 16,
    "curve_prompts": 8,
    "hypotheses": (),
    "ppo": {
        "objective": {"advantage": "gae"},
        "rollout": {"prompts": 16, "max_new_tokens": 48},
        "train": {
            "batch_size": 16,
            "micro_batch_size": 16,
            "ppo_epochs": 2,
            "iterations": 1,
            "evaluation_iterations": 1,
            # Far enough from the start for an estimate from eight prompts to show it.
            "learning_rate": 3e-3,
        },
    },
}


def test_reward_models_and_policies_leave_what_the_plan_asks_for(tmp_path):
    plan = load_plan("llava-rlhf", quick=True)[0].model_copy(update=SMALL)
    wanted = {"comparisons", "reward-blind", "reward-missing-50", "reward-complete"}
    wanted |= {"rlhf", "fact-rlhf", "equal-kl"}
    cells = [one for one in llava_rlhf_cells(plan) if one.name in {f"{n}/seed-0" for n in wanted}]
    run_grid(lambda: cells, tmp_path, seed=0)

    def facts(arm):
        rows = read_records(tmp_path / arm / "seed-0" / "data" / "train" / "facts.jsonl", Facts)
        return sum(len(row.texts) for row in rows)

    assert 0.3 < facts("reward-missing-50") / facts("reward-complete") < 0.7
    for arm in ("reward-blind", "reward-complete"):
        [measured] = load_arm(tmp_path, arm, seeds=1)
        assert measured.evaluation is None
        assert measured.metrics["reward_accuracy"].n == 32
    card = json.loads(
        (tmp_path / "reward-blind/seed-0/run/reward_model/reward_model.json").read_text()
    )
    assert card["template"]["facts_position"] == "none"
    for arm in ("rlhf", "fact-rlhf"):
        [measured] = load_arm(tmp_path, arm, seeds=1)
        assert measured.metrics["judge"].n == 8
        assert measured.metrics["mmhal_score"].n == 8
        assert measured.metrics["kl"].value > 0
        # Both are taken back to where the nearer one stopped.
        [equal] = load_arm(tmp_path, f"{arm}-equal-kl", seeds=1)
        assert 0 < equal.metrics["kl"].value <= measured.metrics["kl"].value


@pytest.mark.parametrize(("judge", "fall"), [((2.0, 4.0, 3.0), 1.0), ((2.0, 3.0, 4.0), 0.0)])
def test_the_judge_falls_from_its_best_measurement(judge, fall):
    points = tuple(
        CurvePoint(
            step,
            float(step),
            tuple(
                HeldOutPrompt(id=f"p{n}", proxy=0.5 * step + n, judge=value + n, response="")
                for n in (0.0, 0.5)
            ),
        )
        for step, value in enumerate(judge)
    )
    found = measures_of(RunCurve("rlhf", 0, points, (), ()))
    assert found["judge"].value == judge[-1] + 0.25
    assert found["judge_fall"].value == fall
    assert found["judge_fall"].n == 2
    assert found["reward_rise"].value == 0.5 * fall
    assert found["kl"].value == 2.0
    assert found["hacking_warning"].value == 0.0
