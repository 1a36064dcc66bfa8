"""Killed at any moment (SIGKILL) and resumed, training ends with an uninterrupted run's weights."""

import json

from comparison_files import write_comparisons
from killed_runs import POSIX, kill_runs
from training_runs import lasting_notes
from veridical.config import resolve_recipe
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.train import train_reward_model
from veridical.training.run.checkpoints import find_resume_point

KILLED = """
from veridical.config import load_recipe
from veridical.rewards.model import RewardModel
from veridical.training.reward import train as reward, trainer
from veridical.training.reward.config import RewardRecipe

MOMENTS = {
    # within the fourth step, after one of two micro-batches; the last checkpoint is at step 3
    "mid-epoch": lambda: die_at_call(trainer, "pairwise_loss", 18),
    "saving": lambda: die_at_call(torch, "save", 4, half_a_file),
    # all is learnt, and the reward model is not written yet
    "before-the-end": lambda: die_at_call(RewardModel, "save", 1),
}

def train(recipe, run_dir):
    reward.train_reward_model(load_recipe(recipe, RewardRecipe), run_dir)
"""

pytestmark = POSIX


def losses(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["part"], line["loss"], line["accuracy"]) for line in lines]


def test_killed_at_three_moments(tiny_llava_path, tmp_path, one_thread):
    folder = write_comparisons(tmp_path / "data", count=15)
    recipe = resolve_recipe(
        {
            "model": {
                "base": str(tiny_llava_path),
                "device": "cpu",
                "lora": {"rank": 4, "dropout": 0.2},
            },
            "data": {"comparisons": str(folder), "validation_fraction": 0.34},
            "template": {"name": "world"},
            "facts": {"drop": 0.3},
            "train": {
                "learning_rate": 3e-3,
                "batch_size": 2,
                "micro_batch_size": 1,
                "epochs": 2,
                "evaluation_steps": 3,
            },
        },
        RewardRecipe,
    )
    untouched = train_reward_model(recipe, tmp_path / "untouched")
    kill_runs(KILLED, recipe, tmp_path)
    for name in ("mid-epoch", "saving"):
        assert find_resume_point(tmp_path / name / "resume").name == "checkpoint-3", name
    for name in ("mid-epoch", "saving", "before-the-end"):
        result = train_reward_model(recipe, tmp_path / name, resume=True)
        for part in ("head.safetensors", "adapter/adapter_model.safetensors", "reward_model.json"):
            assert (result.weights / part).read_bytes() == (
                untouched.weights / part
            ).read_bytes(), (name, part)
        assert losses(tmp_path / name) == losses(tmp_path / "untouched"), name
        held_out = [run / "held_out.jsonl" for run in (tmp_path / name, tmp_path / "untouched")]
        assert held_out[0].read_bytes() == held_out[1].read_bytes()
        assert lasting_notes(result) == lasting_notes(untouched)
