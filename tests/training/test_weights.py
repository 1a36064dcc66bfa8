"""Parts of a mix are seen as often as their weights say."""

from collections import Counter

import pytest

from veridical.errors import ConfigError
from veridical.formats.mix.parts import Part, part_of
from veridical.training.conversations.weights import weigh_conversations


def rows(**counts):
    found = []
    for name, count in counts.items():
        part = Part(name)
        for number in range(count):
            part.add(f"{number}.jpg", str(number), [("What?", "A dog.")], source="human")
        found += part.conversations
    return found


def seen(weights, seed=0):
    weighed = weigh_conversations(rows(a=10, b=8), weights, seed=seed)
    return Counter(part_of(row) for row in weighed), [row.id for row in weighed]


def test_a_weight_is_how_often_a_part_is_seen():
    assert seen({})[0] == {"a": 10, "b": 8}
    assert seen({"a": 0.5})[0] == {"a": 5, "b": 8}
    assert seen({"a": 2.3, "b": 0.0})[0] == {"a": 23}
    assert seen({"a": 0.5})[1] == seen({"a": 0.5})[1]
    assert seen({"a": 0.5})[1] != seen({"a": 0.5}, seed=1)[1]


def test_weights_that_cannot_be_are_refused():
    for weights in ({"c": 1.0}, {"a": -1.0}):
        with pytest.raises(ConfigError, match="The conversations are of the parts: a, b"):
            seen(weights)
    with pytest.raises(ConfigError, match="leave no conversation"):
        seen({"a": 0.0, "b": 0.0})
