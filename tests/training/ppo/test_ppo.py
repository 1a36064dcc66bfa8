"""PPO end to end on random miniatures: what it leaves, what must not change it, what it refuses."""

import json
import math

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

import model_zoo
from prompt_files import Letters, write_prompts
from veridical.config import load_recipe
from veridical.errors import ConfigError, DataError, ModelError
from veridical.models.features import FeatureCache
from veridical.models.loading import load_model
from veridical.records import NO_IMAGE, Prompt, read_records, write_records
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.engines.protocol import Sampled
from veridical.training.ppo.train import train_ppo


def lines_of(run_dir, part):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["part"] == part]


def final_weights(result):
    (file,) = result.weights.glob("*.safetensors")
    return load_file(file)


def same_weights(first, second):
    a, b = final_weights(first), final_weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("miniature", ["tiny_llava_path", "tiny_qwen2_5_vl_path"])
def test_two_rollouts_and_what_they_leave(make_ppo_recipe, request, miniature, tmp_path):
    base_path = request.getfixturevalue(miniature)
    held = write_prompts(tmp_path / "held", count=3, name="held")
    recipe = make_ppo_recipe(
        model={"base": str(base_path)},
        data={"held_out": str(held)},
        train={"ppo_epochs": 2, "evaluation_iterations": 1},
    )
    result = train_ppo(recipe, tmp_path / "run", reward=Letters(), judge=Letters())
    rollouts, steps = lines_of(tmp_path / "run", "rollout"), lines_of(tmp_path / "run", "train")
    assert [line["step"] for line in rollouts] == [1, 5]
    assert [line["step"] for line in steps] == list(range(1, 9))
    for name in (
        "reward",
        "reward/letters",
        "kl_k1",
        "kl_k2",
        "kl_k3",
        "kl_clamped",
        "entropy",
        "length",
        "finished",
        "repetition",
        "explained_variance",
        "kl_coefficient",
        "excluded",
    ):
        assert all(math.isfinite(line[name]) for line in rollouts), name
    for name in (
        "loss",
        "policy_loss",
        "value_loss",
        "clip_fraction",
        "approximate_kl",
        "grad_norm",
    ):
        assert all(math.isfinite(line[name]) for line in steps), name
    # Before the first step policy and reference are one; in it, policy and sampler.
    assert rollouts[0]["kl_k2"] == pytest.approx(0, abs=1e-9)
    assert steps[0]["ratio"] == pytest.approx(1, abs=1e-5)
    assert rollouts[1]["kl_k3"] > 0
    curve = [
        json.loads(line) for line in (tmp_path / "run" / "curves.jsonl").read_text().splitlines()
    ]
    assert [point["step"] for point in curve] == [0, 4, 8]
    assert all({"kl", "proxy", "judge"} <= point.keys() for point in curve)
    assert curve[0]["kl"] == pytest.approx(0, abs=1e-4)
    assert result.manifest.notes["iterations"] == 2
    assert result.manifest.notes["prompts"] == {"train": 8, "held out": 3}
    assert load_recipe(tmp_path / "run" / "recipe.toml", PpoRecipe)
    memory = json.loads((tmp_path / "run" / "memory.json").read_text())
    assert {role["role"] for role in memory["roles"]} == {"base", "policy", "value"}

    for folder in ("adapter", "value"):  # both are plain adapters on the plain base
        base = AutoModelForImageTextToText.from_pretrained(base_path)
        worn = PeftModel.from_pretrained(base, tmp_path / "run" / folder)
        assert any(bool(p.any()) for name, p in worn.named_parameters() if "lora_B" in name), folder
    assert set(load_file(tmp_path / "run" / "value" / "head.safetensors")) == {"weight", "bias"}


@pytest.mark.parametrize("kind", ["detached", "shared"])
def test_the_value_may_stand_on_the_policys_states(make_ppo_recipe, tmp_path, kind):
    result = train_ppo(make_ppo_recipe(value={"kind": kind}), tmp_path / "run", reward=Letters())
    assert not (tmp_path / "run" / "value" / "adapter_config.json").exists()
    assert load_file(tmp_path / "run" / "value" / "head.safetensors")["weight"].any()
    assert not any("value" in name for name in final_weights(result))


@pytest.mark.parametrize("advantage", ["rloo", "grpo", "dr_grpo"])
def test_groups_need_no_value(make_ppo_recipe, tmp_path, advantage):
    recipe = make_ppo_recipe(objective={"advantage": advantage, "average": "responses"})
    train_ppo(recipe, tmp_path / "run", reward=Letters())
    assert not (tmp_path / "run" / "value").exists()
    assert "value_loss" not in lines_of(tmp_path / "run", "train")[0]


