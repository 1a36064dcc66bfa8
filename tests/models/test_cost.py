"""The model of cost: counted by hand where it counts, near to what was measured."""

import pytest

from miniatures import tiny_llava
from veridical.models.cost.cards import H100, H200, decoding_seconds, seconds, summing_seconds
from veridical.models.cost.measured import measurements
from veridical.models.cost.plans import PAIR, pairwise_training, ppo_training
from veridical.models.cost.work import LLAVA_7B, decoding_bytes, learning, reading, shape_of
from veridical.models.loading import load_model
from veridical.models.lora import LoraRecipe, add_lora


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_model(tiny_llava(tmp_path_factory.mktemp("tiny")), device="cpu")


def test_a_shape_counts_the_weights_that_a_model_has(tiny):
    shape = shape_of(tiny.model.config.get_text_config().to_dict())
    layers = tiny.model.model.language_model.layers
    assert shape.weights == sum(p.numel() for p in layers.parameters() if p.dim() == 2)
    assert shape.width * shape.vocabulary == tiny.model.lm_head.weight.numel()


def test_a_shape_counts_the_weights_of_an_adapter(tiny):
    shape = shape_of(tiny.model.config.get_text_config().to_dict())
    adapted = add_lora(tiny, LoraRecipe(rank=4))
    learning_weights = [p for p in adapted.model.parameters() if p.requires_grad]
    assert shape.adapter(4) == sum(p.numel() for p in learning_weights)


def test_llava_has_the_weights_that_its_paper_counts():
    assert LLAVA_7B.weights == 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    assert LLAVA_7B.adapter(64) == pytest.approx(160e6, rel=0.01)
    assert LLAVA_7B.cache_bytes == 2 * 32 * 4096 * 2


def test_the_kept_step_takes_the_operations_that_were_counted_on_the_card():
    """benchmarks/gpu counts 82.9 · 10¹² for 3,200 tokens, the adapter's products left out."""
    tokens, scored = 3200, 4 * 198
    work = learning(LLAVA_7B, tokens, scored=scored, rank=0)
    assert work.operations == pytest.approx(82.9e12 + 4 * scored * 4096 * 32064, rel=0.01)


@pytest.mark.parametrize("one", measurements(), ids=lambda one: f"{one.what}, {one.card.name}")
def test_measured_steps_are_predicted_within_a_fifth(one):
    assert abs(one.error) < 0.2


def test_more_is_predicted_than_what_calibrates():
    assert sum(not one.calibrates for one in measurements()) >= 3


def test_costs_grow_with_what_is_done():
    less = learning(LLAVA_7B, 100, scored=10, rank=8, how="compiled")
    assert learning(LLAVA_7B, 100, scored=10, rank=8).bytes > less.bytes
    again = learning(LLAVA_7B, 100, scored=10, rank=8, how="compiled", checkpointing=True)
    assert seconds(again, H100) > seconds(less, H100) > seconds(reading(LLAVA_7B, 100), H100)
    assert seconds(less, H100) > seconds(less, H200)
    few, many = (decoding_seconds(LLAVA_7B, H200, rows=n, context=600) for n in (1, 64))
    assert few < many < 64 * few
    assert decoding_bytes(LLAVA_7B, rows=0, context=0) == pytest.approx(13.2e9, rel=0.01)
    assert summing_seconds(LLAVA_7B, H100, rank=64, gpus=1) == 0


def test_gpus_help_as_long_as_a_step_has_rows_for_them():
    costs = [
        pairwise_training(1401, H100, gpus=gpus, epochs=7, row=PAIR, reference=True)
        for gpus in (1, 8, 32, 64)
    ]
    hours = [cost.hours for cost in costs]
    assert hours == sorted(hours, reverse=True) or hours[2] == pytest.approx(hours[3], rel=0.01)
    assert [cost.used for cost in costs] == [1, 8, 32, 32]
    assert costs[3].dollars > costs[2].dollars
    one, eight = (ppo_training(72_000, H100, gpus=gpus) for gpus in (1, 8))
    assert 6 < one.hours / eight.hours <= 8
