"""The scripts of `examples/python` run as they stand."""

import re
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "python"
PRINTED = {
    "train_dpo.py": r"adapter in .*adapter, chosen at step \d",
    "train_sft.py": r"adapter in .*adapter, chosen at step \d",
    "train_reward_model.py": r"rewards of a true and a wrong description: \[-?\d.*, -?\d.*\]",
    "train_ppo.py": r"adapter in .*adapter, rewarded by few_claims",
    "best_of_n.py": r"best of 4: .*\w",
}


def test_every_script_is_tried_and_listed():
    scripts = {path.name for path in FOLDER.glob("*.py")} - {"scenes.py"}
    assert scripts == PRINTED.keys()
    assert all(f"`{name}`" in (FOLDER / "README.md").read_text() for name in scripts)


@pytest.mark.parametrize("name", PRINTED)
def test_it_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path / "out")])
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    assert re.search(PRINTED[name], capsys.readouterr().out)
