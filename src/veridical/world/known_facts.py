"""Facts about a scene for a reward model, as complete and as right as asked for.

Facts of real images (captions by people) leave things out and err. How much of that a factually
augmented reward model bears (LLaVA-RLHF, arXiv 2309.14525, never says) can be measured here, where
the truth is known.
"""

import random
from typing import Literal

from pydantic import Field

from veridical.config import Recipe
from veridical.records import Facts
from veridical.seeding import child_random
from veridical.world.descriptions import Mention, describe_mentions, true_mentions
from veridical.world.inventory import (
    COLOURS,
    CONTEXTS,
    NUMBER_WORDS,
    OBJECTS,
    PLACE_PHRASES,
    PLACES,
    number_phrase,
    with_article,
)
from veridical.world.scenes import Scene


class FactsModel(Recipe):
    """How much is known of a scene, and how much of that is wrong; all rates are probabilities."""

    kind: Literal["objects", "caption"] = "objects"
    """A list of statements, one for the place and one for each group; or one caption in
    sentences."""
    missing: float = Field(default=0.0, ge=0, le=1)
    """Leaving a statement out; drawn separately for each."""
    wrong: float = Field(default=0.0, ge=0, le=1)
    """Stating one thing wrongly: of a group its noun, colour, number or place, or the context;
    drawn separately for each."""


COMPLETE = FactsModel()
"""All is known and right."""


def known_facts(scene: Scene, model: FactsModel, *, seed: int) -> Facts | None:
    """State what is known of a scene.

    Args:
        scene: The truth.
        model: How much of it is known.
        seed: Root seed; the same scene, model and seed give the same facts.

    Returns:
        The facts, or None where all was left out.
    """
    rng = child_random(seed, "known facts", scene.id)
    context = _wrong_context(scene, rng) if rng.random() < model.wrong else scene.context
    place_known = rng.random() >= model.missing
    mentions = []
    for mention in true_mentions(scene):
        wrong, known = rng.random() < model.wrong, rng.random() >= model.missing
        stated = _wrong_mention(scene, mention, rng) if wrong else mention
        mentions += [stated] if known else []
    if not mentions and not place_known:
        return None
    if model.kind == "caption":
        # A caption opens with the place; where that is not known, its first sentence is left out.
        text = describe_mentions(context, mentions, rng)
        texts: tuple[str, ...] = (text if place_known else text.split(". ", 1)[1],)
    else:
        groups = [
            f"{number_phrase(m.noun, m.number, m.colour)} {PLACE_PHRASES[m.place]}"
            for m in mentions
        ]
        texts = (*([with_article(context)] if place_known else []), *groups)
    return Facts(image_id=scene.id, kind=model.kind, texts=texts)


def _wrong_context(scene: Scene, rng: random.Random) -> str:
    return rng.choice([context.name for context in CONTEXTS if context.name != scene.context])


def _wrong_mention(scene: Scene, mention: Mention, rng: random.Random) -> Mention:
    """Change one thing about a group; a noun becomes one that is not there."""
    field = rng.choice(("noun", "colour", "number", "place"))
    values: dict[str, list[object]] = {
        "noun": [item.noun for item in OBJECTS if item.noun not in scene.nouns],
        "colour": list(COLOURS),
        "number": list(NUMBER_WORDS),
        "place": list(PLACES),
    }
    others = [value for value in values[field] if value != getattr(mention, field)]
    return Mention(**mention._asdict() | {field: rng.choice(others)})
