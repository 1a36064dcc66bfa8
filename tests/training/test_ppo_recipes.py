"""Every shipped recipe of PPO is loaded and taken for a rollout on a miniature; presets say what the original says."""

from pathlib import Path

import pytest

import veridical
from prompt_files import Letters
from veridical.config import load_recipe, resolve_recipe, write_recipe
from veridical.errors import ConfigError
from veridical.training.ppo import train_ppo
from veridical.training.ppo_config import PpoRecipe

RECIPES = sorted((Path(veridical.__file__).parent / "recipes").rglob("ppo-*.toml"))
LEAST = {"model": {"base": "somewhere"}, "data": {"prompts": "prompts.jsonl"}}


def test_all_are_found():
    assert [path.stem for path in RECIPES] == [
        "ppo-llava-1.5-7b-24gb", "ppo-llava-1.5-7b-80gb", "ppo-llava-rlhf", "ppo-world",
    ]  # fmt: skip


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_says_what_it_was_run_on_how_to_run_it_and_what_it_takes(path):
    head = path.read_text(encoding="utf-8").split("\n[model]")[0]
    for word in ("Checked on", f"veridical train ppo {path.stem} ", "One override", "AdamW", "ctivations"):
        assert word in head, word


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains(path, tiny_llava_path, prompts_path, tmp_path):
    asked = load_recipe(path, PpoRecipe)
    mine = {
        "model.base": tiny_llava_path, "model.device": "cpu", "model.quantization": "none",
        "data.prompts": prompts_path, "data.held_out_fraction": 0.2, "rollout.prompts": 8,
        "rollout.max_new_tokens": 5, "train.batch_size": 4, "train.micro_batch_size": 4, "train.iterations": 1,
        "train.evaluation_iterations": 0, "train.save_steps": 0,
    }  # fmt: skip
    recipe = load_recipe(path, PpoRecipe, overrides=[f"{name}={value}" for name, value in mine.items()])
    for section in ("model", "data", "rollout", "objective", "kl", "value", "reward", "train"):
        ours = {name.split(".")[1] for name in mine if name.startswith(section)}
        assert getattr(recipe, section).model_dump(exclude=ours) == getattr(asked, section).model_dump(exclude=ours)
    result = train_ppo(recipe, tmp_path / "run", judge=Letters())
    assert (result.weights / "adapter_model.safetensors").is_file()
    assert result.manifest.notes["prompts"] == {"train": 6, "held out": 2}


def test_the_quantised_ones_ask_for_lora():
    recipes = [load_recipe(path, PpoRecipe) for path in RECIPES]
    assert [recipe.model.quantization for recipe in recipes] == ["4bit", "none", "4bit", "none"]
    assert all(recipe.model.tuning == "lora" for recipe in recipes)


def test_llava_rlhf_says_what_the_original_says():
    recipe = load_recipe(next(path for path in RECIPES if path.stem == "ppo-llava-rlhf"), PpoRecipe)
    rollout, objective, train, kl, value = recipe.rollout, recipe.objective, recipe.train, recipe.kl, recipe.value
    assert (rollout.prompts, rollout.samples, rollout.max_new_tokens) == (512, 1, 896)
    assert (rollout.temperature, rollout.top_p, rollout.cut_after) == (1.0, 1.0, ("?",))
    assert (objective.advantage, objective.discount, objective.gae_lambda, objective.clip_range) == ("gae", 1, 1, 0.2)
    assert (objective.slots, objective.whiten_advantages, objective.whiten_rewards) == ("window", True, False)
    assert (train.learning_rate, train.batch_size, train.ppo_epochs, train.epochs) == (3e-5, 256, 2, 4)
    assert (train.schedule, train.weight_decay, train.max_grad_norm) == ("cosine", 0.0, 1.0)
    assert train.warmup_ratio == pytest.approx(5 / 562, abs=1e-5)
    assert (value.kind, value.coefficient, value.clip_range, value.warmup_iterations) == ("adapter", 0.1, 0.2, 0)
    # 0.1 on a penalty that the original multiplies by 10 with all rewards
    assert (kl.coefficient, kl.estimator, kl.where, kl.target) == (0.1 * recipe.reward.scale, "clamped", "reward", 0)
    assert (recipe.reward.preset, recipe.data.max_prompt_tokens) == ("llava-rlhf", 128)
    assert recipe.steps_per_iteration == 4


def test_what_is_set_wins_over_the_preset_and_is_written_back(tmp_path):
    recipe = resolve_recipe({**LEAST, "preset": "llava-rlhf", "kl": {"estimator": "k3"}}, PpoRecipe)
    assert (recipe.kl.estimator, recipe.kl.coefficient) == ("k3", 1.0)
    assert load_recipe(write_recipe(recipe, tmp_path / "recipe.toml"), PpoRecipe) == recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rollout": {"prompts": 100}, "train": {"batch_size": 64}}, "must divide `rollout.prompts`"),
        ({"train": {"batch_size": 64, "micro_batch_size": 48}}, "must divide `batch_size`"),
        ({"objective": {"advantage": "rloo"}, "rollout": {"samples": 1}}, "at least 2"),
        ({"kl": {"where": "loss", "estimator": "k1"}}, "says nothing as a loss"),
        ({"model": {"base": "x", "lora": {"dropout": 0.1}}}, "dropout"),
        ({"model": {"base": "x", "tuning": "full"}}, '"detached" or "shared"'),
        ({"model": {"base": "x", "tuning": "full", "trainable": ["vision"]}, "value": {"kind": "shared"}}, "vision"),
        ({"objective": {"advantage": "grpo"}, "value": {"warmup_iterations": 1}}, "has no value"),
        ({"objective": {"advantage": "rloo", "slots": "window"}}, '"window" goes with'),
        ({"preset": "llava"}, "preset"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        resolve_recipe({**LEAST, **settings}, PpoRecipe)
