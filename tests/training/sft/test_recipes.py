"""Every shipped recipe of fine-tuning runs two steps on a miniature of its model."""

import pytest
from safetensors.torch import load_file

from conversation_files import write_conversations
from shipped_recipes import check_head, recipes_of, with_settings
from veridical.config import load_recipe
from veridical.training.sft.config import SftRecipe
from veridical.training.sft.train import train_sft

RECIPES = recipes_of("sft")


def test_all_are_found():
    assert [path.stem for path in RECIPES] == [
        "sft-llava-1.5-7b-24gb",
        "sft-llava-1.5-7b-80gb",
        "sft-llava-rlhf",
        "sft-world",
    ]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_says_what_it_was_run_on_how_to_run_it_and_what_it_takes(path):
    check_head(path, "sft")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains(path, tiny_llava_path, tmp_path):
    mine = {
        "model.base": tiny_llava_path,
        "data.conversations": write_conversations(tmp_path),
        "data.validation_fraction": 0.34,
        "train.max_steps": 2,
    }
    recipe = with_settings(path, SftRecipe, mine)
    result = train_sft(recipe, tmp_path / "run")
    (file,) = result.weights.glob("*.safetensors")
    assert load_file(file)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) >= 3


def test_the_original_constants_stand_as_published():
    recipe = load_recipe(next(path for path in RECIPES if path.stem == "sft-llava-rlhf"), SftRecipe)
    train = recipe.train
    assert (train.learning_rate, train.epochs, train.batch_size, train.warmup_ratio) == (
        2e-5,
        3,
        128,
        0.03,
    )
    assert (train.schedule, train.weight_decay, recipe.data.max_tokens) == ("cosine", 0.0, 1280)
    assert (recipe.model.tuning, recipe.model.trainable) == (
        "full",
        ("language_model", "projector"),
    )
    assert (recipe.model.lora.rank, recipe.model.lora.alpha) == (64, 16)
