"""One process at a time in a run directory; a resumed run uses the data it was started with."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from correction_files import write_corrections
from miniatures import picture
from training_runs import lines_of, same_weights
from veridical.config import write_recipe
from veridical.errors import ConfigError, StorageError
from veridical.locks import HOLDER_FILE, Holder, locked
from veridical.training.preference.train import train_dpo
from veridical.training.run.directory import INPUTS_FILE, check_inputs
from veridical.training.run.paths import fingerprint_inputs, with_absolute_paths

WORKER = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from veridical.config import load_recipe
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.training.run.choice import latest

def wait_at_step_2(vlm, step):
    if step == 4:
        Path(sys.argv[2], "waiting").touch()
        time.sleep(600)
    return {}

recipe = load_recipe(sys.argv[1], PreferenceRecipe)
train_dpo(recipe, sys.argv[2], evaluate=wait_at_step_2, choose=latest())
"""


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def own_recipe(make_recipe, tmp_path):
    """A recipe over a corrections file that the test may change."""
    return make_recipe(
        data={"corrections": str(write_corrections(tmp_path / "data"))},
        model={"tuning": "lora"},
        train={"epochs": 2, "evaluation_steps": 2},
    )


def start(recipe, run_dir: Path) -> subprocess.Popen:
    """Train in another process until it stands in its second evaluation."""
    run_dir.mkdir()
    file = write_recipe(recipe, run_dir.with_suffix(".toml"))
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(file), str(run_dir)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    for _ in range(600):
        assert process.poll() is None
        if (run_dir / "waiting").exists():
            return process
        time.sleep(0.1)
    raise AssertionError("the other process never came to its evaluation")


def nothing(vlm, step):
    return {}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_two_processes_then_a_kill_then_changed_corrections(
    own_recipe, tmp_path, one_thread, capfd
):
    from veridical.training.run.choice import latest

    how = {"evaluate": nothing, "choose": latest()}
    untouched = train_dpo(own_recipe, tmp_path / "untouched", **how)
    run_dir, corrections = tmp_path / "run", Path(own_recipe.data.corrections)
    process = start(own_recipe, run_dir)
    try:
        for resume in (False, True):
            with pytest.raises(ConfigError) as caught:
                train_dpo(own_recipe, run_dir, resume=resume, **how)
            assert f"process {process.pid} on {socket.gethostname()}" in str(caught.value)
            assert "is in use" in str(caught.value)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    before = corrections.read_bytes()
    corrections.write_bytes(before.replace(b"blue car", b"pink car"))
    with pytest.raises(ConfigError, match=f"has changed: `{corrections}`"):
        train_dpo(own_recipe, run_dir, resume=True, **how)
    with pytest.raises(ConfigError, match="holds a run already"):
        train_dpo(own_recipe, run_dir, **how)

    corrections.write_bytes(before)
    capfd.readouterr()
    leftover = run_dir / "resume" / ".trainable.safetensors.0a1b2c3d.safetensors"
    leftover.write_bytes(b"half")
    resumed = train_dpo(own_recipe, run_dir, resume=True, **how)
    assert not leftover.exists()
    assert same_weights(untouched, resumed)
    losses = [
        [line["loss"] for line in lines_of(run.run_dir, "train")] for run in (untouched, resumed)
    ]
    assert losses[0] == losses[1]
    assert not (run_dir / HOLDER_FILE).exists()
    assert resumed.manifest.inputs == untouched.manifest.inputs


def test_a_killed_process_on_this_host_is_taken_over_and_that_is_logged(tmp_path, capfd):
    holder = Holder(pid=4, host=socket.gethostname(), started="2026-01-01T00:00:00+00:00")
    (tmp_path / HOLDER_FILE).write_text(holder.model_dump_json())
    with locked(tmp_path):
        assert Holder.model_validate_json((tmp_path / HOLDER_FILE).read_bytes()).pid == os.getpid()
    assert "process 4 ended without finishing" in capfd.readouterr().err
    assert not (tmp_path / HOLDER_FILE).exists()


def test_one_on_another_host_is_not(tmp_path):
    holder = Holder(pid=4, host="another-host", started="2026-01-01T00:00:00+00:00")
    (tmp_path / HOLDER_FILE).write_text(holder.model_dump_json())
    with (
        pytest.raises(ConfigError, match=r"process 4 on another-host.*delete"),
        locked(tmp_path),
    ):
        pass
    assert (tmp_path / HOLDER_FILE).exists()


def test_a_run_directory_that_cannot_be_written_to_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write to"), locked(tmp_path / "file"):
        pass


