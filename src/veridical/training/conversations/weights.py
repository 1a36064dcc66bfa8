"""Parts of a mix seen more or less often than once per epoch."""

from collections.abc import Mapping, Sequence

from veridical.errors import ConfigError
from veridical.formats.mix.parts import part_of
from veridical.records import Conversation
from veridical.seeding import child_random


def weigh_conversations(
    conversations: Sequence[Conversation], weights: Mapping[str, float], *, seed: int
) -> list[Conversation]:
    """Repeat or leave out conversations so that each part is seen as often as its weight says.

    Args:
        conversations: What is learned from in an epoch.
        weights: Times per epoch by part of a mix; parts that are not named: once.
        seed: Draws the share that a fraction stands for.

    Raises:
        ConfigError: A weight below 0, a part that no conversation is of, or nothing is left.
    """
    if not weights:
        return list(conversations)
    parts: dict[str, list[int]] = {}
    for place, row in enumerate(conversations):
        parts.setdefault(part_of(row), []).append(place)
    unknown = sorted(set(weights) - set(parts))
    if unknown or any(weight < 0 for weight in weights.values()):
        known = ", ".join(filter(None, sorted(parts))) or "none"
        raise ConfigError(
            f"data.weights must name parts of the mix with numbers from 0, got {dict(weights)}. The"
            f" conversations are of the parts: {known}."
        )
    times = [0] * len(conversations)
    for name, places in parts.items():
        whole, share = divmod(weights.get(name, 1.0), 1)
        random = child_random(seed, "part weight", name)
        more = set(random.sample(places, round(share * len(places))))
        for place in places:
            times[place] = int(whole) + (place in more)
    found = [row for row, count in zip(conversations, times, strict=True) for _ in range(count)]
    if not found:
        raise ConfigError("data.weights leave no conversation to learn from. Raise one of them.")
    return found
