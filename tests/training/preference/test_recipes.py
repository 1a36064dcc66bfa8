"""Every shipped recipe runs two steps on a miniature of the model that it is for."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

import veridical
from veridical.config import load_recipe
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo

RECIPES = sorted((Path(veridical.__file__).parent / "recipes").rglob("dpo-*.toml"))


def test_all_are_found():
    assert [path.stem for path in RECIPES] == [
        "dpo-llava-1.5-7b-24gb",
        "dpo-llava-1.5-7b-80gb",
        "dpo-llava-1.5-7b-8gb",
        "dpo-world",
    ]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_says_what_it_was_run_on_how_to_run_it_and_what_it_takes(path):
    head = path.read_text(encoding="utf-8").split("\n\npreset")[0]
    for word in (
        "Tested",
        f"veridical train dpo {path.stem} ",
        "One override",
        "AdamW",
        "ctivations",
    ):
        assert word in head, word


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains(path, tiny_llava_path, corrections_path, tmp_path):
    asked = load_recipe(path, PreferenceRecipe)
    recipe = load_recipe(
        path,
        PreferenceRecipe,
        overrides=[
            f"model.base={tiny_llava_path}",
            "model.device=cpu",
            "model.quantization=none",
            f"data.corrections={corrections_path}",
            "data.validation_fraction=0.34",
            "train.max_steps=2",
        ],
    )
    for section, mine in (
        ("model", {"base", "device", "quantization"}),
        ("data", {"corrections", "validation_fraction"}),
        ("train", {"max_steps"}),
    ):
        assert getattr(recipe, section).model_dump(exclude=mine) == getattr(
            asked, section
        ).model_dump(exclude=mine)
    assert recipe.objective == asked.objective
    result = train_dpo(recipe, tmp_path / "run")
    (file,) = result.weights.glob("*.safetensors")
    assert load_file(file)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) >= 3


def test_the_quantised_ones_ask_for_lora():
    recipes = [load_recipe(path, PreferenceRecipe) for path in RECIPES]
    assert [recipe.model.quantization for recipe in recipes] == ["4bit", "none", "4bit", "none"]
    assert all(
        recipe.model.tuning == "lora" for recipe in recipes if recipe.model.quantization == "4bit"
    )
