"""Killed at any moment (SIGKILL) and resumed, training ends with an uninterrupted run's weights."""

import json
import os
import subprocess
import sys

import pytest
import torch

from comparison_files import write_comparisons
from veridical.config import resolve_recipe, write_recipe
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.train import train_reward_model
from veridical.training.run.checkpoints import find_resume_point

KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from veridical.config import load_recipe
from veridical.rewards.model import RewardModel
from veridical.training.reward import train as reward, trainer
from veridical.training.reward.config import RewardRecipe

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def die_at_call(owner, name, number, last_words=lambda *arguments: None):
    inner, calls = getattr(owner, name), [0]
    def counting(*arguments, **more):
        calls[0] += 1
        if calls[0] == number:
            last_words(*arguments)
            die()
        return inner(*arguments, **more)
    setattr(owner, name, counting)

def half_a_file(value, path, *rest):
    whole(value, path)
    os.truncate(path, os.path.getsize(path) // 2)

whole = torch.save
MOMENTS = {
    # within the fourth step, after one of two micro-batches; the last checkpoint is at step 3
    "mid-epoch": lambda: die_at_call(trainer, "pairwise_loss", 18),
    "saving": lambda: die_at_call(torch, "save", 4, half_a_file),
    # all is learnt, and the reward model is not written yet
    "before-the-end": lambda: die_at_call(RewardModel, "save", 1),
}
recipe = load_recipe(sys.argv[1], RewardRecipe)
for moment, prepare in MOMENTS.items():
    child = os.fork()
    if child == 0:
        prepare()
        reward.train_reward_model(recipe, sys.argv[2] + "/" + moment)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (moment, status)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX")


@pytest.fixture
def one_thread():
    """Sums are added up in the same order in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
    file = write_recipe(recipe, tmp_path / "recipe.toml")
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(file), str(tmp_path)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
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
        assert result.manifest.notes == untouched.manifest.notes