def test_full_training_leaves_a_model_and_holds_its_reference(
    make_ppo_recipe, tiny_llava_path, tmp_path
):
    recipe = make_ppo_recipe(
        model={"tuning": "full"},
        value={"kind": "shared"},
        train={"learning_rate": 1e-3, "ppo_epochs": 2},
    )
    result = train_ppo(recipe, tmp_path / "run", reward=Letters())
    assert result.weights == tmp_path / "run" / "model"
    trained, base = (
        AutoModelForImageTextToText.from_pretrained(path)
        for path in (result.weights, tiny_llava_path)
    )
    changed = {
        name
        for name, p in trained.named_parameters()
        if not torch.equal(p, base.get_parameter(name))
    }
    assert any("multi_modal_projector" in name for name in changed)
    assert not any("vision_tower" in name for name in changed)
    first, second = lines_of(tmp_path / "run", "rollout")
    assert first["kl_k2"] == pytest.approx(0, abs=1e-9)
    assert second["kl_k2"] > 1e-4


def test_it_learns_what_is_rewarded(make_ppo_recipe, tmp_path):
    recipe = make_ppo_recipe(
        rollout={"prompts": 8, "samples": 16, "batch_size": 8},
        objective={"advantage": "rloo"},
        kl={"coefficient": 0.0},
        train={"iterations": 16, "batch_size": 8, "micro_batch_size": 8},
    )
    train_ppo(recipe, tmp_path / "run", reward=Letters())
    rewards = [line["reward"] for line in lines_of(tmp_path / "run", "rollout")]
    assert sum(rewards[-3:]) > 1.5 * sum(rewards[:3])


def test_the_policy_goes_on_from_an_adapter_that_stays_the_reference(make_ppo_recipe, tmp_path):
    first = train_ppo(make_ppo_recipe(), tmp_path / "first", reward=Letters())
    again = make_ppo_recipe(
        model={"adapter": str(first.weights)}, value={"adapter": str(tmp_path / "first" / "value")}
    )
    second = train_ppo(again, tmp_path / "second", reward=Letters())
    assert not same_weights(first, second)
    assert lines_of(tmp_path / "second", "rollout")[0]["kl_k2"] == pytest.approx(0, abs=1e-9)
    memory = json.loads((tmp_path / "second" / "memory.json").read_text())
    assert [role["role"] for role in memory["roles"]] == ["base", "policy", "reference", "value"]


def test_the_same_recipe_gives_the_same_weights_and_its_written_form_repeats_it(
    make_ppo_recipe, tmp_path
):
    first = train_ppo(make_ppo_recipe(), tmp_path / "first", reward=Letters())
    written = load_recipe(tmp_path / "first" / "recipe.toml", PpoRecipe)
    assert same_weights(first, train_ppo(written, tmp_path / "second", reward=Letters()))
    other = written.model_copy(update={"train": written.train.model_copy(update={"seed": 1})})
    assert not same_weights(first, train_ppo(other, tmp_path / "third", reward=Letters()))


def test_sizes_of_batches_change_nothing_but_rounding(make_ppo_recipe, tmp_path):
    """How many are sampled, scored or learnt from at once: padding, accumulation and company."""
    runs = []
    for size in (1, 4):
        recipe = make_ppo_recipe(
            rollout={"batch_size": size, "score_batch_size": size},
            train={"batch_size": 4, "micro_batch_size": size, "learning_rate": 1e-3},
        )
        runs.append(train_ppo(recipe, tmp_path / str(size), reward=Letters()))
    for part in ("rollout", "train"):
        for one, other in zip(*(lines_of(run.run_dir, part) for run in runs), strict=True):
            one.pop("seconds", None), other.pop("seconds", None)
            assert one == pytest.approx(other, abs=2e-3), part
    first, second = map(final_weights, runs)
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=2e-4, rtol=1e-3)


