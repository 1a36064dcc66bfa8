"""Metrics go to the reporters that a recipe names, through the callbacks of transformers."""

import pytest
from transformers import TrainerCallback

from training_runs import lines_of
from veridical.errors import ConfigError
from veridical.training.preference.train import train_dpo
from veridical.training.run import flow

SAID = []


class Recorder(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **_):
        SAID.append((state.global_step, logs))


def test_reporters_get_what_the_metrics_file_gets(make_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "find_spec", lambda name: name)
    monkeypatch.setattr(
        "transformers.trainer.get_reporting_integration_callbacks",
        lambda names: [Recorder] if names == ["tensorboard"] else [],
    )
    SAID.clear()
    recipe = make_recipe(train={"epochs": 1, "report_to": ["tensorboard"]})
    train_dpo(recipe, tmp_path / "run")
    expected = []
    for part, prefix in (("train", ""), ("validation", "eval_")):
        for line in lines_of(tmp_path / "run", part):
            step = line.pop("step")
            del line["part"]
            if step:
                expected.append((step, {f"{prefix}{name}": n for name, n in line.items()}))
    assert len(expected) >= 2
    assert sorted(SAID, key=str) == sorted(expected, key=str)


def test_a_reporter_that_is_not_installed_is_named(make_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "find_spec", lambda name: name == "wandb" or None)
    recipe = make_recipe(train={"report_to": ["mlflow", "wandb"]})
    with pytest.raises(ConfigError, match="names `mlflow`, which is not installed"):
        train_dpo(recipe, tmp_path / "run")
