"""Every shipped recipe of fine-tuning runs two steps on a miniature of its model."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

import veridical
from conversation_files import write_conversations
from veridical.config import load_recipe
from veridical.training.sft.config import SftRecipe
from veridical.training.sft.train import train_sft

RECIPES = sorted((Path(veridical.__file__).parent / "recipes").rglob("sft-*.toml"))


def test_all_are_found():
    assert [path.stem for path in RECIPES] == [
        "sft-llava-1.5-7b-24gb",
        "sft-llava-1.5-7b-80gb",
        "sft-llava-rlhf",
        "sft-world",
    ]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_says_what_it_was_run_on_how_to_run_it_and_what_it_takes(path):
    head = path.read_text(encoding="utf-8").split("\n\n[model]")[0]
    for word in (
        "Tested",
        f"veridical train sft {path.stem} ",
        "One override",
        "AdamW",
        "ctivations",
    ):
        assert word in head, word


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains(path, tiny_llava_path, tmp_path):
    asked = load_recipe(path, SftRecipe)
    conversations = write_conversations(tmp_path)
    recipe = load_recipe(
        path,
        SftRecipe,
        overrides=[
            f"model.base={tiny_llava_path}",
            "model.device=cpu",
            "model.quantization=none",
            f"data.conversations={conversations}",
            "data.validation_fraction=0.34",
            "train.max_steps=2",
        ],
    )
    for section, mine in (
        ("model", {"base", "device", "quantization"}),
        ("data", {"conversations", "validation_fraction"}),
        ("train", {"max_steps"}),
    ):
        assert getattr(recipe, section).model_dump(exclude=mine) == getattr(
            asked, section
        ).model_dump(exclude=mine)
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
