"""Trainings that several processes do as one does: code for the forks, and what must be equal."""

import json

import pytest
import torch
from safetensors.torch import load_file

METHODS = ("sft", "texts", "dpo", "reward", "ppo")
"""Names of the recipes; "texts" is fine-tuning with rows that show no picture. One more, "bf16", is
a step of it in bfloat16."""
RUNS = """
import json, shutil
from prompt_files import Letters
from veridical.config import load_recipe
from veridical.training.ppo import train as ppo
from veridical.training.ppo.config import PpoRecipe
from veridical.training.preference import train as preference
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.reward import train as reward
from veridical.training.reward.config import RewardRecipe
from veridical.training.run import loop
from veridical.training.sft import train as sft
from veridical.training.sft.config import SftRecipe

METHODS = {
    "sft": (SftRecipe, sft.train_sft, {}),
    "texts": (SftRecipe, sft.train_sft, {}),
    "bf16": (SftRecipe, sft.train_sft, {}),
    "dpo": (PreferenceRecipe, preference.train_dpo, {}),
    "reward": (RewardRecipe, reward.train_reward_model, {}),
    "ppo": (PpoRecipe, ppo.train_ppo, {"reward": Letters(), "judge": Letters()}),
}

def train(name, out, resume=False):
    kind, method, more = METHODS[name]
    method(load_recipe(f"{folder}/{name}.toml", kind), f"{folder}/{out}", resume=resume, **more)

def killed(name, out):
    # the second of two, within an epoch, after a resume point
    die_in_process(1, loop.RunTrainer, "log", 4)
    train(name, out)
"""
"""For `run_code`: `train` runs a recipe of the folder, `killed` lets one process be killed."""


def lines_of(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: v for name, v in line.items() if name not in {"seconds", "part"}} for line in lines
    ]


def weights_of(run_dir):
    files = [
        file
        for name in ("adapter", "model", "reward_model", "value")
        for file in sorted((run_dir / name).glob("*.safetensors"))
    ]
    assert files
    return {f"{file.parent.name}/{n}": v for file in files for n, v in load_file(file).items()}


def assert_alike(first, second):
    """Same lines and weights to the rounding of float32 sums in another order."""
    for one, other in zip(lines_of(first), lines_of(second), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4), one["step"]
    weights = weights_of(second)
    for name, tensor in weights_of(first).items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=2e-5)
