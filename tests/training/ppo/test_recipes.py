"""Every shipped PPO recipe runs a rollout on a miniature; presets hold the original's values."""

import re

import pytest
import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration

from prompt_files import Letters
from shipped_recipes import check_head, recipes_of, with_settings
from veridical.config import load_recipe, resolve_recipe, write_recipe
from veridical.errors import ConfigError
from veridical.models.architectures.parts import language_model, vision_tower
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.train import train_ppo

RECIPES = recipes_of("ppo")
LEAST = {"model": {"base": "somewhere"}, "data": {"prompts": "prompts.jsonl"}}


def test_all_are_found():
    assert [path.stem for path in RECIPES] == [
        "ppo-llava-1.5-7b-24gb",
        "ppo-llava-1.5-7b-80gb",
        "ppo-llava-rlhf",
        "ppo-world",
    ]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_says_what_it_was_run_on_how_to_run_it_and_what_it_takes(path):
    check_head(path, "ppo")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_trains(path, tiny_llava_path, prompts_path, tmp_path):
    mine = {
        "model.base": tiny_llava_path,
        "data.prompts": prompts_path,
        "data.held_out_fraction": 0.2,
        "rollout.prompts": 8,
        "rollout.max_new_tokens": 5,
        "train.batch_size": 4,
        "train.micro_batch_size": 4,
        "train.iterations": 1,
        "train.evaluation_iterations": 0,
        "train.save_steps": 0,
    }
    recipe = with_settings(path, PpoRecipe, mine)
    result = train_ppo(recipe, tmp_path / "run", judge=Letters())
    assert (result.weights / "adapter_model.safetensors").is_file()
    assert result.manifest.notes["prompts"] == {"train": 6, "held out": 2}


def test_the_quantised_ones_ask_for_lora():
    recipes = [load_recipe(path, PpoRecipe) for path in RECIPES]
    assert [recipe.model.quantization for recipe in recipes] == ["4bit", "none", "4bit", "none"]
    assert all(recipe.model.tuning == "lora" for recipe in recipes)


@pytest.mark.parametrize("card", [24, 80])
def test_the_memory_is_reckoned_from_the_models_own_shape(card):
    """LLaVA-1.5-7B is the default configuration; on the meta device it takes no memory."""
    path = next(path for path in RECIPES if path.stem.endswith(f"-{card}gb"))
    recipe = load_recipe(path, PpoRecipe)
    text = path.read_text(encoding="utf-8").split("\n\n[model]")[0].replace("\n# ", " ")

    def said(pattern):
        return float(re.search(pattern.replace("#", r"([\d.]+)"), text)[1])

    with torch.device("meta"):
        model = LlavaForConditionalGeneration(LlavaConfig())
    shape = model.config.get_text_config()
    linear = [
        module for module in language_model(model).modules() if isinstance(module, torch.nn.Linear)
    ]
    adapter = recipe.model.lora.rank * sum(
        module.in_features + module.out_features for module in linear
    )
    assert said("# M weights") == pytest.approx(adapter / 1e6, rel=0.01)
    learning = adapter * (
        2 if recipe.has_value else 1
    )  # in float32: weights, gradients and AdamW's two moments
    assert said("with gradients and AdamW # GB") == pytest.approx(4 * 4 * learning / 1e9, rel=0.03)
    assert said("the reward's adapter # GB") == pytest.approx(4 * adapter / 1e9, rel=0.07)
    a_token = 2 * shape.num_hidden_layers * shape.hidden_size * 2
    assert said("# MB per token") == pytest.approx(a_token / 1e6, rel=0.05)
    longest = 900 * recipe.rollout.batch_size * recipe.rollout.samples
    assert said("MB per token, # GB") == pytest.approx(longest * a_token / 1e9, rel=0.05)
    whole = sum(p.numel() for p in model.parameters())
    if recipe.model.quantization == "none":
        base = [said("one base in bfloat16 # GB")]
        assert base == pytest.approx([2 * whole / 1e9], rel=0.01)
    else:
        in_nf4 = sum(module.weight.numel() for module in linear)
        eyes = sum(p.numel() for p in vision_tower(model).parameters())
        eyes += sum(p.numel() for p in model.model.multi_modal_projector.parameters())
        base = [
            said("in NF4 # GB"),
            said("embeddings and head # GB"),
            said("tower and projector # GB"),
        ]
        wanted = [
            0.516 * in_nf4,
            2 * (whole - in_nf4 - eyes),
            2 * eyes,
        ]  # 4.127 bits a weight, constants included
        assert base == pytest.approx([one / 1e9 for one in wanted], abs=0.06)
    at_most = (
        sum(base)
        + said("AdamW # GB")
        + said("the reward's adapter # GB")
        + said("MB per token, # GB")
    )
    assert at_most <= said("In all about # GB") + 0.1
    assert said("In all about # GB") < card


