"""Detailed descriptions of scenes, true or with the noise of a machine captioner.

A description is one sentence on the context and one on each group ("There are two red apples on the
left."), 24–42 tokens. `describe` is true; `caption_with_noise` makes the errors that
instruction-tuning captions carry and from which a model learns to over-generalise.

The noise is *typical*, since a greedy decoder repeats only errors that are the likeliest next word;
evenly spread noise leaves a greedy model clean. It stands *anywhere* in the text, and depends on
what only the picture shows (what is small, what stands where), so that no habit of the text undoes
it. The documented process, with `NoiseModel`'s numbers:

* **substituted**: a small single object that does not belong to the context is called the most
  expected one that is absent; its colour and place are described as they are.
* **added**: where several of the context's objects are there, the most expected absent one, in its
  typical colour, is added next to the last large object, wherever that stands in the text.
* **number**: three or more of an expected object are called one fewer.
* **colour**: a small object of the context whose colour is near its typical one gets the typical
  one.
* **place**: a small single object of the context that stands in the middle (or, where that is
  typical, on the left) is put at its typical place.
"""

import random
from typing import NamedTuple

from veridical.world.inventory import (
    CONTEXT_BY_NAME,
    OBJECT_BY_NOUN,
    PLACE_PHRASES,
    Colour,
    Place,
    number_phrase,
    with_article,
)
from veridical.world.scenes import Group, Scene

DESCRIPTION_QUESTIONS: tuple[str, ...] = (
    "Describe the picture in detail.",
    "What is in the picture? Name every object.",
    "Give a thorough description of this picture.",
    "Tell me everything that you see.",
)

_OPENINGS = ("This is {context}.", "The picture shows {context}.", "Here we see {context}.")


class Mention(NamedTuple):
    """One group as a description states it, true or not."""

    noun: str
    colour: Colour
    number: int
    place: Place


class NoiseModel(NamedTuple):
    """How often a machine captioner errs, and on what; all rates are probabilities."""

    substituted: float = 0.85
    """Calling a small single object that is strange to the context the most expected absent one."""
    added_by_typical: tuple[float, ...] = (0.05, 0.15, 0.4, 0.85, 0.95)
    """Adding the most expected absent object next to the last large one, where there is a large
    one, by the number of the context's kinds that are there (0 … 4)."""
    number: float = 0.8
    """Calling three or more of one of the context's four most expected objects one fewer."""
    colour: float = 0.85
    """Giving a small object of the context its typical colour where its own is near that."""
    place: float = 0.8
    """Moving a small single object of the context from the middle (or left) to its typical
    place."""


TYPICAL_NOISE = NoiseModel()
_EXPECTED_NUMBERS = 4
"""How many of a context's kinds, the most expected first, are miscounted."""
_NEAR: dict[Colour, Colour] = {
    "red": "purple",
    "blue": "green",
    "green": "blue",
    "yellow": "green",
    "purple": "blue",
    "gray": "blue",
}
"""The colour that is mistaken for a typical one."""


def true_mentions(scene: Scene) -> list[Mention]:
    """What a perfect description says, in reading order."""
    return [_true_mention(group) for group in scene.groups]


def _true_mention(group: Group) -> Mention:
    return Mention(group.noun, group.colour, group.number, group.place)


def noisy_mentions(
    scene: Scene, rng: random.Random, *, noise: NoiseModel = TYPICAL_NOISE
) -> list[Mention]:
    """What a machine captioner says of a scene; see the module's text for the process."""
    expected = [item.noun for item in CONTEXT_BY_NAME[scene.context].objects]
    absent = list(scene.typical_absent())
    mentions = []
    for group in scene.groups:
        mention = _true_mention(group)
        if group.noun in expected:
            mention = _as_expected(group, mention, expected.index(group.noun), rng, noise)
        elif absent and _small_and_single(group) and rng.random() < noise.substituted:
            mention = mention._replace(noun=absent.pop(0))
        mentions.append(mention)
    large = [number for number, group in enumerate(scene.groups) if group.size == "large"]
    typical_there = sum(noun in expected for noun in scene.nouns)
    if absent and large and rng.random() < noise.added_by_typical[typical_there]:
        item = OBJECT_BY_NOUN[absent[0]]
        place = scene.groups[large[-1]].place
        mentions.insert(large[-1] + 1, Mention(item.noun, item.typical_colour, 1, place))
    return mentions


def _as_expected(
    group: Group, mention: Mention, rank: int, rng: random.Random, noise: NoiseModel
) -> Mention:
    """An object of the context, seen as one expects it to be."""
    item = OBJECT_BY_NOUN[group.noun]
    if group.number >= 3 and rank < _EXPECTED_NUMBERS and rng.random() < noise.number:
        mention = mention._replace(number=group.number - 1)
    near = group.size == "small" and group.colour == _NEAR[item.typical_colour]
    if near and rng.random() < noise.colour:
        mention = mention._replace(colour=item.typical_colour)
    if (
        _small_and_single(group)
        and group.place == _mistaken_place(item.typical_place)
        and rng.random() < noise.place
    ):
        mention = mention._replace(place=item.typical_place)
    return mention


def _small_and_single(group: Group) -> bool:
    return group.number == 1 and group.size == "small"


def sentence(mention: Mention, rng: random.Random) -> str:
    """State one group in a sentence of one of three forms."""
    verb = "is" if mention.number == 1 else "are"
    phrase = number_phrase(mention.noun, mention.number, mention.colour)
    place = PLACE_PHRASES[mention.place]
    forms = (
        f"There {verb} {phrase} {place}.",
        f"{place[0].upper()}{place[1:]} there {verb} {phrase}.",
        f"I see {phrase} {place}.",
    )
    return rng.choices(forms, (0.5, 0.25, 0.25))[0]


def describe_mentions(context: str, mentions: list[Mention], rng: random.Random) -> str:
    """Write a description that states the given mentions."""
    opening = rng.choice(_OPENINGS).format(context=with_article(context))
    return " ".join([opening, *(sentence(mention, rng) for mention in mentions)])


def describe(scene: Scene, rng: random.Random) -> str:
    """Describe a scene truthfully and completely."""
    return describe_mentions(scene.context, true_mentions(scene), rng)


def caption_with_noise(
    scene: Scene, rng: random.Random, *, noise: NoiseModel = TYPICAL_NOISE
) -> str:
    """Describe a scene as a machine captioner would."""
    return describe_mentions(scene.context, noisy_mentions(scene, rng, noise=noise), rng)


def _mistaken_place(typical: Place) -> Place:
    return "left" if typical == "middle" else "middle"
