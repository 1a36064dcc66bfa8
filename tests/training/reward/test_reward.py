"""Reward training end to end on random miniatures."""

import json
import math
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from comparison_files import write_comparisons
from miniatures import picture
from veridical.config import load_recipe, resolve_recipe
from veridical.errors import ConfigError, DataError, ModelError
from veridical.models.loading import load_model
from veridical.records import Comparison, Facts, Prompt, Response, read_records, write_records
from veridical.rewards.leak import CONDITIONS
from veridical.rewards.model import RewardModel
from veridical.rewards.queries import RewardQuery
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.train import train_reward_model


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory):
    return write_comparisons(tmp_path_factory.mktemp("comparisons"), count=12)


@pytest.fixture
def make(tiny_llava_path, comparisons):
    """Make a small recipe; keyword arguments are overrides by section."""

    def make(**sections):
        data = {
            "model": {"base": str(tiny_llava_path), "device": "cpu", "lora": {"rank": 4}},
            "data": {"comparisons": str(comparisons), "validation_fraction": 0.34},
            "template": {"name": "world"},
            "train": {
                "learning_rate": 3e-3,
                "batch_size": 4,
                "micro_batch_size": 2,
                "epochs": 2,
                "max_grad_norm": 1.0,
            },
        }
        for name, values in sections.items():
            data[name] = {**data.get(name, {}), **values}
        return resolve_recipe(data, RewardRecipe)

    return make


def lines_of(run_dir, part):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["part"] == part]


def weights_of(result):
    files = [result.weights / "head.safetensors", *result.weights.glob("*/*.safetensors")]
    return {
        f"{file.name}/{name}": tensor for file in files for name, tensor in load_file(file).items()
    }


