"""PPO against a trained reward model: one adapter more on the policy's base, facts found by image, faults said."""

import json

import pytest
from safetensors.torch import load_file

from comparison_files import write_comparisons
from miniatures import tiny_llava
from veridical.cli import main
from veridical.config import resolve_recipe
from veridical.errors import ConfigError, ModelError
from veridical.training.ppo import train_ppo
from veridical.training.reward import train_reward_model
from veridical.training.reward_config import RewardRecipe


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory):
    return write_comparisons(tmp_path_factory.mktemp("comparisons"), count=8)


@pytest.fixture(scope="module")
def make_reward_model(tiny_llava_path, comparisons, tmp_path_factory):
    def make(*, tuning="lora", position="before"):
        recipe = {
            "model": {"base": str(tiny_llava_path), "tuning": tuning, "device": "cpu", "lora": {"rank": 2}},
            "data": {"comparisons": str(comparisons), "validation_fraction": 0.0},
            "template": {"name": "world", "facts_position": position},
            "train": {"max_steps": 1, "batch_size": 4, "micro_batch_size": 4},
        }
        folder = tmp_path_factory.mktemp("reward") / "run"
        return train_reward_model(resolve_recipe(recipe, RewardRecipe), folder).weights

    return make


@pytest.fixture(scope="module")
def reward_model(make_reward_model):
    return make_reward_model()


def rollouts_of(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["part"] == "rollout"]


@pytest.fixture
def make_recipe(make_ppo_recipe, comparisons):
    def make(reward_model, **sections):
        data = {"prompts": str(comparisons / "prompts.jsonl"), "facts": str(comparisons / "facts.jsonl")}
        return make_ppo_recipe(reward_model=str(reward_model), **{"data": data, **sections})

    return make


def test_the_reward_is_one_adapter_more_that_stays_as_it_is(make_recipe, reward_model, tmp_path):
    before = load_file(reward_model / "adapter" / "adapter_model.safetensors")
    train_ppo(make_recipe(reward_model), tmp_path / "run")
    for line in rollouts_of(tmp_path / "run"):
        assert {"reward", "reward/learned", "reward/unfinished", "reward/repetition"} <= line.keys()
    memory = json.loads((tmp_path / "run" / "memory.json").read_text())
    assert [role["role"] for role in memory["roles"]] == ["base", "policy", "value", "reward"]
    after = load_file(reward_model / "adapter" / "adapter_model.safetensors")
    assert all((after[name] == before[name]).all() for name in before)


def test_a_value_may_start_from_the_reward(make_recipe, reward_model, tmp_path):
    recipe = make_recipe(reward_model, value={"adapter": str(reward_model / "adapter")})
    train_ppo(recipe, tmp_path / "run")
    assert load_file(tmp_path / "run" / "value" / "adapter_model.safetensors")


def test_under_full_training_the_reward_stands_on_the_frozen_copy(make_recipe, reward_model, tmp_path):
    full = {"model": {"tuning": "full"}, "value": {"kind": "detached"}}
    train_ppo(make_recipe(reward_model, **full), tmp_path / "full")
    train_ppo(make_recipe(reward_model, train={"iterations": 1}), tmp_path / "lora")
    # The same policy before the first step, the same streams: the same responses and the same rewards.
    first, other = rollouts_of(tmp_path / "full")[0], rollouts_of(tmp_path / "lora")[0]
    assert first["reward/learned"] == pytest.approx(other["reward/learned"], abs=1e-4)


def test_a_reward_model_of_its_own_weights_is_loaded_apart(make_recipe, make_reward_model, tmp_path):
    train_ppo(make_recipe(make_reward_model(tuning="full"), train={"iterations": 1}), tmp_path / "run")
    assert "reward/learned" in rollouts_of(tmp_path / "run")[0]


def test_a_reward_model_of_another_base_is_loaded_with_it(make_recipe, reward_model, tmp_path, capfd):
    other = tiny_llava(tmp_path / "other", seed=5)
    train_ppo(make_recipe(reward_model, model={"base": str(other)}, train={"iterations": 1}), tmp_path / "run")
    assert "stands on another base than the policy" in capfd.readouterr().err


def test_facts_and_reward_model_must_go_together(make_recipe, make_reward_model, reward_model, comparisons, tmp_path):
    prompts = {"prompts": str(comparisons / "prompts.jsonl")}
    with pytest.raises(ModelError, match="reads facts, got none"):
        train_ppo(make_recipe(reward_model, data=prompts), tmp_path / "a")
    with pytest.raises(ConfigError, match="nothing reads facts: the reward model was trained without"):
        train_ppo(make_recipe(make_reward_model(position="none")), tmp_path / "b")
    with pytest.raises(ConfigError, match="nothing reads facts: there is no `reward_model`"):
        train_ppo(make_recipe(""), tmp_path / "c")
    with pytest.raises(ModelError, match="is no reward model"):
        train_ppo(make_recipe(comparisons), tmp_path / "d")


def run(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code or 0


def test_from_the_command_line(reward_model, tiny_llava_path, comparisons, tmp_path, capsys):
    words = [
        "train", "ppo", "ppo-world", f"model.base={tiny_llava_path}", "model.device=cpu", "rollout.prompts=4",
        "rollout.samples=2", "rollout.max_new_tokens=4", "train.batch_size=4", "train.micro_batch_size=4",
        "train.iterations=1", f"data.prompts={comparisons / 'prompts.jsonl'}", f"reward_model={reward_model}",
    ]  # fmt: skip
    assert run(*words, f"data.facts={comparisons / 'facts.jsonl'}", "--out", tmp_path / "run") == 0
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()
    assert run(*words, f"data.facts={comparisons / 'facts.jsonl'}", "--out", tmp_path / "run", "--resume") == 0
    assert run(*words, "--out", tmp_path / "other") == 1
    assert "reads facts, got none" in capsys.readouterr().err
