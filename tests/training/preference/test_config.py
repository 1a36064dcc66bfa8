"""Presets fill what a recipe leaves out; what it says wins; what it resolves to repeats it."""

import pytest

from veridical.config import load_recipe, resolve_recipe, write_recipe
from veridical.errors import ConfigError
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.objectives.dense_dpo import DenseDpo
from veridical.training.preference.objectives.dpo import Dpo

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
    assert (recipe.objective.beta, recipe.objective.normalize) == (0.1, "sum")
    assert not hasattr(recipe.objective, "segment_weight")
    assert recipe.objective.diff == "original"  # every objective has it, so the preset's holds
    assert recipe.train.epochs == 7
    assert resolve("objective.name=dpo", "objective.beta=0.3").objective.beta == 0.3


def test_sections_given_as_objects_count_by_what_was_set_in_them():
    recipe = PreferenceRecipe(preset="veridical", objective=DenseDpo(beta=7.0), **LEAST)
    assert (recipe.objective.beta, recipe.objective.normalize) == (7.0, "weighted_mean")
    assert recipe.train.epochs == 1
    other = PreferenceRecipe(preset="veridical", objective=Dpo(sft_weight=0.5), **LEAST)
    assert other.objective == Dpo(sft_weight=0.5)


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


def test_a_setting_of_another_objective_is_refused_with_its_owner():
    with pytest.raises(ConfigError) as caught:
        resolve("objective.name=dpo", "objective.segment_weight=5", "objective.bta=1")
    assert 'unknown key `objective.segment_weight`. It goes with `name` = "dense_dpo".' in str(
        caught.value
    )
    assert "unknown key `objective.bta`. Did you mean `beta`?" in str(caught.value)


def test_recipes_of_dpo_that_state_the_weight_of_one_still_load():
    assert resolve("objective.name=dpo", "objective.segment_weight=1").objective == Dpo()


def test_an_unknown_objective_says_which_there_are():
    with pytest.raises(ConfigError, match=r"`objective.name`: must be one of dpo, dense_dpo"):
        resolve("objective.name=dense-dpo")
