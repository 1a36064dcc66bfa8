"""Preference training end to end on random miniatures."""

import json
import math

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

from correction_files import write_corrections
from training_runs import final_weights, lines_of, same_weights
from veridical.config import load_recipe
from veridical.errors import ConfigError, DataError, ModelError, StorageError
from veridical.models.features import FeatureCache
from veridical.models.loading import load_model
from veridical.training.preference import train as preference
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.losses import preference_losses
from veridical.training.preference.objectives.dense_dpo import DenseDpo
from veridical.training.preference.objectives.dpo import Dpo
from veridical.training.preference.train import train_dpo
from veridical.training.run import loop
from veridical.training.run.choice import latest


def test_training_learns_and_tells_everything(make_recipe, tmp_path):
    recipe = make_recipe(train={"epochs": 4})
    result = train_dpo(recipe, tmp_path / "run")
    train, held_out = lines_of(tmp_path / "run", "train"), lines_of(tmp_path / "run", "validation")
    assert [line["step"] for line in train] == list(range(1, 9))
    assert held_out[0]["step"] == 0
    assert held_out[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert held_out[0]["accuracy"] == 0.5  # a tie counts half
    assert train[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert train[-1]["loss"] < 0.5 * train[0]["loss"]
    assert train[-1]["accuracy"] == 1
    assert train[-1]["reward_margin"] > 0
    for name in (
        "chosen_logprob",
        "rejected_logprob",
        "grad_norm",
        "learning_rate",
        "seconds",
        "epoch",
    ):
        assert all(math.isfinite(line[name]) for line in train), name
    manifest = result.manifest
    assert json.loads((tmp_path / "run" / "manifest.json").read_text()) == manifest.model_dump(
        mode="json"
    )
    assert manifest.verb == "train dpo"
    assert manifest.peak_memory_bytes > 0
    assert {"reference", "training", "reading", "saving"} <= manifest.seconds.keys()
    assert manifest.notes["sources"] == ["simulated"]
    names = sorted(name.rpartition("/")[2] for name in manifest.inputs)
    assert names == ["corrections.jsonl", "corrections.jsonl (pictures)", "tiny-llava"]
    best = min(held_out[1:], key=lambda line: line["loss"])
    assert manifest.notes["chosen_step"] == best["step"]


def test_full_training_leaves_a_model_that_plain_transformers_loads(
    make_recipe, tiny_llava_path, tmp_path
):
    result = train_dpo(make_recipe(train={"max_steps": 1, "warmup_ratio": 0.0}), tmp_path / "run")
    assert result.weights == tmp_path / "run" / "model"
    model = AutoModelForImageTextToText.from_pretrained(result.weights)
    AutoProcessor.from_pretrained(result.weights)
    base = AutoModelForImageTextToText.from_pretrained(tiny_llava_path)
    changed = {
        name for name, p in model.named_parameters() if not torch.equal(p, base.get_parameter(name))
    }
    assert changed
    assert not any("vision_tower" in name for name in changed)
    assert any("multi_modal_projector" in name for name in changed)
    assert any("language_model" in name for name in changed)
    assert model.config.to_dict().get("use_cache") == base.config.to_dict().get("use_cache")


def test_lora_leaves_an_adapter_that_peft_loads(make_recipe, tiny_llava_path, tmp_path):
    result = train_dpo(
        make_recipe(model={"tuning": "lora"}, train={"max_steps": 2, "warmup_ratio": 0.0}),
        tmp_path / "run",
    )
    assert result.weights == tmp_path / "run" / "adapter"
    base = AutoModelForImageTextToText.from_pretrained(tiny_llava_path)
    model = PeftModel.from_pretrained(base, result.weights)
    assert any(bool(p.any()) for name, p in model.named_parameters() if "lora_B" in name)


def test_an_adapter_can_be_trained_on(make_recipe, tmp_path):
    short = {"max_steps": 2, "warmup_ratio": 0.0}
    first = train_dpo(make_recipe(model={"tuning": "lora"}, train=short), tmp_path / "first")
    again = make_recipe(model={"tuning": "lora", "adapter": str(first.weights)}, train=short)
    second = train_dpo(again, tmp_path / "second")
    assert not same_weights(first, second)
    # The reference is where it starts: base with adapter, not the bare base.
    assert lines_of(tmp_path / "second", "validation")[0]["loss"] == pytest.approx(
        math.log(2), abs=1e-5
    )


def test_the_same_recipe_gives_the_same_weights_and_its_written_form_repeats_it(
    make_recipe, tmp_path, monkeypatch
):
    first = train_dpo(make_recipe(), tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    written = load_recipe(tmp_path / "first" / "recipe.toml", PreferenceRecipe)
    assert same_weights(first, train_dpo(written, tmp_path / "second"))
    other_seed = written.model_copy(update={"train": written.train.model_copy(update={"seed": 1})})
    assert not same_weights(first, train_dpo(other_seed, tmp_path / "third"))


def test_micro_batches_change_nothing_but_rounding(make_recipe, tmp_path):
    """Eight pairs in steps of three: the last step of an epoch has two, which must weigh as two."""
    runs = [
        train_dpo(
            make_recipe(
                train={"batch_size": 3, "micro_batch_size": size, "epochs": 1, "warmup_ratio": 0.0}
            ),
            tmp_path / str(size),
            choose=latest(),
        )
        for size in (1, 3)
    ]
    first, second = map(final_weights, runs)
    losses = [[line["loss"] for line in lines_of(run.run_dir, "train")] for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=2e-4, rtol=1e-3)


def test_cached_features_change_nothing_but_rounding(make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe(train={"max_steps": 3})
    cached = train_dpo(recipe, tmp_path / "cached")
    monkeypatch.setattr(FeatureCache, "unavailable_reason", lambda self: "this test says so")
    live = train_dpo(recipe, tmp_path / "live")
    losses = [[line["loss"] for line in lines_of(run.run_dir, "train")] for run in (cached, live)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_a_shared_cache_spares_the_second_run_the_reference(make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe(train={"max_steps": 1, "cache": str(tmp_path / "cache")})
    first = train_dpo(recipe, tmp_path / "first")
    from veridical.training.preference import references

    monkeypatch.setattr(references, "_score", lambda *_: pytest.fail("scored again"))
    assert same_weights(first, train_dpo(recipe, tmp_path / "second"))


def test_qwen_with_multimodal_positions_trains_too(make_recipe, tiny_qwen2_5_vl_path, tmp_path):
    recipe = make_recipe(model={"base": str(tiny_qwen2_5_vl_path)}, train={"epochs": 4})
    train_dpo(recipe, tmp_path / "run")
    losses = [line["loss"] for line in lines_of(tmp_path / "run", "train")]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)
    assert losses[-1] < 0.7 * losses[0]


def test_gradient_checkpointing_changes_nothing_but_rounding(make_recipe, tmp_path):
    plain = train_dpo(make_recipe(train={"max_steps": 3}), tmp_path / "plain")
    saving = train_dpo(
        make_recipe(train={"max_steps": 3, "gradient_checkpointing": True}), tmp_path / "saving"
    )
    for line, other in zip(
        lines_of(plain.run_dir, "train"), lines_of(saving.run_dir, "train"), strict=True
    ):
        assert line["loss"] == pytest.approx(other["loss"], abs=1e-4)


def measured(values):
    """An `evaluate` that gives (hallucination, coverage) by step."""
    return lambda vlm, step: dict(
        zip(("hallucination_rate", "object_coverage"), values[step], strict=True)
    )


def test_the_checkpoint_is_chosen_on_validation_scenes(make_recipe, tmp_path):
    values = {0: (0.6, 0.99), 2: (0.3, 0.98), 4: (0.1, 0.9), 6: (0.2, 0.975), 8: (0.25, 0.99)}
    recipe = make_recipe(train={"epochs": 4})
    result = train_dpo(recipe, tmp_path / "run", evaluate=measured(values))
    assert result.manifest.notes["chosen_step"] == 6
    assert "object_coverage is at most 0.02 below" in result.manifest.notes["choice_rule"]
    assert result.manifest.notes["base"]["hallucination_rate"] == 0.6
    until_then = train_dpo(
        recipe, tmp_path / "again", evaluate=measured({**values, 8: (0.9, 0.99)})
    )
    assert same_weights(result, until_then)
    last = train_dpo(recipe, tmp_path / "last", evaluate=measured(values), choose=latest())
    assert last.manifest.notes["chosen_step"] == 8
    assert not same_weights(result, last)


def test_a_run_stops_when_nothing_gets_better(make_recipe, tmp_path):
    values = {step: (0.5 if step == 2 else 0.6, 0.99) for step in range(0, 20, 2)}
    recipe = make_recipe(train={"epochs": 8, "early_stop_patience": 2})
    result = train_dpo(recipe, tmp_path / "run", evaluate=measured(values))
    assert [candidate["step"] for candidate in result.manifest.notes["candidates"]] == [2, 4, 6]
    assert result.manifest.notes["chosen_step"] == 2


def test_measuring_does_not_disturb_the_training(make_recipe, tmp_path):
    def noisy(vlm, step):
        torch.rand(3)
        return {"hallucination_rate": 0.5, "object_coverage": 0.9}

    recipe = make_recipe(model={"tuning": "lora", "lora": {"rank": 4, "dropout": 0.2}})
    quiet = train_dpo(recipe, tmp_path / "quiet", choose=latest())
    assert same_weights(
        quiet, train_dpo(recipe, tmp_path / "noisy", evaluate=noisy, choose=latest())
    )


def test_a_run_directory_is_not_overwritten(make_recipe, tmp_path):
    recipe = make_recipe(train={"max_steps": 1})
    first = train_dpo(recipe, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"holds a run already.*--resume"):
        train_dpo(recipe, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"differ in `objective.beta`, `train.seed`"):
        train_dpo(
            make_recipe(train={"max_steps": 1, "seed": 3}, objective={"beta": 3.0}),
            tmp_path / "run",
            resume=True,
        )
    assert train_dpo(recipe, tmp_path / "run", resume=True).manifest == first.manifest


def test_bad_rows_are_reported_all_at_once_or_put_aside(make_recipe, tmp_path):
    path = write_corrections(tmp_path / "data")
    lines = path.read_text().splitlines()
    good = json.loads(lines[3])
    lines[1] = lines[1][:-5]
    lines[3] = json.dumps({**good, "chosen": good["rejected"]})
    lines[5] = json.dumps({**good, "id": "x", "rejected": ""})
    lines[7] = json.dumps({**good, "id": "y", "image": {"path": "images/none.png"}})
    path.write_text("\n".join(lines) + "\n")
    image = tmp_path / "data" / "images" / "5.png"
    image.write_bytes(image.read_bytes()[:200])
    recipe = make_recipe(data={"corrections": str(path)}, train={"max_steps": 1})
    with pytest.raises(DataError) as caught:
        train_dpo(recipe, tmp_path / "run")
    assert {fault.line for fault in caught.value.faults} == {
        2,
        6,
        8,
        12,
        13,
    }  # line 4 was right already
    assert all(fault.file == path for fault in caught.value.faults)
    # Nothing was begun, so mending the file and running the same command is enough.
    result = train_dpo(
        recipe.model_copy(update={"data": recipe.data.model_copy(update={"skip_bad": True})}),
        tmp_path / "run",
    )
    assert result.manifest.notes["pairs"]["pairs"] == 6
    assert len((tmp_path / "run" / "bad_rows.jsonl").read_text().splitlines()) == 5


def test_a_prompt_that_the_model_cannot_read_is_a_fault_of_its_row(make_recipe, tmp_path):
    path = write_corrections(tmp_path / "data")
    lines = path.read_text().splitlines()
    lines[3] = json.dumps({**json.loads(lines[3]), "question": "Why? " * 700, "id": "endless"})
    path.write_text("\n".join(lines) + "\n")
    recipe = make_recipe(data={"corrections": str(path)}, train={"max_steps": 1})
    with pytest.raises(DataError, match=r":4: 'endless': .* reads at most") as caught:
        train_dpo(recipe, tmp_path / "run")
    assert len(caught.value.faults) == 1
    skipping = make_recipe(
        data={"corrections": str(path), "skip_bad": True}, train={"max_steps": 1}
    )
    result = train_dpo(skipping, tmp_path / "run")
    assert result.manifest.notes["pairs"]["pairs"] == 11
    (kept,) = (tmp_path / "run" / "bad_prompts.jsonl").read_text().splitlines()
    assert json.loads(kept)["line"] == 4


def test_a_full_disk_while_saving_is_reported_and_the_run_goes_on_from_before(
    make_recipe, tmp_path, monkeypatch
):
    recipe = make_recipe(train={"epochs": 4})
    whole = train_dpo(recipe, tmp_path / "whole")
    saves = [0]
    inner = torch.save

    def full(value, path, *rest, **more):
        saves[0] += 1
        if saves[0] > 4:
            raise RuntimeError(
                "PytorchStreamWriter failed writing file data/3: no space left on device"
            )
        inner(value, path, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(
            StorageError, match=r"Cannot write the resume point.*no space left.*--resume"
        ):
            train_dpo(recipe, tmp_path / "run")
    assert same_weights(whole, train_dpo(recipe, tmp_path / "run", resume=True))


def test_a_kill_while_the_result_is_written_loses_nothing(make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe()
    whole = train_dpo(recipe, tmp_path / "whole")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preference, "save_weights", die)
        with pytest.raises(KeyboardInterrupt):
            train_dpo(recipe, tmp_path / "run")
    assert same_weights(whole, train_dpo(recipe, tmp_path / "run", resume=True))


def test_a_training_that_runs_away_is_stopped_and_reported(make_recipe, tmp_path):
    recipe = make_recipe(train={"learning_rate": 1e30, "warmup_ratio": 0.0, "epochs": 4})
    with pytest.raises(ModelError, match=r"diverged at step \d+: .*smaller train.learning_rate"):
        train_dpo(recipe, tmp_path / "run")


def test_the_vision_tower_can_be_trained_where_it_is_named(make_recipe, tiny_llava_path, tmp_path):
    recipe = make_recipe(
        model={"trainable": ["vision", "projector", "language_model"]},
        train={"max_steps": 2, "warmup_ratio": 0.0},
    )
    result = train_dpo(recipe, tmp_path / "run")
    base = load_model(tiny_llava_path, device="cpu").model.state_dict()
    trained = load_model(result.weights, device="cpu").model.state_dict()
    assert any(
        not torch.equal(trained[name], base[name]) for name in base if "vision_tower" in name
    )


def test_an_early_stop_is_not_undone_by_a_resume(make_recipe, tmp_path, monkeypatch):
    values = {step: (0.5 if step == 2 else 0.6, 0.99) for step in range(0, 20, 2)}
    recipe = make_recipe(train={"epochs": 8, "early_stop_patience": 2})
    inner = loop.load_trainable

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            loop, "load_trainable", die
        )  # training is over, the best weights were not put back yet
        with pytest.raises(KeyboardInterrupt):
            train_dpo(recipe, tmp_path / "run", evaluate=measured(values))
    assert loop.load_trainable is inner
    result = train_dpo(recipe, tmp_path / "run", evaluate=measured(values), resume=True)
    assert [candidate["step"] for candidate in result.manifest.notes["candidates"]] == [2, 4, 6]


POLICY = torch.tensor([[[-1.0, -0.5, -2.0, -0.7], [-1.0, -1.5, -0.9, 0.0]]])
REFERENCE = torch.tensor([[[-1.1, -0.6, -2.2, -0.7], [-1.0, -1.2, -0.8, 0.0]]])
MASK = torch.tensor([[[True] * 4, [True, True, True, False]]])
CHANGED = torch.tensor([[[False, True, True, False], [False, True, False, False]]])


@pytest.mark.parametrize(
    ("objective", "margin", "loss"),
    [
        (DenseDpo(beta=0.5, segment_weight=5.0, normalize="weighted_mean"), 0.180952, 0.606758),
        (DenseDpo(beta=0.5, segment_weight=5.0, normalize="sum"), 1.6, 0.183901),
        (Dpo(beta=0.1, normalize="sum"), 0.08, 0.653947),
        (Dpo(beta=0.1, normalize="weighted_mean"), 0.023333, 0.681549),
    ],
)
def test_the_recipes_objective_gives_the_values_worked_by_hand(objective, margin, loss):
    losses, others = preference_losses(POLICY, REFERENCE, MASK, CHANGED, objective)
    assert losses.tolist() == pytest.approx([loss], abs=1e-5)
    assert others["reward_margin"].tolist() == pytest.approx([margin], abs=1e-5)
    assert others["chosen_logprob"].tolist() == pytest.approx([-4.2], abs=1e-5)
    assert others["rejected_logprob"].tolist() == pytest.approx([-3.4], abs=1e-5)


def test_the_chosen_responses_likelihood_can_be_added():
    """−mean(chosen) = 4.2 / 4 = 1.05, at weight 0.5."""
    objective = DenseDpo(beta=0.5, normalize="sum", segment_weight=5.0, sft_weight=0.5)
    losses, _ = preference_losses(POLICY, REFERENCE, MASK, CHANGED, objective)
    assert losses.tolist() == pytest.approx([0.183901 + 0.525], abs=1e-5)


def test_the_model_can_be_evaluated_by_whoever_trains(make_recipe, tiny_llava_path, tmp_path):
    """What `evaluate` gets is the policy as it is at that step, in evaluation mode."""
    seen = []

    def look(vlm, step):
        seen.append(
            (step, vlm.model.training, vlm.model.get_output_embeddings().weight.detach().clone())
        )
        return {"hallucination_rate": 0.5, "object_coverage": 0.9}

    train_dpo(make_recipe(), tmp_path / "run", evaluate=look)
    base = load_model(tiny_llava_path, device="cpu").model.get_output_embeddings().weight
    assert [step for step, _, _ in seen] == [0, 2, 4]
    assert not any(training for _, training, _ in seen)
    assert torch.equal(seen[0][2], base)
    assert not torch.equal(seen[1][2], seen[2][2])
