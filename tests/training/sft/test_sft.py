"""Fine-tuning on conversations, end to end on miniatures, and its loss against transformers'."""

import json
import math
from functools import partial

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText

from conversation_files import TALKS, talk, write_conversations
from miniatures import picture
from training_runs import final_weights, lines_of, same_weights
from veridical.config import load_recipe, resolve_recipe
from veridical.errors import ConfigError, DataError
from veridical.models.features import FeatureCache
from veridical.models.loading import load_model
from veridical.models.prompts.rendering import render_turns
from veridical.records import ImageRef, Turn
from veridical.training.conversations.data import (
    collate_conversations,
    encode_conversations,
    learnt_tokens,
    split_conversations,
)
from veridical.training.run.choice import latest
from veridical.training.run.loop import Course
from veridical.training.run.loss_trainer import LengthOrder, Rows
from veridical.training.sft.config import SftRecipe
from veridical.training.sft.train import SftTrainer, train_sft


@pytest.fixture(scope="session")
def conversations_path(tmp_path_factory):
    return write_conversations(tmp_path_factory.mktemp("conversations"))


@pytest.fixture
def make_recipe(tiny_llava_path, conversations_path):
    """Make a small recipe; keyword arguments are overrides by section."""

    def make(**sections):
        data = {
            "model": {
                "base": str(tiny_llava_path),
                "tuning": "full",
                "device": "cpu",
                "lora": {"rank": 4},
            },
            "data": {"conversations": str(conversations_path), "validation_fraction": 0.34},
            "train": {"learning_rate": 1e-3, "batch_size": 4, "micro_batch_size": 2, "epochs": 2},
        }
        for name, values in sections.items():
            data[name] = {**data.get(name, {}), **values}
        return resolve_recipe(data, SftRecipe)

    return make


def rendered_with_ends(vlm, texts):
    """The conversation as the template renders it, with every answer ended."""
    text = render_turns(vlm, texts, generate=False)
    if vlm.model.config.model_type == "llava":
        for answer in texts[1::2]:
            text = text.replace(f"ASSISTANT: {answer} ", f"ASSISTANT: {answer}</s> ")
    return text


def labels_of(vlm, texts, image):
    """What plain transformers trains on: the processor's ids; labels -100 outside answers."""
    text = rendered_with_ends(vlm, texts)
    inputs = vlm.processor(text=[text], images=[[image]], return_tensors="pt")
    labels = torch.full_like(inputs["input_ids"], -100)
    ids, end = inputs["input_ids"][0].tolist(), vlm.tokenizer.eos_token_id
    head = {"llava": "ASSISTANT:", "qwen2_5_vl": "<|im_start|>assistant\n"}[
        vlm.model.config.model_type
    ]
    start = vlm.tokenizer(f" {head}" if head[0] == "A" else head, add_special_tokens=False)[
        "input_ids"
    ]
    place = 0
    while place < len(ids):
        if ids[place : place + len(start)] != start:
            place += 1
            continue
        place += len(start)
        while True:
            labels[0, place] = ids[place]
            place += 1
            if ids[place - 1] == end:
                break
    return inputs, labels


def trainer_of(vlm, prepared, recipe, features, run_dir):
    """A trainer over these rows, of which none is held out."""
    collate = partial(collate_conversations, pad_token_id=vlm.tokenizer.pad_token_id)
    course = Course(recipe.train, run_dir, latest())
    return SftTrainer(
        vlm, Rows(prepared, [], collate, lambda row: row.length), course, features=features
    )


@pytest.mark.parametrize("base", ["tiny_llava_path", "tiny_qwen2_5_vl_path"])
@pytest.mark.parametrize("texts", TALKS, ids=["one turn", "two", "one long", "three"])
def test_loss_is_that_of_transformers_with_labels_elsewhere_ignored(
    base, texts, request, make_recipe, tmp_path
):
    path = request.getfixturevalue(base)
    vlm = load_model(path, device="cpu")
    image = picture(3)
    image.save(tmp_path / "3.png")
    row = talk(TALKS.index(texts), image=ImageRef(path=str(tmp_path / "3.png")))
    features = FeatureCache(None, vlm)
    prepared, statistics = encode_conversations(vlm, [row], max_tokens=300, features=features)
    recipe = make_recipe(model={"base": str(path)})
    trainer = trainer_of(vlm, prepared, recipe, features, tmp_path / "run")
    batch = collate_conversations(prepared, pad_token_id=vlm.tokenizer.pad_token_id)
    with torch.no_grad():
        losses, _ = trainer.batch_loss(batch)
    inputs, labels = labels_of(vlm, texts, image)
    with torch.no_grad():
        expected = vlm.model(**inputs, labels=labels).loss
    assert statistics.learnt_tokens == learnt_tokens(batch) == int((labels != -100).sum())
    assert float(losses.sum() / learnt_tokens(batch)) == pytest.approx(float(expected), abs=2e-5)