def test_features_that_are_kept_and_branches_change_nothing_but_rounding(
    make_ppo_recipe, tmp_path, monkeypatch
):
    runs = [train_ppo(make_ppo_recipe(), tmp_path / "kept", reward=Letters())]
    monkeypatch.setattr(FeatureCache, "unavailable_reason", lambda self: "this test says so")
    monkeypatch.setattr(
        "veridical.models.branches.no_branches_reason", lambda model: "this test says so"
    )
    runs.append(train_ppo(make_ppo_recipe(), tmp_path / "live", reward=Letters()))
    losses = [[line["loss"] for line in lines_of(run.run_dir, "train")] for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_a_resumed_run_gives_the_same_and_a_finished_one_is_left_alone(make_ppo_recipe, tmp_path):
    recipe = make_ppo_recipe(train={"save_steps": 1})
    result = train_ppo(recipe, tmp_path / "run", reward=Letters())
    with pytest.raises(ConfigError, match="holds a run already"):
        train_ppo(recipe, tmp_path / "run", reward=Letters())
    assert (
        train_ppo(recipe, tmp_path / "run", reward=Letters(), resume=True).manifest
        == result.manifest
    )


class Sometimes(Letters):
    """Gives no number where a text is of even length."""

    def __call__(self, candidates):
        odd = torch.tensor([len(one.text) % 2 == 1 for one in candidates])
        return torch.where(odd, super().__call__(candidates), torch.nan)


def test_responses_without_a_reward_are_left_out_and_counted(make_ppo_recipe, tmp_path, capfd):
    result = train_ppo(make_ppo_recipe(), tmp_path / "run", reward=Sometimes())
    rollouts, steps = lines_of(tmp_path / "run", "rollout"), lines_of(tmp_path / "run", "train")
    assert 0 < sum(line["excluded"] for line in rollouts) < 16
    assert result.manifest.notes["excluded_responses"] == sum(line["excluded"] for line in rollouts)
    said = capfd.readouterr().err
    for line in rollouts:
        assert (
            not line["excluded"]
            or f"{line['excluded']:.0f} of 8 responses got no finite reward" in said
        )
    assert all(math.isfinite(line["loss"]) for line in steps)

    class Never(Letters):
        def __call__(self, candidates):
            return super().__call__(candidates) * torch.nan

    with pytest.raises(ModelError, match="None of 8 responses got a finite reward from 'letters'"):
        train_ppo(make_ppo_recipe(), tmp_path / "never", reward=Never())

    def sums(candidates):
        return ["many"] * len(candidates)

    with pytest.raises(ModelError, match="'sums' must give a list or tensor of numbers"):
        train_ppo(make_ppo_recipe(), tmp_path / "texts", reward=sums)

    class Short(Letters):
        def __call__(self, candidates):
            return super().__call__(candidates)[:1]

    with pytest.raises(
        ModelError, match=r"one number for each of 8 responses, got a tensor of shape \(1,\)"
    ):
        train_ppo(make_ppo_recipe(), tmp_path / "short", reward=Short())


def test_an_end_that_never_comes_is_said(make_ppo_recipe, tmp_path, capfd):
    recipe = make_ppo_recipe(
        rollout={"max_new_tokens": 1, "temperature": 0.01}, train={"iterations": 1}
    )
    train_ppo(recipe, tmp_path / "run", reward=Letters())
    (line,) = lines_of(tmp_path / "run", "rollout")
    assert line["finished"] == 0
    assert "no response of this rollout reached its end token" in capfd.readouterr().err


def test_bad_prompts_are_reported_all_at_once_or_put_aside(make_ppo_recipe, tmp_path):
    path = write_prompts(tmp_path / "data")
    lines = path.read_text().splitlines()
    good = json.loads(lines[3])
    lines[1] = lines[1][:-5]
    lines[3] = json.dumps({**good, "image": {"path": "images/none.png"}})
    path.write_text("\n".join(lines) + "\n")
    recipe = make_ppo_recipe(data={"prompts": str(path)}, train={"iterations": 1})
    with pytest.raises(DataError) as caught:
        train_ppo(recipe, tmp_path / "run", reward=Letters())
    assert {fault.line for fault in caught.value.faults} == {2, 4}
    lines[1] = json.dumps({**good, "question": "Is <image> as <image>?", "id": "x"})
    lines[3] = json.dumps({**good, "question": "Why? " * 400, "id": "y"})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=rf"{path}:2: .*<image>"):
        train_ppo(recipe, tmp_path / "run", reward=Letters())
    skipping = make_ppo_recipe(
        data={"prompts": str(path), "skip_bad": True}, train={"iterations": 1}
    )
    result = train_ppo(skipping, tmp_path / "run", reward=Letters())
    assert result.manifest.notes["prompts"]["train"] == 6
    (long,) = (
        json.loads(line)
        for line in (tmp_path / "run" / "bad_prompts_prompts.jsonl").read_text().splitlines()
    )
    assert long["line"] == 4
    with pytest.raises(DataError, match=r"`data\.max_prompt_tokens` allows 3"):
        train_ppo(
            make_ppo_recipe(data={"max_prompt_tokens": 3}), tmp_path / "long", reward=Letters()
        )
    few = make_ppo_recipe(
        model={"base": str(tmp_path / "no such model")},
        data={"prompts": str(write_prompts(tmp_path / "few", count=2))},
        train={"iterations": 0},
    )
    with pytest.raises(ConfigError, match="give no rollout of 4"):
        train_ppo(few, tmp_path / "none", reward=Letters())