def test_other_base_weights_are_refused_by_their_fingerprint(own_recipe, tmp_path, monkeypatch):
    from veridical.training.preference import train as preference

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preference, "save_weights", die)
        with pytest.raises(KeyboardInterrupt):
            train_dpo(own_recipe, tmp_path / "run")
    inputs = json.loads((tmp_path / "run" / INPUTS_FILE).read_text())
    data = own_recipe.data.corrections
    assert inputs.keys() == {data, f"{data} (pictures)", own_recipe.model.base}
    monkeypatch.setattr(preference, "model_hash", lambda model: "f" * 64)
    with pytest.raises(ConfigError, match=f"has changed: `{own_recipe.model.base}`"):
        train_dpo(own_recipe, tmp_path / "run", resume=True)


def test_what_was_only_prepared_may_be_started_over(own_recipe, tmp_path, monkeypatch):
    """Nothing was trained, so other data is no danger; but --resume promises the same data."""

    corrections = Path(own_recipe.data.corrections)
    before = corrections.read_text()
    corrections.write_text(before.replace("There is a blue car on the left.", ""))
    with pytest.raises(ValueError, match="`chosen` is empty"):
        train_dpo(own_recipe, tmp_path / "run")
    assert (tmp_path / "run" / "recipe.toml").is_file()
    corrections.write_text(before)
    with pytest.raises(ConfigError, match="start again without --resume"):
        train_dpo(own_recipe, tmp_path / "run", resume=True)
    train_dpo(own_recipe, tmp_path / "run")


def test_too_few_images_for_the_share_name_the_setting_before_the_model_is_loaded(
    own_recipe, tmp_path, monkeypatch
):
    from veridical.training.preference import train as preference

    def load(settings):
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(preference, "load_for_training", load)
    data = own_recipe.data.model_copy(update={"validation_fraction": 0.01})
    with pytest.raises(ConfigError, match=r"`data.validation_fraction` = 0.01 splits 6 images"):
        train_dpo(own_recipe.model_copy(update={"data": data}), tmp_path / "run")


def test_files_that_are_gone_or_new_count_as_changed(tmp_path):
    from veridical.training.run.directory import check_inputs

    (tmp_path / INPUTS_FILE).write_text(
        json.dumps({"a/x.jsonl": "1", "a/y.jsonl": "2", "base": "3"})
    )
    check_inputs(tmp_path, {"a/x.jsonl": "1", "a/y.jsonl": "2"}, complete=True)
    with pytest.raises(ConfigError, match=r"`a/y.jsonl`\."):
        check_inputs(tmp_path, {"a/x.jsonl": "1"}, complete=True)


def test_a_base_that_lies_next_to_the_data_is_noted_later_and_resumes(tmp_path):
    data, base = str(tmp_path / "prompts.jsonl"), str(tmp_path / "my-model")
    Path(base).mkdir()
    (tmp_path / INPUTS_FILE).write_text(json.dumps({data: "a"}))
    check_inputs(tmp_path, {base: "b"})
    check_inputs(tmp_path, {data: "a"}, complete=True)  # resumed: the base is not loaded yet
    check_inputs(tmp_path, {base: "b"})
    with pytest.raises(ConfigError, match="my-model"):
        check_inputs(tmp_path, {base: "c"})


def test_paths_are_made_absolute_by_what_the_recipe_says_they_are(
    make_ppo_recipe, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "card.json").write_text("{}")
    recipe = make_ppo_recipe(
        model={"base": "org/model"}, data={"prompts": "p.jsonl"}, reward_model="reward"
    )
    absolute = with_absolute_paths(recipe)
    assert absolute.model.base == "org/model"  # no folder: the id of a model
    assert absolute.data.prompts == str(tmp_path / "p.jsonl")
    assert absolute.data.facts == ""
    assert absolute.reward_model == str(tmp_path / "reward")
    assert with_absolute_paths(absolute) == absolute
    assert fingerprint_inputs(absolute).keys() == {str(tmp_path / "reward" / "card.json")}


def test_pictures_without_a_hash_are_inputs_too(make_recipe, tmp_path):
    path = write_corrections(tmp_path / "data", count=4)
    recipe = make_recipe(data={"corrections": str(path)})
    before = fingerprint_inputs(recipe)
    assert before.keys() == {str(path), f"{path} (pictures)"}
    picture(9).save(tmp_path / "data" / "images" / "0.png")
    after = fingerprint_inputs(recipe)
    assert [name for name in before if before[name] != after[name]] == [f"{path} (pictures)"]
