"""docs/extending.md, followed from start to end: its package is installed and used."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import torch

import veridical
from correction_files import write_corrections
from documents import blocks, follow, installed
from veridical.errors import ConfigError
from veridical.training.preference.objectives.registry import find_objective, objective_names

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"


@pytest.fixture
def folder(tiny_llava_path, tmp_path):
    """What a reader has: a model, corrections, and the page's package installed."""
    shutil.copytree(tiny_llava_path, tmp_path / "my-model")
    write_corrections(tmp_path / "corrections")
    with installed(blocks(PAGE), tmp_path / "site"):
        yield tmp_path


def test_the_page_can_be_followed(folder, capsys):
    follow(blocks(PAGE), folder, capsys)
    recipe = tomllib.loads((folder / "runs/hinge/recipe.toml").read_text())
    assert (recipe["objective"]["name"], recipe["objective"]["beta"]) == ("hinge", 0.05)
    losses = [
        row["loss"]
        for row in map(json.loads, (folder / "runs/hinge/metrics.jsonl").read_text().splitlines())
        if "loss" in row
    ]
    assert losses[0] == pytest.approx(1)  # policy and reference are equal: relu(1 - 0)


def test_the_objective_is_listed_and_its_loss_is_the_hinge(folder):
    assert objective_names()[-1] == "hinge"
    hinge = find_objective("hinge")(beta=0.5)
    logprobs = torch.tensor([[[-1.0, -2.0, float("nan")], [-1.0, -4.0, -3.0]]])
    mask = torch.tensor([[[True, True, False], [True, True, True]]])
    scores = hinge.score(logprobs, mask, torch.zeros_like(mask))
    assert scores.tolist() == [[-3, -8]]
    loss, margin = hinge.loss(scores, torch.tensor([[-4.0, -8.0]]))
    assert (loss.tolist(), margin.tolist()) == ([0.5], [0.5])  # 1 - 0.5 * (1 - 0)


def test_a_misspelt_setting_of_the_objective_is_reported_with_the_nearest(folder):
    (folder / "hinge.toml").write_text(
        next(block.text for block in blocks(PAGE) if block.label == "hinge.toml")
    )
    with pytest.raises(ConfigError, match="Did you mean `beta`"):
        veridical.load_recipe(
            folder / "hinge.toml", veridical.PreferenceRecipe, overrides=["objective.bet=1"]
        )


def test_it_names_the_files_and_groups_that_there_are():
    text = PAGE.read_text(encoding="utf-8")
    table = re.findall(r"^\| \[.*$", text, flags=re.MULTILINE)
    assert len(table) >= 2
    source = ROOT / "src" / "veridical"
    code = "".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    for row in table:
        *_, inside, group = (cell.strip() for cell in row.strip("|").split("|"))
        for path in re.findall(r"`([\w/]+\.py)`", inside):
            assert (source / path).is_file() or path == "__init__.py", row
        for name in re.findall(r"`(veridical\.\w+)`", group):
            assert f'GROUP = "{name}"' in code, row