@pytest.mark.parametrize("base", ["tiny_llava_path", "tiny_qwen2_5_vl_path"])
def test_padding_company_and_missing_images_change_nothing(
    base, request, make_recipe, conversations_path, tmp_path
):
    """Each conversation's loss in a mixed batch, one of it about no image, is its loss alone."""
    path = request.getfixturevalue(base)
    vlm = load_model(path, device="cpu")
    folder = conversations_path.parent
    rows = [talk(n, image=ImageRef(path=str(folder / f"images/{n}.png"))) for n in range(3)]
    rows.insert(1, talk(3, image=None))
    features = FeatureCache(None, vlm)
    prepared, statistics = encode_conversations(vlm, rows, max_tokens=300, features=features)
    assert statistics.without_image == 1
    recipe = make_recipe(model={"base": str(path)})
    trainer = trainer_of(vlm, prepared, recipe, features, tmp_path / "run")
    pad = vlm.tokenizer.pad_token_id
    trainer.model.requires_grad_(requires_grad=False)
    together, _ = trainer.batch_loss(collate_conversations(prepared, pad_token_id=pad))
    for row, loss in zip(prepared, together, strict=True):
        alone, _ = trainer.batch_loss(collate_conversations([row], pad_token_id=pad))
        assert float(alone[0]) == pytest.approx(float(loss), rel=1e-5)


def test_training_learns_and_tells_everything(make_recipe, tmp_path):
    result = train_sft(make_recipe(train={"epochs": 6}), tmp_path / "run")
    train, held_out = lines_of(tmp_path / "run", "train"), lines_of(tmp_path / "run", "validation")
    assert train[-1]["loss"] < 0.8 * train[0]["loss"]
    assert held_out[-1]["loss"] < held_out[0]["loss"]
    for name in ("loss", "grad_norm", "learning_rate", "seconds", "epoch"):
        assert all(math.isfinite(line[name]) for line in train), name
    manifest = result.manifest
    assert manifest.verb == "train sft"
    assert manifest.notes["conversations"]["conversations"] == 12
    assert manifest.notes["conversations"]["answers"] == 3 * (1 + 2 + 1 + 3)
    assert manifest.notes["choice_rule"] == "least loss on held-out conversations"
    assert manifest.notes["sources"] == ["model"]
    assert manifest.notes["chosen_step"] == min(held_out[1:], key=lambda line: line["loss"])["step"]
    model = AutoModelForImageTextToText.from_pretrained(result.weights)
    base = AutoModelForImageTextToText.from_pretrained(result.base)
    changed = {
        name for name, p in model.named_parameters() if not torch.equal(p, base.get_parameter(name))
    }
    assert changed
    assert not any("vision_tower" in name for name in changed)


