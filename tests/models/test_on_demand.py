"""Pixels stay in memory up to a bound; those of further prompts are read again when needed."""

import pickle

import torch

from miniatures import picture
from veridical.models.architectures.table import ARCHITECTURES
from veridical.models.features import FeatureCache
from veridical.models.prompts.encoding import encode_separately, release_pixels, stack_prompts
from veridical.models.prompts.on_demand import PromptOnDemand, large_bytes, prompt_hashes
from veridical.models.prompts.rendering import render_turns


def encode(vlm, size):
    text = render_turns(vlm, ["What is it?"])
    return encode_separately(vlm, [text], [picture(0, size=size)])[0]


def prompts_of(vlm, count):
    """Prompts with their number of reads."""
    prompts = [encode(vlm, (400, 400)) for _ in range(count)]
    for prompt in prompts:  # as large as a hub model's
        prompt["pixel_values"] = prompt["pixel_values"].repeat(1, 2048)
    reads = [0] * count

    def reader(number):
        def read():
            reads[number] += 1
            return prompts[number]

        return read

    return prompts, [reader(number) for number in range(count)], reads


def test_pixels_beyond_the_bound_are_read_again_and_are_the_same(qwen, monkeypatch):
    prompts, read, reads = prompts_of(qwen, 3)
    monkeypatch.delitem(ARCHITECTURES, "qwen2_5_vl")  # whose features cannot be kept then
    cache = FeatureCache(None, qwen)
    cache._pixel_bytes = 2 * large_bytes(prompts[0])
    released = release_pixels(prompts, cache, read=read)
    assert reads == [0, 0, 0]
    stacked = stack_prompts([one.prompt for one in released], pad_token_id=0)
    assert reads == [0, 0, 1]
    for key, value in stack_prompts(prompts, pad_token_id=0).items():
        assert torch.equal(stacked[key], value)


def test_a_prompt_on_demand_answers_like_the_prompt(qwen):
    (prompt,), (read,), reads = prompts_of(qwen, 1)
    lazy = PromptOnDemand(prompt, read)
    assert list(lazy) == list(prompt)
    assert torch.equal(lazy["input_ids"], prompt["input_ids"])
    assert reads == [0]
    assert torch.equal(lazy["pixel_values"], prompt["pixel_values"])
    assert reads == [1]
    assert prompt_hashes(lazy) == prompt_hashes(prompt)
    assert reads == [1]


def test_runs_of_placeholders_take_little_memory(qwen):
    prompt = encode(qwen, (40, 40))
    image = qwen.placeholder_token_ids[0]
    ids = torch.cat([prompt["input_ids"], torch.full((1, 7000), image)], -1)
    whole = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    lazy = PromptOnDemand(whole)
    assert all(torch.equal(lazy[key], value) for key, value in whole.items())
    assert {key: value.dtype for key, value in lazy.items()} == dict.fromkeys(whole, torch.int64)
    assert len(pickle.dumps(lazy)) < 4096 < ids.nbytes


def test_without_a_reader_or_cache_pixels_stay(qwen, monkeypatch):
    prompts, read, reads = prompts_of(qwen, 2)
    monkeypatch.delitem(ARCHITECTURES, "qwen2_5_vl")
    cache = FeatureCache(None, qwen)
    cache._pixel_bytes = 0
    for released in (
        release_pixels(prompts, None, read=read),
        release_pixels(prompts, cache),
        release_pixels(prompts, cache, read=read, on_demand=False),
    ):
        for one, prompt in zip(released, prompts, strict=True):
            assert all(torch.equal(one.prompt[key], value) for key, value in prompt.items())
    assert reads == [0, 0]
