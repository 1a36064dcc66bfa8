"""`veridical train reward` from the command line."""

import json

import pytest

from comparison_files import write_comparisons
from veridical.cli import main


def run(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code or 0


def test_a_shipped_recipe_trains_reports_and_resumes(
    tiny_llava_path, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write_comparisons(tmp_path / "comparisons", count=9)
    words = [
        "train",
        "reward",
        "reward-world",
        f"model.base={tiny_llava_path}",
        "model.device=cpu",
        "data.validation_fraction=0.34",
        "train.max_steps=1",
    ]
    assert run(*words) == 0
    out = tmp_path / "runs" / "reward-world"
    assert (out / "reward_model" / "reward_model.json").is_file()
    report = json.loads((out / "reward_report.json").read_text())
    assert {"accuracy", "calibration", "leak_check"} <= report.keys()
    assert "Accuracy on" in capsys.readouterr().err
    assert run(*words) == 1
    assert "holds a run already" in capsys.readouterr().err
    assert run(*words, "--resume") == 0


def test_bad_rows_end_in_one_message_or_are_put_aside(tiny_llava_path, tmp_path, capsys):
    folder = write_comparisons(tmp_path / "comparisons", count=9)
    text = (folder / "comparisons.jsonl").read_text()
    (folder / "comparisons.jsonl").write_text(
        text.replace('"preferred":"second"', '"preferred":3', 1)
    )
    words = [
        "train",
        "reward",
        "reward-world",
        f"model.base={tiny_llava_path}",
        "model.device=cpu",
        "train.max_steps=1",
        f"data.comparisons={folder}",
        "data.validation_fraction=0.34",
        "--out",
        tmp_path / "run",
    ]
    assert run(*words) == 1
    error = capsys.readouterr().err
    assert "comparisons.jsonl:3: `preferred`" in error
    assert "Traceback" not in error
    assert run(*words, "--skip-bad") == 0
    assert list((tmp_path / "run").rglob("comparisons.bad.jsonl"))


def test_help_names_the_shipped_recipes(capsys):
    assert run("train", "reward", "--help") == 0
    assert "reward-world" in capsys.readouterr().out.replace("\n", "")
