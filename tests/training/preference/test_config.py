"""Presets fill what a recipe leaves out; what it says wins; what it resolves to repeats it."""

import pytest

from veridical.config import load_recipe, resolve_recipe, write_recipe
from veridical.errors import ConfigError
from veridical.training.preference.config import ObjectiveSection, PreferenceRecipe

LEAST = {"model": {"base": "somewhere"}, "data": {"corrections": "corrections.jsonl"}}


def resolve(*overrides, **more):
    return resolve_recipe({**LEAST, **more}, PreferenceRecipe, overrides=overrides)


def test_the_rlhf_v_preset_says_what_the_paper_says():
    recipe = resolve(preset="rlhf-v")
    assert recipe.model.tuning == "full"
    assert "vision" not in recipe.model.trainable
    objective = recipe.objective
    assert (objective.beta, objective.segment_weight, objective.normalize) == (
        0.5,
        5.0,
        "weighted_mean",
    )
    assert (objective.diff, objective.one_sided) == ("original", "ignore")
    train = recipe.train
    assert (train.learning_rate, train.epochs, train.batch_size, train.warmup_ratio) == (
        5e-7,
        7,
        32,
        0.1,
    )
    assert train.schedule == "cosine"


@pytest.mark.parametrize("preset", ["none", "rlhf-v", "veridical"])
def test_a_setting_wins_over_every_preset(preset):
    recipe = resolve(
        "objective.beta=3", "train.learning_rate=1e-3", "model.tuning=lora", preset=preset
    )
    assert (recipe.objective.beta, recipe.train.learning_rate, recipe.model.tuning) == (
        3.0,
        1e-3,
        "lora",
    )


def test_plain_dpo_brings_its_own_beta_and_sum_whatever_the_preset():
    recipe = resolve("objective.name=dpo", preset="rlhf-v")
    assert (recipe.objective.beta, recipe.objective.segment_weight, recipe.objective.normalize) == (
        0.1,
        1.0,
        "sum",
    )
    assert recipe.train.epochs == 7
    assert resolve("objective.name=dpo", "objective.beta=0.3").objective.beta == 0.3


def test_sections_given_as_objects_count_by_what_was_set_in_them():
    recipe = PreferenceRecipe(preset="veridical", objective=ObjectiveSection(beta=7.0), **LEAST)
    assert (recipe.objective.beta, recipe.train.epochs) == (7.0, 1)


@pytest.mark.parametrize("preset", ["none", "rlhf-v", "veridical"])
@pytest.mark.parametrize("name", ["dpo", "dense_dpo"])
def test_the_written_recipe_reads_back_equal(preset, name, tmp_path):
    recipe = resolve(f"objective.name={name}", preset=preset)
    assert load_recipe(write_recipe(recipe, tmp_path / "recipe.toml"), PreferenceRecipe) == recipe


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.learning_rat=1", "Did you mean `learning_rate`"),
        ("preset=rlhfv", "`preset`"),
        ("train.micro_batch_size=5", "must divide `batch_size`"),
        ("model.quantization=4bit", 'set tuning = "lora"'),
        ("model.trainable=[]", "nothing would learn"),
        ("objective.name=3", "`objective.name`"),
        ("objective.beta=0", "`objective.beta`"),
    ],
)
def test_faults_say_where_and_what_to_do(override, said):
    with pytest.raises(ConfigError) as caught:
        resolve("model.tuning=full", override)
    assert said in str(caught.value)


def test_a_weight_without_effect_is_refused():
    with pytest.raises(ConfigError, match='"dpo", which weighs all tokens alike'):
        resolve("objective.name=dpo", "objective.segment_weight=5")
