"""Killed at any moment (SIGKILL) and resumed, a run ends with an uninterrupted run's weights."""

import json
from pathlib import Path

from killed_runs import POSIX, kill_runs
from training_runs import lasting_notes
from veridical.training.preference import references
from veridical.training.preference.train import train_dpo
from veridical.training.run.checkpoints import find_resume_point, is_complete

KILLED = """
from veridical.config import load_recipe
from veridical.training.preference import train as preference, references
from veridical.training.preference.config import PreferenceRecipe

references._PAIRS_PER_FILE = 4
MOMENTS = {
    # the second piece of the reference's scores is being made
    "reference": lambda: die_at_call(references, "_score", 6),
    # the fifth step, of which one micro-batch of two is done; the last resume point is at step 3
    "mid-epoch": lambda: die_at_call(preference, "preference_losses", 18),
    # the optimiser's state at step 6 is half on disk; torch.save writes three files a resume point
    "saving": lambda: die_at_call(torch, "save", 4, half_a_file),
}

def train(recipe, run_dir):
    preference.train_dpo(load_recipe(recipe, PreferenceRecipe), run_dir)
"""

pytestmark = POSIX


def losses(run_dir: Path) -> list[tuple[int, str, float]]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["part"], line["loss"]) for line in lines]


def test_killed_at_three_moments(make_recipe, tmp_path, one_thread, monkeypatch, capfd):
    monkeypatch.setattr(references, "_PAIRS_PER_FILE", 4)
    recipe = make_recipe(
        # dropout makes the random states matter; two micro-batches a step make the place within a
        # step matter
        model={"tuning": "lora", "lora": {"rank": 4, "dropout": 0.2}},
        train={"batch_size": 2, "micro_batch_size": 1, "epochs": 2, "evaluation_steps": 3},
    )
    untouched = train_dpo(recipe, tmp_path / "untouched")
    kill_runs(KILLED, recipe, tmp_path)

    reference, mid_epoch, saving = (
        tmp_path / name for name in ("reference", "mid-epoch", "saving")
    )
    assert len(list((reference / "cache" / "references").glob("[!.]*.safetensors"))) == 1
    assert not (reference / "metrics.jsonl").exists()
    assert find_resume_point(mid_epoch / "resume").name == "checkpoint-3"
    assert losses(mid_epoch)[-1][0] == 4
    assert (saving / "resume" / "checkpoint-6").is_dir()
    assert not is_complete(saving / "resume" / "checkpoint-6")
    assert find_resume_point(saving / "resume").name == "checkpoint-3"

    capfd.readouterr()
    for folder in (reference, mid_epoch, saving):
        result = train_dpo(recipe, folder, resume=True)
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            assert (result.weights / name).read_bytes() == (
                untouched.weights / name
            ).read_bytes(), (folder.name, name)
        assert losses(folder) == losses(tmp_path / "untouched"), folder.name
        assert lasting_notes(result) == lasting_notes(untouched)
    assert capfd.readouterr().err.count("Resuming after step 3.") == 2
