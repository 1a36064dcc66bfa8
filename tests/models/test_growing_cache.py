"""The growing cache holds what transformers' own holds, whatever is done to its rows in between."""

import torch
from transformers import DynamicCache

from veridical.models.decoding.growing_cache import growing_cache


def test_it_gives_what_the_plain_cache_gives():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = growing_cache(), DynamicCache()

    def step(rows, tokens):
        for layer in (0, 1):
            keys, values = torch.randn(2, rows, 3, tokens, 4, generator=generator)
            for found, wanted in zip(
                ours.update(keys, values, layer), theirs.update(keys, values, layer), strict=True
            ):
                assert torch.equal(found, wanted)
        assert ours.get_seq_length() == theirs.get_seq_length()

    def both(name, argument):
        for cache in (ours, theirs):
            getattr(cache, name)(argument)

    step(2, 5)
    both("batch_repeat_interleave", 3)
    for _ in range(40):  # beyond the room that is made first
        step(6, 1)
    both("batch_select_indices", torch.tensor([0, 2, 5]))
    for _ in range(3):
        step(3, 1)


def test_a_token_is_written_in_place_while_there_is_room():
    cache = growing_cache()
    cache.update(torch.zeros(1, 1, 5, 2), torch.zeros(1, 1, 5, 2), 0)
    places = []
    for _ in range(20):
        keys, _ = cache.update(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2), 0)
        places.append(keys.data_ptr())
    assert len(set(places)) == 1
