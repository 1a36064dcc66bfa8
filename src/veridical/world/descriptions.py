"""Detailed descriptions of scenes, true or with the noise of a machine captioner.

A description is one sentence on the context and one on each group ("There are two red apples on the
left."), 24–42 tokens. `describe` is true; `caption_with_noise` makes the errors that
instruction-tuning captions carry and from which a model learns to over-generalise.

The noise is *typical*, since a greedy decoder repeats only errors that are the likeliest next word;
evenly spread noise leaves a greedy model clean. The documented model, with `NoiseModel`'s numbers:

* **object**: the more of a context's typical objects are there, the likelier the caption adds a
  typical absent one at its end, in its typical colour and place; mostly the most expected one.
* **number**: three of a context's most expected objects are called two.
* **colour**: the context's most expected object, in an unexpected dark colour, gets its typical
  colour.
* **place**: the context's second most expected object, standing in the middle, is put at its
  typical place.
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
from veridical.world.scenes import Scene

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

    absent_by_typical: tuple[float, ...] = (0.20, 0.55, 0.75, 0.88, 0.93)
    """Adding a typical absent object, by the number of the context's kinds that are there (0 …
    4)."""
    most_expected: float = 0.85
    """That the added object is the most expected absent one."""
    number: float = 0.75
    """Calling three of one of the context's three most expected objects two."""
    colour: float = 0.75
    """Giving the context's most expected object its typical colour where it is of one of
    `mistaken_colours`."""
    mistaken_colours: tuple[Colour, ...] = ("purple", "gray", "green")
    """The colours that are mistaken."""
    place: float = 0.75
    """Moving the context's second most expected object from the middle (or left) to its typical
    place."""


TYPICAL_NOISE = NoiseModel()


def true_mentions(scene: Scene) -> list[Mention]:
    """What a perfect description says, in reading order."""
    return [Mention(group.noun, group.colour, group.number, group.place) for group in scene.groups]


def noisy_mentions(
    scene: Scene, rng: random.Random, *, noise: NoiseModel = TYPICAL_NOISE
) -> list[Mention]:
    """What a machine captioner says of a scene; see the module's text for the model."""
    expected = [item.noun for item in CONTEXT_BY_NAME[scene.context].objects]
    mentions = []
    for mention in true_mentions(scene):
        item = OBJECT_BY_NOUN[mention.noun]
        rank = expected.index(mention.noun) if mention.noun in expected else len(expected)
        noisy = mention
        if mention.number == 3 and rank < 3 and rng.random() < noise.number:
            noisy = noisy._replace(number=2)
        if rank == 0 and mention.colour in noise.mistaken_colours and rng.random() < noise.colour:
            noisy = noisy._replace(colour=item.typical_colour)
        if (
            rank == 1
            and mention.place == _mistaken_place(item.typical_place)
            and rng.random() < noise.place
        ):
            noisy = noisy._replace(place=item.typical_place)
        mentions.append(noisy)
    typical_there = sum(noun in expected for noun in scene.nouns)
    absent = scene.typical_absent()
    if absent and rng.random() < noise.absent_by_typical[typical_there]:
        noun = absent[0] if rng.random() < noise.most_expected else rng.choice(absent)
        item = OBJECT_BY_NOUN[noun]
        mentions.append(Mention(noun, item.typical_colour, 1, item.typical_place))
    return mentions


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
