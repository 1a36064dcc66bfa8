"""`veridical train dpo` and `sft` from the command line."""

import json

import pytest

from conversation_files import write_conversations
from correction_files import write_corrections
from veridical.cli import main
from veridical.recipes import find_recipe, shipped_recipes


def run(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code or 0


@pytest.fixture(scope="module")
def corrections_path(tmp_path_factory):
    return write_corrections(tmp_path_factory.mktemp("corrections"))


@pytest.fixture
def settings(tiny_llava_path, corrections_path):
    return [
        f"model.base={tiny_llava_path}",
        "model.device=cpu",
        f"data.corrections={corrections_path}",
        "data.validation_fraction=0.34",
        "train.max_steps=1",
    ]


def test_a_shipped_recipe_by_name_trains_into_runs(settings, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("train", "dpo", "dpo-world", *settings) == 0
    assert (tmp_path / "runs" / "dpo-world" / "model" / "model.safetensors").is_file()
    assert "Chosen: step 1" in capsys.readouterr().err
    assert run("train", "dpo", "dpo-world", *settings) == 1
    assert "holds a run already" in capsys.readouterr().err
    assert run("train", "dpo", "dpo-world", *settings, "--resume") == 0
    written = tmp_path / "runs" / "dpo-world" / "recipe.toml"
    assert run("train", "dpo", written, "--out", tmp_path / "again") == 0
    weights = [path.read_bytes() for path in tmp_path.rglob("model.safetensors")]
    assert len(weights) == 2
    assert weights[0] == weights[1]


def test_bad_rows_end_in_one_message_or_are_put_aside(settings, tmp_path, capsys):
    path = write_corrections(tmp_path / "data")
    text = path.read_text().splitlines()
    text[2] = "{"
    row = json.loads(text[4])
    text[4] = json.dumps({**row, "chosen": ""})
    path.write_text("\n".join(text) + "\n")
    words = [
        "train",
        "dpo",
        "dpo-world",
        *settings,
        f"data.corrections={path}",
        "--out",
        tmp_path / "run",
    ]
    assert run(*words) == 1
    error = capsys.readouterr().err
    assert f"{path}:3: " in error
    assert f"{path}:5: " in error
    assert "Traceback" not in error
    assert run(*words, "--skip-bad") == 0
    assert len((tmp_path / "run" / "bad_rows.jsonl").read_text().splitlines()) == 2


def test_an_unknown_recipe_is_answered_with_the_known_ones(capsys):
    assert run("train", "dpo", "dpo-wrold") == 1
    assert "a shipped recipe: dpo-gemma-3-4b-24gb, " in capsys.readouterr().err


def test_an_unknown_key_is_answered_with_the_nearest(capsys):
    assert run("train", "dpo", "dpo-world", "objective.bta=1") == 1
    assert "Did you mean `beta`?" in capsys.readouterr().err


def test_help_names_the_shipped_recipes(capsys):
    assert run("train", "dpo", "--help") == 0
    assert "dpo-world" in capsys.readouterr().out


def test_recipes_are_found_by_name_with_and_without_suffix():
    assert find_recipe("dpo-world") == find_recipe("dpo-world.toml")
    assert "dpo-world" in shipped_recipes("dpo")


def test_fine_tuning_trains_into_runs_and_puts_bad_rows_aside(
    tiny_llava_path, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path = write_conversations(tmp_path / "data")
    text = path.read_text().splitlines()
    text[2] = "{"
    path.write_text("\n".join(text) + "\n")
    settings = [f"model.base={tiny_llava_path}", "model.device=cpu", f"data.conversations={path}"]
    settings += ["data.validation_fraction=0.34", "train.max_steps=1"]
    assert run("train", "sft", "sft-world", *settings) == 1
    assert f"{path}:3: " in capsys.readouterr().err
    assert run("train", "sft", "sft-world", *settings, "--skip-bad") == 0
    assert (tmp_path / "runs" / "sft-world" / "adapter" / "adapter_model.safetensors").is_file()
    assert "Chosen: step 1" in capsys.readouterr().err
