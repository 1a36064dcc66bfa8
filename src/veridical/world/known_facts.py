"""Facts about a scene for a reward model, as complete and as right as asked for.

Facts of real images (captions by people) leave things out and err. How much of that a factually
augmented reward model bears (LLaVA-RLHF, arXiv 2309.14525, never says) can be measured here, where
the truth is known. As lists or as a caption they are worded like what the base has learnt to read;
as captions by people, each sees, errs and writes for themselves, in words that the base has never
read next to a picture.
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
    OBJECT_BY_NOUN,
    OBJECTS,
    PLACE_PHRASES,
    PLACES,
    Place,
    number_phrase,
    with_article,
)
from veridical.world.scenes import Scene


class FactsModel(Recipe):
    """How much is known of a scene, and how much of that is wrong; all rates are probabilities."""

    kind: Literal["objects", "caption", "people"] = "objects"
    """A list of statements, one for the place and one for each group; one caption in sentences; or
    captions by several people in words of their own."""
    people: int = Field(default=3, ge=1)
    """How many people wrote captions, where `kind` is "people"; COCO has five."""
    missing: float = Field(default=0.0, ge=0, le=1)
    """Leaving a statement out; drawn separately for each, and for each of the people."""
    wrong: float = Field(default=0.0, ge=0, le=1)
    """Stating one thing wrongly: of a group its noun, colour, number or place, or the context;
    drawn separately for each."""


COMPLETE = FactsModel()
"""All is known and right."""
BY_PEOPLE = FactsModel(kind="people", missing=0.35, wrong=0.1)
"""What three people wrote: each leaves out a third of what there is, and errs in every tenth
statement."""


def known_facts(scene: Scene, model: FactsModel, *, seed: int) -> Facts | None:
    """State what is known of a scene.

    Args:
        scene: The truth.
        model: How much of it is known.
        seed: Root seed; the same scene, model and seed give the same facts.

    Returns:
        The facts, or None where all was left out.
    """
    if model.kind == "people":
        captions = [_caption_by(scene, model, seed, number) for number in range(model.people)]
        written = tuple(caption for caption in captions if caption)
        return Facts(image_id=scene.id, kind="caption", texts=written) if written else None
    rng = child_random(seed, "known facts", scene.id)
    context, mentions = _seen(scene, model, rng)
    if not mentions and context is None:
        return None
    if model.kind == "caption":
        # A caption opens with the place; where that is not known, its first sentence is left out.
        text = describe_mentions(context or scene.context, mentions, rng)
        texts: tuple[str, ...] = (text if context else text.split(". ", 1)[1],)
    else:
        groups = [
            f"{number_phrase(m.noun, m.number, m.colour)} {PLACE_PHRASES[m.place]}"
            for m in mentions
        ]
        texts = (*([with_article(context)] if context else []), *groups)
    return Facts(image_id=scene.id, kind=model.kind, texts=texts)


def _seen(scene: Scene, model: FactsModel, rng: random.Random) -> tuple[str | None, list[Mention]]:
    """The context, unless it is left out, and the groups that somebody states."""
    context = _wrong_context(scene, rng) if rng.random() < model.wrong else scene.context
    place_known = rng.random() >= model.missing
    mentions = []
    for mention in true_mentions(scene):
        wrong, known = rng.random() < model.wrong, rng.random() >= model.missing
        stated = _wrong_mention(scene, mention, rng) if wrong else mention
        mentions += [stated] if known else []
    return context if place_known else None, mentions


_PEOPLES_OPENINGS = (
    "A snapshot of {context}",
    "Somebody photographed {context}",
    "{context}, seen from the front",
    "Looks like {context} to me",
)
_PEOPLES_NUMBERS = {
    1: ("a single", "one", "just one"),
    2: ("a pair of", "a couple of", "2"),
    3: ("a trio of", "3", "a group of three"),
    4: ("a quartet of", "4", "a group of four"),
    5: ("a handful of", "5", "a group of five"),
}
_PEOPLES_PLACES: dict[Place, tuple[str, ...]] = {
    "left": ("at the left-hand side", "over to the left", "by the left edge"),
    "middle": ("at the centre", "halfway across", "between both sides"),
    "right": ("at the right-hand side", "over to the right", "by the right edge"),
}
_PEOPLES_FORMS = (
    "{number} {noun}, {colour} in colour, {place}",
    "{place}, {number} {colour} {noun}",
    "{number} {colour}-coloured {noun} {place}",
)


def _caption_by(scene: Scene, model: FactsModel, seed: int, person: int) -> str:
    """What one of the people writes: what they saw, in an order and words of their own."""
    rng = child_random(seed, "caption", scene.id, person)
    context, mentions = _seen(scene, model, rng)
    rng.shuffle(mentions)
    form = rng.choice(_PEOPLES_FORMS)
    parts = [rng.choice(_PEOPLES_OPENINGS).format(context=with_article(context))] if context else []
    for mention in mentions:
        item = OBJECT_BY_NOUN[mention.noun]
        parts.append(
            form.format(
                number=rng.choice(_PEOPLES_NUMBERS[mention.number]),
                noun=item.noun if mention.number == 1 else item.plural,
                colour=mention.colour,
                place=rng.choice(_PEOPLES_PLACES[mention.place]),
            )
        )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


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