def test_earlier_turns_are_read(make_ppo_recipe, tmp_path):
    """The same question after another conversation is another prompt."""
    path = write_prompts(tmp_path / "data", count=4)
    recipe = make_ppo_recipe(data={"prompts": str(path)}, train={"iterations": 1})
    train_ppo(recipe, tmp_path / "plain", reward=Letters())
    lines = path.read_text().splitlines()
    rows = [
        {**json.loads(line), "history": [["Is there a cat?", "No, there is no cat."]]}
        for line in lines[1:]
    ]
    path.write_text("\n".join([lines[0], *map(json.dumps, rows)]) + "\n")
    train_ppo(recipe, tmp_path / "later", reward=Letters())
    rewards = [lines_of(tmp_path / name, "rollout")[0]["entropy"] for name in ("plain", "later")]
    assert abs(rewards[0] - rewards[1]) > 1e-4


def test_adapters_of_other_roles_stay_as_they_were(make_ppo_recipe, tmp_path):
    """The policy keeps its weights while the value warms up; with a price of 0 the value does."""
    warm = make_ppo_recipe(value={"warmup_iterations": 2, "kind": "adapter"})
    result = train_ppo(warm, tmp_path / "warm", reward=Letters())
    assert not any(
        bool(value.any()) for name, value in final_weights(result).items() if "lora_B" in name
    )
    assert load_file(tmp_path / "warm" / "value" / "head.safetensors")["weight"].any()
    free = make_ppo_recipe(value={"coefficient": 0.0})
    result = train_ppo(free, tmp_path / "free", reward=Letters())
    assert any(
        bool(value.any()) for name, value in final_weights(result).items() if "lora_B" in name
    )
    assert not load_file(tmp_path / "free" / "value" / "head.safetensors")["weight"].any()
    adapter = load_file(tmp_path / "free" / "value" / "adapter_model.safetensors")
    assert not any(bool(value.any()) for name, value in adapter.items() if "lora_B" in name)


def test_no_advantage_no_change(make_ppo_recipe, tmp_path):
    class Same(Letters):
        def __call__(self, candidates):
            return torch.ones(len(candidates))

    recipe = make_ppo_recipe(objective={"advantage": "rloo"}, kl={"coefficient": 0.0})
    result = train_ppo(recipe, tmp_path / "run", reward=Same())
    assert not any(
        bool(value.any()) for name, value in final_weights(result).items() if "lora_B" in name
    )


def test_no_response_holds_a_special_token(make_ppo_recipe, tiny_llava_path, tmp_path, monkeypatch):
    from veridical.training.ppo import rollouts

    seen = []
    inner = rollouts.RolloutCollector.sample

    def sample(self, prompts, *, stream):
        sampled = inner(self, prompts, stream=stream)
        seen.extend(ids for one in sampled for ids in one.responses)
        return sampled

    monkeypatch.setattr(rollouts.RolloutCollector, "sample", sample)
    recipe = make_ppo_recipe(
        rollout={"samples": 8, "prompts": 8, "temperature": 3.0, "max_new_tokens": 24},
        train={"iterations": 1},
    )
    train_ppo(recipe, tmp_path / "run", reward=Letters())
    tokenizer = load_model(tiny_llava_path, device="cpu").tokenizer
    end = tokenizer.eos_token_id
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    assert len(seen) == 64
    assert not any(token in special for ids in seen for token in ids[:-1])
    assert not any(ids[-1] in special - {end} for ids in seen)


def test_the_price_of_a_nat_follows_its_target(make_ppo_recipe, tmp_path):
    recipe = make_ppo_recipe(
        kl={"target": 0.5, "horizon": 8, "coefficient": 0.1}, train={"iterations": 3}
    )
    train_ppo(recipe, tmp_path / "run", reward=Letters())
    first, second, _ = lines_of(tmp_path / "run", "rollout")
    assert first["kl_coefficient"] == 0.1
    assert second["kl_coefficient"] == pytest.approx(
        0.08
    )  # KL 0: an error of −0.2 over a whole horizon