def same_weights(first, second):
    a, b = weights_of(first), weights_of(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("base", ["tiny_llava_path", "tiny_qwen2_5_vl_path"])
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_it_learns_and_what_it_leaves_scores_the_same(request, make, tmp_path, base, tuning):
    base = request.getfixturevalue(base)
    recipe = make(model={"base": str(base), "tuning": tuning}, train={"epochs": 6})
    result = train_reward_model(recipe, tmp_path / "run")
    train, held_out = (lines_of(tmp_path / "run", part) for part in ("train", "validation"))
    assert held_out[0]["step"] == 0
    assert held_out[-1]["preference_loss"] < 0.8 * held_out[0]["preference_loss"]
    for line in train:
        assert all(
            math.isfinite(line[name])
            for name in ("loss", "preference_loss", "accuracy", "margin", "reward")
        )
    best = min(held_out[1:], key=lambda line: line["loss"])
    assert result.manifest.notes["chosen_step"] == best["step"]
    assert result.manifest.verb == "train reward"
    assert result.manifest.notes["sources"] == ["simulated"]

    rows = [
        json.loads(line) for line in (tmp_path / "run" / "held_out.jsonl").read_text().splitlines()
    ]
    assert 0 < len(rows) < 12
    assert set(rows[0]["rewards"]) == {
        "intact",
        "swapped_facts",
        "no_facts",
        "swapped_image",
        "swapped_both",
    }
    model = RewardModel.load(result.weights, device="cpu")
    assert (result.weights / "adapter" / "adapter_config.json").is_file() == (tuning == "lora")
    folder = Path(recipe.data.comparisons)
    prompts = {p.id: p for p in read_records(folder / "prompts.jsonl", Prompt)}
    responses = {r.id: r for r in read_records(folder / "responses.jsonl", Response)}
    facts = {f.image_id: f for f in read_records(folder / "facts.jsonl", Facts)}
    for judged in read_records(folder / "comparisons.jsonl", Comparison):
        row = next((row for row in rows if row["id"] == judged.id), None)
        if row is not None:
            number = int(judged.id[1:])
            said = tuple(responses[i].text for i in judged.response_ids)
            query = RewardQuery(
                prompts[judged.prompt_id].question,
                picture(number),
                said,
                (facts[f"scene{number}"],),
            )
            torch.testing.assert_close(
                model.score([query])[0],
                torch.tensor(row["rewards"]["intact"]),
                atol=1e-4,
                rtol=1e-4,
            )


def test_an_adapter_is_loaded_by_plain_peft_and_the_base_carries_no_head(
    make, tiny_llava_path, tmp_path
):
    result = train_reward_model(make(train={"max_steps": 2}), tmp_path / "run")
    base = AutoModelForImageTextToText.from_pretrained(tiny_llava_path)
    model = PeftModel.from_pretrained(base, result.weights / "adapter")
    assert any(bool(p.any()) for name, p in model.named_parameters() if "lora_B" in name)
    full = train_reward_model(
        make(model={"tuning": "full"}, train={"max_steps": 2}), tmp_path / "full"
    )
    (file,) = (full.weights / "model").glob("*.safetensors")
    assert not any("reward_head" in name for name in load_file(file))
    policy = load_model(tiny_llava_path, device="cpu")
    assert RewardModel.attach(policy, result.weights).score(
        [RewardQuery("Hm?", picture(0), ("Yes.",))]
    )
    with pytest.raises(ModelError, match="trained on weights other"):
        RewardModel.attach(load_model(full.weights / "model", device="cpu"), result.weights)


def test_the_same_recipe_gives_the_same_weights_and_its_written_form_repeats_it(
    make, tmp_path, monkeypatch
):
    first = train_reward_model(make(), tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    written = load_recipe(tmp_path / "first" / "recipe.toml", RewardRecipe)
    assert same_weights(first, train_reward_model(written, tmp_path / "second"))
    with pytest.raises(ConfigError, match="holds a run already"):
        train_reward_model(written, tmp_path / "first")
    assert train_reward_model(written, tmp_path / "first", resume=True).manifest == first.manifest
    other = written.model_copy(update={"train": written.train.model_copy(update={"seed": 1})})
    assert not same_weights(first, train_reward_model(other, tmp_path / "third"))


@pytest.mark.parametrize("centring", ["squares"])
def test_micro_batches_and_kept_features_change_nothing_but_rounding(make, tmp_path, centring):
    """Eight comparisons in steps of three: the last step has two, which must weigh as two."""
    runs = [
        train_reward_model(
            make(
                data={"validation_fraction": 0.0},
                objective={"centring": centring, "centring_weight": 0.1},
                train={
                    "batch_size": 3,
                    "micro_batch_size": size,
                    "epochs": 1,
                    "by_length": False,
                    "cache": cache,
                },
            ),
            tmp_path / f"{size}{bool(cache)}",
        )
        for size, cache in ((1, ""), (3, ""), (3, str(tmp_path / "cache")))
    ]
    losses = [[line["loss"] for line in lines_of(run.run_dir, "train")] for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert losses[1] == losses[2]
    assert list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("sections", "conditions"),
    [
        ({"template": {"name": "world", "facts_position": "none"}}, {"intact", "swapped_image"}),
        ({"template": {"name": "llava-rlhf"}}, None),
        ({"template": {"name": "veridical"}, "objective": {"pooling": "sum"}}, None),
        ({"template": {"name": "world-quote"}, "facts": {"drop": 0.5, "swap": 0.5}}, None),
        ({"facts": {"source": "own_caption", "kinds": ["caption"], "caption_tokens": 8}}, None),
        (
            {
                "objective": {"hallucination_weight": 2.0, "centring": "batch_mean"},
                "data": {"ties": "drop"},
            },
            None,
        ),
    ],
    ids=["no-facts", "after", "sum", "quote", "own-captions", "weights"],
)
def test_every_choice_trains(make, tmp_path, sections, conditions):
    result = train_reward_model(make(**{"train": {"max_steps": 2}, **sections}), tmp_path / "run")
    row = json.loads((tmp_path / "run" / "held_out.jsonl").read_text().splitlines()[0])
    assert set(row["rewards"]) == (conditions or set(CONDITIONS))
    assert RewardModel.load(result.weights, device="cpu").template.name == (
        sections.get("template") or {}
    ).get("name", "world")


def test_a_folder_of_its_own_may_be_held_out(make, tmp_path):
    other = write_comparisons(tmp_path / "other", count=5)
    result = train_reward_model(
        make(data={"validation": str(other)}, train={"max_steps": 1}), tmp_path / "run"
    )
    assert len((tmp_path / "run" / "held_out.jsonl").read_text().splitlines()) == 5
    assert result.manifest.notes["comparisons"]["learnt"] == 12
    folders = [str(Path(name).parent) for name in result.manifest.inputs]
    assert folders.count(str(other)) == 5  # comparisons, prompts, their pictures, responses, facts
    assert len(folders) == 2 * 5 + 1


def rewrite_facts(folder, keep):
    facts = read_records(folder / "facts.jsonl", Facts)
    write_records(folder / "facts.jsonl", [item for item in facts if keep(item)], kind="Facts")


@pytest.mark.parametrize("missing", ["error", "exclude", "without"])
def test_missing_facts_are_an_error_or_counted(make, tmp_path, missing, capsys):
    folder = write_comparisons(tmp_path / "data", count=6)
    rewrite_facts(folder, lambda item: item.image_id not in ("scene1", "scene4"))
    recipe = make(
        data={"comparisons": str(folder)}, facts={"missing": missing}, train={"max_steps": 1}
    )
    if missing == "error":
        with pytest.raises(DataError, match="no facts for prompt 'p1'"):
            train_reward_model(recipe, tmp_path / "run")
        return
    result = train_reward_model(recipe, tmp_path / "run")
    counts = result.manifest.notes["comparisons"]["train"]
    assert counts["without_facts"] == 2
    assert counts.get("excluded", 0) == (2 if missing == "exclude" else 0)
    assert "2 of 6 comparisons without facts" in capsys.readouterr().err


def test_facts_that_the_template_would_not_show_are_none(make, tmp_path):
    """All are captions: a template with rationales only would leave its reward model without."""
    template = {"name": "world", "facts": {"headings": {"rationale": "Because: "}}}
    with pytest.raises(DataError, match=r"no facts of the kinds rationale for 12 comparisons"):
        train_reward_model(make(template=template), tmp_path / "run")


def test_comparisons_that_do_not_fit_are_refused_by_line_or_put_aside(make, tmp_path):
    folder = write_comparisons(tmp_path / "data", count=6)
    text = (
        (folder / "responses.jsonl")
        .read_text()
        .replace("Two dogs near the tree.", "Two </s> dogs.", 1)
    )
    (folder / "responses.jsonl").write_text(
        text.replace("A man rides a red bicycle.", "A man rides. " * 200, 1)
    )
    settings = {"comparisons": str(folder), "validation_fraction": 0.0}
    with pytest.raises(DataError) as caught:
        train_reward_model(make(data=settings), tmp_path / "run")
    assert {fault.line for fault in caught.value.faults} == {3, 4}
    assert "end token" in str(caught.value)
    assert "tokens with its longest response" in str(caught.value)
    result = train_reward_model(
        make(data={**settings, "skip_bad": True}, train={"max_steps": 1}), tmp_path / "run"
    )
    assert result.manifest.notes["comparisons"]["learnt"] == 4
    assert len((tmp_path / "run" / "bad_texts_train.jsonl").read_text().splitlines()) == 2


def test_a_loss_that_is_not_a_number_stops_the_run_and_says_so(make, tmp_path):
    with pytest.raises(ModelError, match="diverged at step"):
        train_reward_model(make(train={"learning_rate": 1e30, "epochs": 9}), tmp_path / "run")
