"""docs/extending.md, followed from start to end: its package is installed and used."""

import importlib
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
from prompt_files import write_prompts
from veridical.errors import ConfigError
from veridical.feedback.datasets import check_dataset, find_dataset
from veridical.feedback.registry import read_pairs, read_preferences
from veridical.models.branches import no_branches_reason
from veridical.training.preference.objectives.registry import find_objective, objective_names

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"


@pytest.fixture
def folder(tiny_llava_path, tmp_path):
    """What a reader has: a model, pictures, prompts, corrections, the page's package installed."""
    shutil.copytree(tiny_llava_path, tmp_path / "my-model")
    write_corrections(tmp_path / "corrections")
    write_prompts(tmp_path)
    shutil.copytree(tmp_path / "corrections" / "images", tmp_path / "images", dirs_exist_ok=True)
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
    assert (folder / "runs/few-things/adapter").is_dir()
    (first, second) = veridical.read_records(
        folder / "theirs/corrections.jsonl", veridical.Correction
    )
    assert (first.chosen, second.rejected) == ("A red cup.", "Three dogs on a mat.")
    votes = json.loads((folder / "runs/votes/manifest.json").read_text())
    assert votes["notes"]["sources"] == ["human"]


def test_the_objective_is_listed_and_its_loss_is_the_hinge(folder):
    assert objective_names()[-1] == "hinge"
    hinge = find_objective("hinge")(beta=0.5)
    logprobs = torch.tensor([[[-1.0, -2.0, float("nan")], [-1.0, -4.0, -3.0]]])
    mask = torch.tensor([[[True, True, False], [True, True, True]]])
    scores = hinge.score(logprobs, mask, torch.zeros_like(mask))
    assert scores.tolist() == [[-3, -8]]
    loss, margin = hinge.loss(scores, torch.tensor([[-4.0, -8.0]]))
    assert (loss.tolist(), margin.tolist()) == ([0.5], [0.5])  # 1 - 0.5 * (1 - 0)


def test_the_page_s_format_reports_faults_under_its_own_names(folder):
    (folder / "bad.jsonl").write_text(
        '{"picture": "images/0.png", "ask": "?", "good": "", "bad": "a"}\n'
    )
    faults = check_dataset(find_dataset(folder / "bad.jsonl", format_name="acme-ab"))
    assert [(fault.line, "`good`" in fault.message) for fault in faults] == [(1, True)]


def test_votes_become_pairs_and_compared_responses(folder):
    (folder / "votes.jsonl").write_text(
        next(block.text for block in blocks(PAGE) if block.label == "votes.jsonl")
    )
    pairs = read_pairs(folder / "votes.jsonl")
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [
        ("A red cup.", "A red cup and a spoon."),
        ("Two dogs.", "Three dogs on a mat."),
    ]
    compared = read_preferences(folder / "votes.jsonl")
    assert [row.first.text for row in compared] == [pair.chosen for pair in pairs]


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
    assert len(table) == 6
    source = ROOT / "src" / "veridical"
    code = "".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    for row in table:
        *_, inside, group = (cell.strip() for cell in row.strip("|").split("|"))
        for path in re.findall(r"`([\w/]+\.py)`", inside):
            assert (source / path).is_file() or path == "__init__.py", row
        for name in re.findall(r"`(veridical\.\w+)`", group):
            assert f'GROUP = "{name}"' in code, row


def test_the_page_s_family_is_loaded_and_takes_branches(folder):
    acme = importlib.import_module("acme_vl")
    config = json.loads((folder / "my-model/config.json").read_text()) | {"model_type": "acme_vl"}
    made = acme.AcmeVLForConditionalGeneration(acme.AcmeVLConfig.from_dict(config))
    made.save_pretrained(folder / "my-model")
    vlm = veridical.load_model(folder / "my-model", device="cpu")
    assert type(vlm.model) is acme.AcmeVLForConditionalGeneration
    assert no_branches_reason(vlm.model) is None
