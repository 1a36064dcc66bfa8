"""PPO against a trained reward model: an adapter on the policy's base, facts found by image."""

import json
import math

import pytest
import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file

from comparison_files import write_comparisons
from miniatures import tiny_llava
from veridical.cli import main
from veridical.config import resolve_recipe
from veridical.errors import ConfigError, DataError, ModelError
from veridical.records import Facts, read_records, write_records
from veridical.training.ppo import train as ppo
from veridical.training.ppo.hacking import Hacking
from veridical.training.ppo.roles import build_roles
from veridical.training.ppo.train import train_ppo
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.train import train_reward_model


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory):
    return write_comparisons(tmp_path_factory.mktemp("comparisons"), count=8)


@pytest.fixture(scope="module")
def make_reward_model(tiny_llava_path, comparisons, tmp_path_factory):
    def make(*, tuning="lora", position="before", base=tiny_llava_path):
        recipe = {
            "model": {"base": str(base), "tuning": tuning, "device": "cpu", "lora": {"rank": 2}},
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
        data = {
            "prompts": str(comparisons / "prompts.jsonl"),
            "facts": str(comparisons / "facts.jsonl"),
        }
        return make_ppo_recipe(reward_model=str(reward_model), **{"data": data, **sections})

    return make


@pytest.mark.parametrize("miniature", ["tiny_llava_path", "tiny_qwen2_5_vl_path"])
def test_reference_and_reward_are_adapters_that_stay_as_they_are(
    make_recipe, make_reward_model, request, miniature, tmp_path, monkeypatch
):
    """Four adapters on one base: policy and value learn, the other two end as they began."""
    base = request.getfixturevalue(miniature)
    reward_model = make_reward_model(base=base)
    first = train_ppo(
        make_recipe(reward_model, model={"base": str(base)}, train={"iterations": 1}),
        tmp_path / "first",
    )
    built = []
    monkeypatch.setattr(
        ppo,
        "build_roles",
        lambda *args, **more: built.append(build_roles(*args, **more)) or built[0],
    )
    model = {"base": str(base), "adapter": str(first.weights)}
    result = train_ppo(make_recipe(reward_model, model=model), tmp_path / "run")
    for line in rollouts_of(tmp_path / "run"):
        assert {"reward", "reward/learned", "reward/unfinished", "reward/repetition"} <= line.keys()
        assert all(math.isfinite(value) for value in line.values() if isinstance(value, float))
    assert any(name.startswith(f"{reward_model}/") for name in result.manifest.inputs)
    memory = json.loads((tmp_path / "run" / "memory.json").read_text())
    assert [role["role"] for role in memory["roles"]] == [
        "base",
        "policy",
        "reference",
        "value",
        "reward",
    ]
    held = get_peft_model_state_dict
    for name, folder in (("reference", first.weights), ("reward", reward_model / "adapter")):
        before = load_file(folder / "adapter_model.safetensors")
        after = held(built[0].vlm.model, adapter_name=name)
        assert before.keys() == after.keys()
        assert all(torch.equal(after[key], before[key]) for key in before), name
    before = load_file(first.weights / "adapter_model.safetensors")
    after = held(built[0].vlm.model, adapter_name="policy")
    assert not all(torch.equal(after[key], before[key]) for key in before)


def test_a_value_may_start_from_the_reward(make_recipe, reward_model, tmp_path):
    recipe = make_recipe(reward_model, value={"adapter": str(reward_model / "adapter")})
    train_ppo(recipe, tmp_path / "run")
    assert load_file(tmp_path / "run" / "value" / "adapter_model.safetensors")


def test_under_full_training_the_reward_stands_on_the_frozen_copy(
    make_recipe, reward_model, tmp_path
):
    full = {"model": {"tuning": "full"}, "value": {"kind": "detached"}}
    train_ppo(make_recipe(reward_model, **full), tmp_path / "full")
    train_ppo(make_recipe(reward_model, train={"iterations": 1}), tmp_path / "lora")
    # The same policy before the first step, the same streams: the same responses and the same
    # rewards.
    first, other = rollouts_of(tmp_path / "full")[0], rollouts_of(tmp_path / "lora")[0]
    assert first["reward/learned"] == pytest.approx(other["reward/learned"], abs=1e-4)


def test_a_reward_model_of_its_own_weights_is_loaded_apart(
    make_recipe, make_reward_model, tmp_path
):
    train_ppo(
        make_recipe(make_reward_model(tuning="full"), train={"iterations": 1}), tmp_path / "run"
    )
    assert "reward/learned" in rollouts_of(tmp_path / "run")[0]


def test_a_reward_model_of_another_base_is_loaded_with_it(
    make_recipe, reward_model, tmp_path, capfd
):
    other = tiny_llava(tmp_path / "other", seed=5)
    train_ppo(
        make_recipe(reward_model, model={"base": str(other)}, train={"iterations": 1}),
        tmp_path / "run",
    )
    assert "stands on another base than the policy" in capfd.readouterr().err


def test_facts_and_reward_model_must_go_together(
    make_recipe, make_reward_model, reward_model, comparisons, tmp_path
):
    prompts = {"prompts": str(comparisons / "prompts.jsonl")}
    with pytest.raises(ModelError, match="reads facts, got none"):
        train_ppo(make_recipe(reward_model, data=prompts), tmp_path / "a")
    with pytest.raises(
        ConfigError, match="nothing reads facts: the reward model was trained without"
    ):
        train_ppo(make_recipe(make_reward_model(position="none")), tmp_path / "b")
    with pytest.raises(ConfigError, match="nothing reads facts: no `reward_model` is set"):
        train_ppo(make_recipe(""), tmp_path / "c")
    with pytest.raises(ModelError, match="is not a reward model"):
        train_ppo(make_recipe(comparisons), tmp_path / "d")


def test_prompts_without_facts_or_with_those_of_another_image_are_reported_before_the_first_rollout(
    make_recipe, reward_model, comparisons, tmp_path, capfd
):
    known = [
        one
        for one in read_records(comparisons / "facts.jsonl", Facts)
        if one.image_id not in ("scene1", "scene4")
    ]
    stray = Facts(image_id="scene2", prompt_id="p3", kind="answer", texts=("Red.",))
    write_records(tmp_path / "facts.jsonl", [*known, stray], kind="Facts")
    data = {"prompts": str(comparisons / "prompts.jsonl"), "facts": str(tmp_path / "facts.jsonl")}
    one = {"iterations": 1}
    with pytest.raises(DataError) as caught:
        train_ppo(make_recipe(reward_model, data=data, train=one), tmp_path / "run")
    assert [fault.line for fault in caught.value.faults] == [3, 5, 6]
    assert "No facts for prompt 'p1'" in str(caught.value)
    assert "facts for prompt 'p3' are of another image: 'scene2'" in str(caught.value)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    result = train_ppo(
        make_recipe(reward_model, data={**data, "skip_bad": True}, train=one), tmp_path / "run"
    )
    assert result.manifest.notes["prompts"]["train"] == 5
    assert len((tmp_path / "run" / "unrewardable_prompts.jsonl").read_text().splitlines()) == 3
    write_records(tmp_path / "facts.jsonl", known, kind="Facts")
    without = make_recipe(reward_model, data={**data, "missing_facts": "without"}, train=one)
    result = train_ppo(without, tmp_path / "without")
    assert result.manifest.notes["prompts_without_facts"] == 2
    assert "2 of 8 prompts without facts: rewarded without them." in capfd.readouterr().err


def test_a_second_reward_model_rates_what_is_held_out_and_warns(
    make_recipe, make_reward_model, reward_model, tmp_path, monkeypatch
):
    other = make_reward_model(position="none")
    recipe = make_recipe(reward_model, judge_model=str(other), train={"iterations": 1})
    data = recipe.data.model_copy(update={"held_out_fraction": 0.5})
    asked = []

    def test(run_dir, step, **more):
        asked.append((step, more))
        return Hacking(0, step, (0.0, 1.0), (1.0, 2.0), (3.0, 2.0), 0.001)

    monkeypatch.setattr(ppo, "hacking_at", test)
    result = train_ppo(recipe.model_copy(update={"data": data}), tmp_path / "run")
    assert result.manifest.notes["judge"] == "judge"
    curve = [
        json.loads(line) for line in (tmp_path / "run" / "curves.jsonl").read_text().splitlines()
    ]
    assert all(
        math.isfinite(point["judge"]) and point["judge"] != point["proxy"] for point in curve
    )
    (warned,) = (text for text in result.manifest.notes["warnings"] if "proxy rises" in text)
    assert "judge falls since step 0: proxy 1 → 2, judge 3 → 2" in warned
    assert {step for step, _ in asked} == {curve[-1]["step"]}
    assert asked[0][1] == {"kl": pytest.approx(curve[-1]["kl"]), "looks": 1}


def run(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code or 0


def test_from_the_command_line(reward_model, tiny_llava_path, comparisons, tmp_path, capsys):
    words = [
        "train",
        "ppo",
        "ppo-world",
        f"model.base={tiny_llava_path}",
        "model.device=cpu",
        "rollout.prompts=4",
        "rollout.samples=2",
        "rollout.max_new_tokens=4",
        "train.batch_size=4",
        "train.micro_batch_size=4",
        "train.iterations=1",
        f"data.prompts={comparisons / 'prompts.jsonl'}",
        f"reward_model={reward_model}",
    ]
    assert run(*words, f"data.facts={comparisons / 'facts.jsonl'}", "--out", tmp_path / "run") == 0
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()
    assert (
        run(
            *words,
            f"data.facts={comparisons / 'facts.jsonl'}",
            "--out",
            tmp_path / "run",
            "--resume",
        )
        == 0
    )
    assert run(*words, "--out", tmp_path / "other") == 1
    assert "reads facts, got none" in capsys.readouterr().err
