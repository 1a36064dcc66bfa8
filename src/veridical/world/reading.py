"""Reading: questions answered from facts, and finding words that disagree with facts.

A factually augmented reward model (LLaVA-RLHF, arXiv 2309.14525, section 2.3) is given captions or
object lists next to the response. They help only a model that can read, so the base learns it:
facts → description, facts → answers, and "does this description agree with the facts, which word
does not".
"""

import random
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeVar

from veridical.world.descriptions import Mention, describe, describe_mentions, true_mentions
from veridical.world.inventory import COLOURS, NUMBER_WORDS, OBJECTS, PLACES
from veridical.world.judge import Verdict, judge_description
from veridical.world.scenes import Scene

FactsForm = Literal["mirrored", "caption", "list"]
"""Facts as a caption in the description's own sentence forms and order · a caption of its own · a
list of objects."""

V = TypeVar("V")
AGREEMENT_QUESTION = "Does the description agree with the facts?"
SIGHT_QUESTION = "Does the description agree with the picture?"


class ReadingItem(NamedTuple):
    """A description next to facts, with the words that disagree."""

    scene: Scene
    """What the facts, or the picture, say."""
    prompt: str
    """Facts, description and question."""
    description_start: int
    """Where the description starts in the prompt, in code points."""
    description: str
    """The description, possibly with wrong words."""
    verdict: Verdict
    """Which words disagree with the facts."""
    answer: str
    """"Yes." or "No, red is wrong." with the first wrong word."""


def facts_text(scene: Scene, rng: random.Random, *, shuffle: bool, as_caption: bool = False) -> str:
    """State what is true of a scene: a list of objects, or a caption.

    >>> from veridical.world.scenes import sample_scene
    >>> facts_text(sample_scene(0, "doc", 1), random.Random(0), shuffle=False)[:6]
    'Facts:'
    """
    if as_caption:
        return f"Facts: {describe(scene, rng)}"
    texts = list(scene.facts().texts)
    if shuffle:
        rng.shuffle(texts)
    return f"Facts: {'; '.join(texts)}."


def corrupt(
    scene: Scene,
    mentions: list[Mention],
    rng: random.Random,
    *,
    rate: float,
    confusable: float = 0.0,
) -> list[Mention]:
    """Change mentions at random and without habit, so that finding the change needs the facts.

    Args:
        scene: The scene that the mentions are of.
        mentions: What a description says.
        rng: Source of chance.
        rate: Probability that a noun is changed; where it is not, that of number, colour and place,
            each for itself.
        confusable: Share of wrong numbers, colours and places that are those of another group,
            where it has another. A colour that no fact mentions is found wrong without knowing what
            it is said of, and a model that sees few others goes no further: two thirds of wrong
            colours found, and none that another group has.
    """

    def other(values: Iterable[V], right: V, stated: Sequence[V]) -> V:
        elsewhere = [value for value in stated if value != right]
        if confusable and elsewhere and rng.random() < confusable:
            return rng.choice(elsewhere)
        return rng.choice([value for value in values if value != right])

    present = set(scene.nouns)
    absent = [item.noun for item in OBJECTS if item.noun not in present]
    changed = []
    for mention in mentions:
        if rng.random() < rate:
            changed.append(mention._replace(noun=rng.choice(absent)))
            continue
        number, colour, place = mention.number, mention.colour, mention.place
        if rng.random() < rate:
            number = other(NUMBER_WORDS, number, [m.number for m in mentions])
        if rng.random() < rate:
            colour = other(COLOURS, colour, [m.colour for m in mentions])
        if rng.random() < rate:
            place = other(PLACES, place, [m.place for m in mentions])
        changed.append(mention._replace(number=number, colour=colour, place=place))
    return changed


def reading_item(
    scene: Scene,
    rng: random.Random,
    *,
    form: FactsForm,
    shuffle: bool,
    rate: float,
    confusable: float = 0.0,
) -> ReadingItem:
    """Make an agreement question: facts, a description with changed words, and what disagrees.

    Args:
        scene: What is true.
        rng: Source of chance.
        form: How the facts are written.
        shuffle: Facts in a list and sentences of the description each in an order of their own;
            mirrored facts follow the description.
        rate: How often words are changed; see `corrupt`.
        confusable: How often they are changed to what is said of something else; see `corrupt`.
    """
    mentions = true_mentions(scene)
    if shuffle:
        rng.shuffle(mentions)
    wording = rng.getrandbits(32)
    wrong = corrupt(scene, mentions, rng, rate=rate, confusable=confusable)
    description = describe_mentions(scene.context, wrong, random.Random(wording))
    if form == "mirrored":
        facts = f"Facts: {describe_mentions(scene.context, mentions, random.Random(wording))}"
    else:
        facts = facts_text(scene, rng, shuffle=shuffle, as_caption=form == "caption")
    return _item(scene, description, head=f"{facts} Description: ", question=AGREEMENT_QUESTION)


def sight_item(
    scene: Scene, rng: random.Random, *, rate: float, confusable: float = 0.0
) -> ReadingItem:
    """Make an agreement question about a picture: a description with changed words.

    Args:
        scene: What the picture shows.
        rng: Source of chance.
        rate: How often words are changed; see `corrupt`.
        confusable: How often they are changed to what is said of something else; see `corrupt`.
    """
    mentions = true_mentions(scene)
    rng.shuffle(mentions)
    wrong = corrupt(scene, mentions, rng, rate=rate, confusable=confusable)
    description = describe_mentions(scene.context, wrong, rng)
    return _item(scene, description, head="Description: ", question=SIGHT_QUESTION)


def _item(scene: Scene, description: str, *, head: str, question: str) -> ReadingItem:
    verdict = judge_description(scene, description)
    answer = "Yes."
    if verdict.faults:
        start, end = verdict.faults[0].span
        answer = f"No, {description[start:end].lower()} is wrong."
    return ReadingItem(
        scene, f"{head}{description} {question}", len(head), description, verdict, answer
    )