def test_a_recipe_is_called_ppo_only_where_there_is_something_to_clip():
    world = load_recipe("ppo-world", PpoRecipe)
    assert world.describe().startswith("RLOO, one step per rollout")
    original = load_recipe("ppo-llava-rlhf", PpoRecipe)
    assert original.describe() == "PPO, 4 steps per rollout"


def test_llava_rlhf_says_what_the_original_says():
    recipe = load_recipe(next(path for path in RECIPES if path.stem == "ppo-llava-rlhf"), PpoRecipe)
    rollout, objective, train, kl, value = (
        recipe.rollout,
        recipe.objective,
        recipe.train,
        recipe.kl,
        recipe.value,
    )
    assert (rollout.prompts, rollout.samples, rollout.max_new_tokens) == (512, 1, 896)
    assert (rollout.temperature, rollout.top_p, rollout.cut_after) == (1.0, 1.0, ("?",))
    assert (
        objective.advantage,
        objective.discount,
        objective.gae_lambda,
        objective.clip_range,
    ) == ("gae", 1, 1, 0.2)
    assert (objective.slots, objective.whiten_advantages, objective.whiten_rewards) == (
        "window",
        True,
        False,
    )
    assert (train.learning_rate, train.batch_size, train.ppo_epochs, train.epochs) == (
        3e-5,
        256,
        2,
        4,
    )
    assert (train.schedule, train.weight_decay, train.max_grad_norm) == ("cosine", 0.0, 1.0)
    assert train.warmup_ratio == pytest.approx(5 / 562, abs=1e-5)
    assert (value.kind, value.coefficient, value.clip_range, value.warmup_iterations) == (
        "adapter",
        0.1,
        0.2,
        0,
    )
    # 0.1 on a penalty that the original multiplies by 10 with all rewards
    assert (kl.coefficient, kl.estimator, kl.where, kl.target) == (
        0.1 * recipe.reward.scale,
        "clamped",
        "reward",
        0,
    )
    assert (recipe.reward.preset, recipe.data.max_prompt_tokens) == ("llava-rlhf", 128)
    assert recipe.steps_per_iteration == 4


def test_what_is_set_wins_over_the_preset_and_is_written_back(tmp_path):
    recipe = resolve_recipe({**LEAST, "preset": "llava-rlhf", "kl": {"estimator": "k3"}}, PpoRecipe)
    assert (recipe.kl.estimator, recipe.kl.coefficient) == ("k3", 1.0)
    assert load_recipe(write_recipe(recipe, tmp_path / "recipe.toml"), PpoRecipe) == recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rollout": {"prompts": 100}, "train": {"batch_size": 64}},
            "must divide `rollout.prompts`",
        ),
        ({"train": {"batch_size": 64, "micro_batch_size": 48}}, "must divide `batch_size`"),
        ({"objective": {"advantage": "rloo"}, "rollout": {"samples": 1}}, "at least 2"),
        ({"kl": {"where": "loss", "estimator": "k1"}}, "says nothing as a loss"),
        ({"model": {"base": "x", "lora": {"dropout": 0.1}}}, "dropout"),
        ({"model": {"base": "x", "tuning": "full"}}, '"detached" or "shared"'),
        (
            {
                "model": {"base": "x", "tuning": "full", "trainable": ["vision"]},
                "value": {"kind": "shared"},
            },
            "vision",
        ),
        ({"objective": {"advantage": "grpo"}, "value": {"warmup_iterations": 1}}, "has no value"),
        ({"objective": {"advantage": "rloo", "slots": "window"}}, '"window" goes with'),
        ({"preset": "llava"}, "preset"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        resolve_recipe({**LEAST, **settings}, PpoRecipe)
