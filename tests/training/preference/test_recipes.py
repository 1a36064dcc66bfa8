"""Every shipped recipe runs two steps on a miniature of the model that it is for."""

import pytest
from safetensors.torch import load_file

from shipped_recipes import check_head, recipes_of, with_settings
from veridical.config import load_recipe
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo

RECIPES = recipes_of("dpo")


def test_all_are_found():
    assert [path.stem for path in RECIPES] == [
        "dpo-llava-1.5-7b-24gb",
        "dpo-llava-1.5-7b-80gb",
        "dpo-llava-1.5-7b-8gb",
        "dpo-world",
    ]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_says_what_it_was_run_on_how_to_run_it_and_what_it_takes(path):
    check_head(path, "dpo")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains(path, tiny_llava_path, corrections_path, tmp_path):
    mine = {
        "model.base": tiny_llava_path,
        "data.corrections": corrections_path,
        "data.validation_fraction": 0.34,
        "train.max_steps": 2,
    }
    recipe = with_settings(path, PreferenceRecipe, mine)
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
