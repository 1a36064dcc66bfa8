"""Pixels stay in memory up to a bound; those of further prompts are read again when needed."""

import torch

from miniatures import picture
from veridical.models.features import FeatureCache
from veridical.models.prompts.encoding import encode_separately, release_pixels, stack_prompts
from veridical.models.prompts.on_demand import PromptOnDemand, large_bytes
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


def test_pixels_beyond_the_bound_are_read_again_and_are_the_same(qwen):
    prompts, read, reads = prompts_of(qwen, 3)
    cache = FeatureCache(None, qwen)
    cache._pixel_bytes = 2 * large_bytes(prompts[0])
    released = release_pixels(prompts, cache, read=read)
    assert [type(one.prompt) is PromptOnDemand for one in released] == [False, False, True]
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
    kept = sum(value.nbytes for value in lazy._kept.values() if value is not None)
    assert kept + large_bytes(prompt) == sum(value.nbytes for value in prompt.values())


def test_without_a_reader_or_cache_pixels_stay(qwen):
    prompts, read, _ = prompts_of(qwen, 2)
    for released in (
        release_pixels(prompts, None, read=read),
        release_pixels(prompts, FeatureCache(None, qwen)),
    ):
        assert all(one.prompt is prompt for one, prompt in zip(released, prompts, strict=True))