def test_the_first_logged_loss_is_a_mean_over_tokens_not_over_conversations(make_recipe, tmp_path):
    recipe = make_recipe(
        data={"validation_fraction": 0.0},
        train={"batch_size": 12, "micro_batch_size": 4, "max_steps": 1},
    )
    train_sft(recipe, tmp_path / "run")
    vlm = load_model(recipe.model.base, device="cpu")
    total = count = 0
    for number in range(12):
        inputs, labels = labels_of(vlm, TALKS[number % 4], picture(number // 2))
        with torch.no_grad():
            loss = vlm.model(**inputs, labels=labels).loss
        total, count = (
            total + float(loss) * int((labels != -100).sum()),
            count + int((labels != -100).sum()),
        )
    (line,) = lines_of(tmp_path / "run", "train")
    assert line["loss"] == pytest.approx(total / count, abs=1e-4)


@pytest.mark.parametrize("other", [{"micro_batch_size": 6}, {"micro_batch_tokens": 60}])
def test_micro_batches_change_nothing_but_rounding(make_recipe, tmp_path, other):
    runs = [
        train_sft(
            make_recipe(
                data={"validation_fraction": 0.0},
                train={
                    "batch_size": 12,
                    "micro_batch_size": 2,
                    "epochs": 2,
                    "warmup_ratio": 0.0,
                    **settings,
                },
            ),
            tmp_path / f"run-{number}",
        )
        for number, settings in enumerate(({}, other))
    ]
    losses = [[line["loss"] for line in lines_of(run.run_dir, "train")] for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    first, second = map(final_weights, runs)
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("base", ["tiny_llava_path", "tiny_qwen2_5_vl_path"])
def test_lora_leaves_an_adapter_that_peft_loads(base, request, make_recipe, tmp_path):
    path = request.getfixturevalue(base)
    recipe = make_recipe(
        model={"base": str(path), "tuning": "lora"},
        train={"max_steps": 2, "warmup_ratio": 0.0, "by_length": False},
    )
    result = train_sft(recipe, tmp_path / "run")
    assert result.weights == tmp_path / "run" / "adapter"
    model = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(path), result.weights
    )
    assert any(bool(p.any()) for name, p in model.named_parameters() if "lora_B" in name)


def test_a_killed_run_resumes_to_the_same_weights(make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe(train={"save_steps": 1, "epochs": 3})
    whole = train_sft(recipe, tmp_path / "whole")
    inner = SftTrainer.batch_loss
    for killed_at in (3, 7, 11):
        calls = [0]

        def dying(self, batch, calls=calls, killed_at=killed_at):
            if self.vlm.model.training:
                calls[0] += 1
                if calls[0] == killed_at:
                    raise KeyboardInterrupt
            return inner(self, batch)

        run_dir = tmp_path / str(killed_at)
        with monkeypatch.context() as patch:
            patch.setattr(SftTrainer, "batch_loss", dying)
            with pytest.raises(KeyboardInterrupt):
                train_sft(recipe, run_dir)
        assert same_weights(whole, train_sft(recipe, run_dir, resume=True))


def test_the_written_recipe_repeats_the_run_and_the_directory_is_not_overwritten(
    make_recipe, tmp_path
):
    recipe = make_recipe(train={"max_steps": 2})
    first = train_sft(recipe, tmp_path / "first")
    written = load_recipe(tmp_path / "first" / "recipe.toml", SftRecipe)
    assert same_weights(first, train_sft(written, tmp_path / "second"))
    with pytest.raises(ConfigError, match="holds a run already"):
        train_sft(recipe, tmp_path / "first")
    assert train_sft(recipe, tmp_path / "first", resume=True).manifest == first.manifest


def test_scenes_choose_the_checkpoint_where_they_are_measured(make_recipe, tmp_path):
    values = {0: (0.6, 0.99), 2: (0.3, 0.98), 4: (0.1, 0.9)}

    def evaluate(vlm, step):
        return dict(zip(("hallucination_rate", "object_coverage"), values[step], strict=True))

    result = train_sft(make_recipe(), tmp_path / "run", evaluate=evaluate)
    assert result.manifest.notes["chosen_step"] == 2


def test_bad_rows_are_reported_all_at_once_or_put_aside(make_recipe, tmp_path, tiny_llava_path):
    path = write_conversations(tmp_path / "data", count=6)
    lines = path.read_text().splitlines()
    good = json.loads(lines[1])
    lines[1] = lines[1][:-5]
    lines[2] = json.dumps({**good, "id": "a", "turns": good["turns"][::-1]})
    lines[3] = json.dumps(
        {**good, "id": "b", "turns": [good["turns"][0], {"role": "assistant", "text": " "}]}
    )
    lines[4] = json.dumps({**good, "id": "c", "image": {"path": "images/none.png"}})
    lines += [
        json.dumps({**good, "id": f"e{n}", "image": {"path": "images/2.png"}}) for n in range(2)
    ]
    path.write_text("\n".join(lines) + "\n")
    recipe = make_recipe(
        data={"conversations": str(path), "validation_fraction": 0.0}, train={"max_steps": 1}
    )
    with pytest.raises(DataError) as caught:
        train_sft(recipe, tmp_path / "run")
    assert [fault.line for fault in caught.value.faults] == [2, 3, 4, 5]
    assert "turns must alternate" in str(caught.value)
    assert "turn 2 (assistant) is empty" in str(caught.value)
    skipping = make_recipe(
        data={"conversations": str(path), "validation_fraction": 0.0, "skip_bad": True},
        train={"max_steps": 1},
    )
    result = train_sft(skipping, tmp_path / "run")
    assert result.manifest.notes["conversations"]["conversations"] == 4
    assert len((tmp_path / "run" / "bad_rows.jsonl").read_text().splitlines()) == 4


def test_texts_with_the_models_own_tokens_are_reported_with_their_line(make_recipe, tmp_path):
    said = (Turn(role="user", text="What?"), Turn(role="assistant", text="A <image> cat."))
    evil = talk(0, id="evil").model_copy(update={"turns": said})
    path = write_conversations(tmp_path / "data", count=4, rows=[evil])
    with pytest.raises(DataError, match=r"conversations.jsonl:6: .*<image>"):
        train_sft(make_recipe(data={"conversations": str(path)}), tmp_path / "run")


def test_no_image_is_on_both_sides():
    rows = [talk(n) for n in range(20)] + [talk(0, id=f"x{n}", image=None) for n in range(10)]
    train, validation = split_conversations(rows, validation_fraction=0.3, seed=0)
    assert len(train) + len(validation) == 30
    images = [{row.image.path for row in part if row.image} for part in (train, validation)]
    assert not images[0] & images[1]
    assert {row.id for row in train}.isdisjoint(row.id for row in validation)


def test_questions_that_the_model_cannot_read_are_faults_of_their_rows(make_recipe, tmp_path):
    """With an image and without one, and beside a question that just leaves no room."""
    turns = (Turn(role="user", text="Why? " * 700), Turn(role="assistant", text="So."))
    rows = [talk(0, id="seen", turns=turns), talk(1, id="text only", turns=turns, image=None)]
    path = write_conversations(tmp_path / "data", count=4, rows=rows)
    data = {"conversations": str(path), "validation_fraction": 0.0}
    with pytest.raises(DataError) as told:
        train_sft(make_recipe(data=data, train={"max_steps": 1}), tmp_path / "run")
    assert [fault.line for fault in told.value.faults] == [6, 7]
    assert "'text only': " in told.value.faults[1].message
    skipping = make_recipe(data={**data, "skip_bad": True}, train={"max_steps": 1})
    result = train_sft(skipping, tmp_path / "run")
    assert result.manifest.notes["conversations"]["conversations"] == 4
    assert len((tmp_path / "run" / "bad_prompts.jsonl").read_text().splitlines()) == 2


def test_too_few_images_for_a_split_show_before_the_model_is_loaded(make_recipe, tmp_path):
    path = write_conversations(tmp_path / "data", count=2)
    recipe = make_recipe(
        model={"base": str(tmp_path / "no such model")},
        data={"conversations": str(path), "validation_fraction": 0.01},
    )
    with pytest.raises(ConfigError, match=r"`data.validation_fraction` = 0.01 splits"):
        train_sft(recipe, tmp_path / "run")


def test_long_conversations_are_cut_to_the_models_window_and_counted(make_recipe, tmp_path):
    long = " ".join(["There is a red car on the left."] * 60)
    turns = (Turn(role="user", text="Describe."), Turn(role="assistant", text=long))
    path = write_conversations(tmp_path / "data", count=2, rows=[talk(0, id="long", turns=turns)])
    vlm_recipe = make_recipe(
        data={"conversations": str(path), "validation_fraction": 0.0, "max_tokens": 5000},
        train={"max_steps": 1},
    )
    result = train_sft(vlm_recipe, tmp_path / "run")
    assert result.manifest.notes["conversations"]["truncated"] == 1


LENGTHS = [(n * 37) % 101 for n in range(403)]


class TestLengthOrder:
    def test_every_row_comes_once(self):
        order = LengthOrder(LENGTHS, batch_size=8, seed=0)
        assert sorted(order) == list(range(403))
        assert len(order) == 403

    def test_batches_hold_like_lengths_and_come_in_no_order(self):
        order = list(LengthOrder(LENGTHS, batch_size=8, seed=0))
        batches = [[LENGTHS[row] for row in order[start : start + 8]] for start in range(0, 400, 8)]
        assert sum(max(batch) - min(batch) for batch in batches) / len(batches) < 5
        means = [sum(batch) / 8 for batch in batches]
        assert means not in (sorted(means), sorted(means, reverse=True))

    def test_the_order_depends_on_seed_and_epoch_alone(self):
        order, again = (LengthOrder(LENGTHS, batch_size=8, seed=0) for _ in range(2))
        list(order)
        assert list(order) == list(again)
        again.set_epoch(1)
        assert list(order) != list(again)
        assert list(order) != list(LengthOrder(LENGTHS, batch_size=8, seed=1))
