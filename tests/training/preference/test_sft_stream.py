"""DPO with a second stream: conversations that are learnt beside the pairs."""

from collections import Counter

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from conversation_files import talk, write_conversations
from training_runs import lasting_notes, lines_of, same_weights
from veridical.config import resolve_recipe
from veridical.errors import ConfigError
from veridical.records import ImageRef
from veridical.training.conversations.preparing import PreparedRows
from veridical.training.preference import train as preference
from veridical.training.preference.sft_stream import SftStream
from veridical.training.preference.train import train_dpo
from veridical.training.sft.config import SftRecipe
from veridical.training.sft.train import train_sft


@pytest.fixture(scope="session")
def conversations_path(tmp_path_factory):
    return write_conversations(tmp_path_factory.mktemp("conversations"), count=6)


@pytest.fixture
def with_stream(make_recipe, conversations_path):
    """Make a recipe of DPO with conversations beside it."""

    def make(sft=(), **sections):
        stream = {"conversations": str(conversations_path), "validation_fraction": 0.34}
        return make_recipe(sft={**stream, **dict(sft)}, **sections)

    return make


def first_gradients(train):
    """Gradients that the first optimiser step of a training sees, by the order of parameters."""
    seen = []

    def note(optimizer, *_):
        if not seen:
            seen.append([p.grad.clone() for g in optimizer.param_groups for p in g["params"]])

    hook = register_optimizer_step_pre_hook(note)
    try:
        train()
    finally:
        hook.remove()
    return seen[0]


def test_the_gradient_is_the_sum_of_both(with_stream, make_recipe, conversations_path, tmp_path):
    """Of DPO's, and of `weight` times that of the same conversations in `train sft`."""
    one_step = {"max_steps": 1, "max_grad_norm": 1e9, "warmup_ratio": 0.0}
    both = with_stream({"weight": 0.3, "batch_size": 4}, train=one_step)
    sft = resolve_recipe(
        {
            "model": both.model.model_dump(exclude_unset=True),
            "data": {"conversations": str(conversations_path), "validation_fraction": 0.34},
            "train": {"batch_size": 4, "micro_batch_size": 2, **one_step},
        },
        SftRecipe,
    )
    together = first_gradients(lambda: train_dpo(both, tmp_path / "both"))
    pairs = first_gradients(lambda: train_dpo(make_recipe(train=one_step), tmp_path / "pairs"))
    answers = first_gradients(lambda: train_sft(sft, tmp_path / "answers"))
    assert len(together) == len(pairs) == len(answers) > 10
    for whole, one, other in zip(together, pairs, answers, strict=True):
        torch.testing.assert_close(whole, one + 0.3 * other, atol=1e-5, rtol=1e-3)
    (line,) = lines_of(tmp_path / "both", "train")
    assert line["loss"] == pytest.approx(lines_of(tmp_path / "pairs", "train")[0]["loss"])
    assert line["sft_loss"] == pytest.approx(lines_of(tmp_path / "answers", "train")[0]["loss"])


def test_weight_0_is_no_stream(with_stream, make_recipe, tmp_path):
    none = train_dpo(make_recipe(), tmp_path / "none")
    zero = train_dpo(with_stream({"weight": 0.0}), tmp_path / "zero")
    some = train_dpo(with_stream(), tmp_path / "some")
    assert same_weights(none, zero)
    assert lasting_notes(none) == lasting_notes(zero)
    assert not same_weights(none, some)


def test_both_streams_are_measured_and_named(with_stream, conversations_path, tmp_path):
    result = train_dpo(with_stream(train={"epochs": 3}), tmp_path / "run")
    train, held_out = (lines_of(tmp_path / "run", part) for part in ("train", "validation"))
    for lines in (train, held_out):
        assert lines[-1]["sft_loss"] < lines[0]["sft_loss"]
    assert train[-1]["loss"] < train[0]["loss"]
    assert str(conversations_path) in result.manifest.inputs
    notes = result.manifest.notes["sft"]
    assert notes["conversations"] == 6
    assert notes["weight"] == 1.0
    assert notes["sources"] == ["model"]


def test_an_interrupted_run_ends_with_the_same_weights(with_stream, tmp_path, monkeypatch):
    recipe = with_stream(
        {"batch_size": 3},
        model={"tuning": "lora", "lora": {"rank": 4, "dropout": 0.2}},
        train={"batch_size": 2, "micro_batch_size": 1, "evaluation_steps": 3},
    )
    whole = train_dpo(recipe, tmp_path / "whole")
    learn, calls = preference.answer_losses, Counter()

    def stop(*args):
        calls["made"] += 1
        if calls["made"] == 17:  # in the fifth step, with the second of three conversations
            raise KeyboardInterrupt
        return learn(*args)

    monkeypatch.setattr(preference, "answer_losses", stop)
    with pytest.raises(KeyboardInterrupt):
        train_dpo(recipe, tmp_path / "stopped")
    monkeypatch.undo()
    resumed = train_dpo(recipe, tmp_path / "stopped", resume=True)
    assert same_weights(whole, resumed)
    of_both = [
        [(line["step"], line["loss"], line["sft_loss"]) for line in lines_of(run.run_dir, "train")]
        for run in (whole, resumed)
    ]
    assert of_both[0] == of_both[1]


def test_pictures_of_held_out_pairs_are_not_learnt(with_stream, corrections_path, tmp_path):
    """All conversations show pictures of the pairs: those of held-out pairs are only measured."""
    shown = [
        talk(n, id=f"p{n}", image=ImageRef(path=str(corrections_path.parent / f"images/{n}.png")))
        for n in range(6)
    ]
    path = write_conversations(tmp_path / "talks", count=0, rows=shown)
    stream = {
        "conversations": str(path),
        "images_outside": True,
        "validation_fraction": 0.0,
        "batch_size": 1,
    }
    result = train_dpo(with_stream(stream, train={"max_steps": 1}), tmp_path / "run")
    assert result.manifest.notes["sft"]["pictures of held-out pairs"] == 2
    assert "sft_loss" in lines_of(tmp_path / "run", "validation")[0]


def test_each_pass_shows_every_conversation_once():
    rows = [f"row {n}" for n in range(5)]
    stream = SftStream(
        PreparedRows(rows, [], None, []),
        weight=1.0,
        batch_size=3,
        micro_batch_size=2,
        seed=0,
        pad_token_id=0,
    )
    stream._collate = list
    steps = [stream.batches(step) for step in range(5)]
    assert [[len(part) for part in step] for step in steps] == [[2, 1]] * 5
    seen = [row for step in steps for part in step for row in part]
    passes = [seen[start : start + 5] for start in (0, 5, 10)]
    assert all(sorted(one) == rows for one in passes)
    assert len({tuple(one) for one in passes}) > 1
    assert stream.batches(3) == steps[3]


def test_a_stream_without_rows_is_refused(with_stream, tmp_path):
    with pytest.raises(ConfigError, match=r"too few|splits|leaves nothing"):
        train_dpo(with_stream({"validation_fraction": 0.99}), tmp_path / "run")


def test_the_weight_must_be_a_number(with_stream):
    for weight in (-1, float("inf")):
        with pytest.raises(ConfigError, match=r"sft\.weight"):
            with_stream({"weight": weight})
