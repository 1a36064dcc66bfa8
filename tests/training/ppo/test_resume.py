"""Killed at any moment (SIGKILL) and resumed, PPO ends with an uninterrupted run's weights."""

import json
from pathlib import Path

from killed_runs import POSIX, kill_runs
from prompt_files import Letters, write_prompts
from training_runs import lasting_notes
from veridical.training.ppo.train import train_ppo
from veridical.training.run.checkpoints import find_resume_point, is_complete

KILLED = """
from prompt_files import Letters
from veridical.config import load_recipe
from veridical.training.ppo import roles as ppo_roles
from veridical.training.ppo.engines import hf as rollout_engines
from veridical.training.ppo import rollouts, train as ppo, trainer as ppo_trainer
from veridical.training.ppo.config import PpoRecipe

MOMENTS = {
    # held-out prompts are being answered after the first rollout; two batches there, two a rollout
    "measuring": lambda: die_at_call(rollout_engines.HfEngine, "_sample", 6),
    # the second rollout is being sampled
    "sampling": lambda: die_at_call(rollout_engines.HfEngine, "_sample", 8),
    # its responses are being scored
    "scoring": lambda: die_at_call(rollouts.RolloutCollector, "_score", 8),
    # first rollout, second pass over it, first step done, one micro-batch of two of the second
    "between epochs": lambda: die_at_call(ppo_trainer.PpoTrainer, "training_step", 8),
    # the checkpoint at step 3, within the rollout, is half written; each has three torch.save files
    "saving": lambda: die_at_call(torch, "save", 8, half_a_file),
    # the result is being written
    "result": lambda: die_at_call(ppo_roles, "save_weights", 1),
}

def train(recipe, run_dir):
    ppo.train_ppo(load_recipe(recipe, PpoRecipe), run_dir, reward=Letters(), judge=Letters())
"""

pytestmark = POSIX


def metrics(run_dir: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_killed_at_six_moments(make_ppo_recipe, tmp_path, one_thread):
    held = write_prompts(tmp_path / "held", count=3, name="held")
    recipe = make_ppo_recipe(
        data={"held_out": str(held)},
        kl={"target": 0.5, "horizon": 8},  # so that the price of a nat is something to forget
        train={
            "ppo_epochs": 2,
            "micro_batch_size": 1,
            "save_steps": 1,
            "evaluation_iterations": 1,
            "cache": "",
        },
    )
    untouched = train_ppo(recipe, tmp_path / "untouched", reward=Letters(), judge=Letters())
    kill_runs(KILLED, recipe, tmp_path, timeout=240)

    points = {
        "measuring": 3,
        "sampling": 4,
        "scoring": 4,
        "between epochs": 3,
        "saving": 2,
        "result": 8,
    }
    for moment, step in points.items():
        assert find_resume_point(tmp_path / moment / "resume").name == f"checkpoint-{step}", moment
    assert not is_complete(tmp_path / "saving" / "resume" / "checkpoint-3")
    assert (
        tmp_path / "between epochs" / "resume" / "checkpoint-3" / "rollout.safetensors"
    ).is_file()
    assert not (tmp_path / "sampling" / "resume" / "checkpoint-4" / "rollout.safetensors").exists()

    for moment in points:
        result = train_ppo(
            recipe, tmp_path / moment, reward=Letters(), judge=Letters(), resume=True
        )
        for part in ("adapter", "value"):
            for path in (tmp_path / "untouched" / part).glob("*.safetensors"):
                assert (tmp_path / moment / part / path.name).read_bytes() == path.read_bytes(), (
                    moment,
                    path,
                )
        assert metrics(tmp_path / moment) == metrics(tmp_path / "untouched"), moment
        for name in ("curves.jsonl", "memory.json"):
            assert (tmp_path / moment / name).read_bytes() == (
                tmp_path / "untouched" / name
            ).read_bytes(), moment
        assert lasting_notes(result) == lasting_notes(untouched)