def test_the_penalty_may_stand_in_the_loss(make_ppo_recipe, tmp_path):
    """A dear nat holds the policy at its reference, wherever its price is charged."""
    moved = {}
    for price in (0.0, 50.0):
        recipe = make_ppo_recipe(
            kl={"where": "loss", "estimator": "k2", "coefficient": price},
            train={"iterations": 6, "ppo_epochs": 2},
        )
        train_ppo(recipe, tmp_path / str(price), reward=Letters())
        moved[price] = lines_of(tmp_path / str(price), "rollout")[-1]["kl_k2"]
    assert moved[50.0] < 0.3 * moved[0.0]


def test_prompts_that_the_rules_could_never_reward_are_reported_by_line_or_put_aside(
    make_ppo_recipe, tmp_path
):
    path = write_prompts(tmp_path / "data", count=5)
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), "task": "yes_no"})
    lines[3] = json.dumps({**json.loads(lines[3]), "task": "yes_no", "reference": "No."})
    path.write_text("\n".join(lines) + "\n")
    data = {"prompts": str(path)}
    with pytest.raises(
        DataError, match=rf"{path}:3: .*its `reference` must say yes or no, got None"
    ):
        train_ppo(make_ppo_recipe(data=data), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()  # so it may be started over
    result = train_ppo(
        make_ppo_recipe(data={**data, "skip_bad": True}, train={"iterations": 1}), tmp_path / "run"
    )
    assert result.manifest.notes["prompts"]["train"] == 4
    (aside,) = (
        json.loads(line)
        for line in (tmp_path / "run" / "unrewardable_prompts.jsonl").read_text().splitlines()
    )
    assert aside["line"] == 3


def test_a_plain_function_is_a_reward_under_its_own_name(make_ppo_recipe, tmp_path):
    def brevity(candidates):
        return [-float(candidate.tokens) for candidate in candidates]

    def wit(candidates):
        return [candidate.text.count("e") for candidate in candidates]

    recipe = make_ppo_recipe(data={"held_out_fraction": 0.4}, train={"iterations": 1})
    result = train_ppo(recipe, tmp_path / "run", reward=brevity, judge=wit)
    (line,) = lines_of(tmp_path / "run", "rollout")
    assert line["reward"] == pytest.approx(-line["length"])
    assert line["reward/brevity"] == line["reward"]
    notes = result.manifest.notes
    assert (notes["reward"], notes["judge"]) == ("brevity", "wit")
    assert {"proxy", "judge"} <= notes["candidates"][-1]["metrics"].keys()


def test_another_engine_may_sample_and_is_handed_the_policy_before_every_rollout(
    make_ppo_recipe, tmp_path
):
    class Parrot:
        def __init__(self):
            self.followed, self.streams = [], []

        def follow(self, roles):
            weights = {
                name: p for name, p in roles.vlm.model.named_parameters() if "lora_B.policy" in name
            }
            self.followed.append(sum(float(p.detach().abs().sum()) for p in weights.values()))
            self.said = [*roles.vlm.tokenizer("A red car.", add_special_tokens=False)["input_ids"]]
            self.end = roles.vlm.tokenizer.eos_token_id

        def sample(self, prompts, streams):
            self.streams += [tuple(row) for row in streams]
            return [
                Sampled([[*self.said, self.end], self.said[:2]], [True, False]) for _ in prompts
            ]

    engine = Parrot()
    train_ppo(make_ppo_recipe(), tmp_path / "run", reward=Letters(), engine=engine)
    assert len(set(engine.streams)) == len(engine.streams) == 8
    assert engine.followed[0] == 0
    assert engine.followed[-1] > 0
    first = lines_of(tmp_path / "run", "rollout")[0]
    assert first["finished"] == 0.5
    assert first["kl_k2"] == pytest.approx(0, abs=1e-9)


def test_prompts_without_a_picture_are_answered_and_learned_from(make_ppo_recipe, tmp_path):
    file = write_prompts(tmp_path / "prompts", count=4)
    rows = [row.model_copy(update={"image": NO_IMAGE}) for row in read_records(file, Prompt)]
    write_records(file, rows, kind="Prompt")
    recipe = make_ppo_recipe(data={"prompts": str(file)}, train={"iterations": 1})
    train_ppo(recipe, tmp_path / "run", reward=Letters())
    assert len(lines_of(tmp_path / "run", "train")) == 2


def test_a_family_whose_row_keeps_no_features_learns_from_pixels(make_ppo_recipe, tmp_path):
    """Llama 4's image path gives no projected features, though its forward takes encoded images."""
    base = model_zoo.build("llama4", tmp_path / "model")
    recipe = make_ppo_recipe(model={"base": str(base)}, train={"iterations": 1})
    train_ppo(recipe, tmp_path / "run", reward=Letters())
    assert len(lines_of(tmp_path / "run", "train")) == 2
