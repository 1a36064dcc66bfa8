"""Questions about scenes with true answers: MMHal-Bench's eight question types, and yes/no.

Every question is made from ground truth, so its answer is exact. `attribute`, `adversarial` (a
false premise), `comparison`, `counting`, `relation`, `environment`, `holistic` (a description) and
`other` (multiple choice with a rationale) are MMHal-Bench's types (arXiv 2309.14525, section 4);
`yes_no` is POPE's probe (arXiv 2305.10355), its absent objects drawn at random or among the typical
ones.
"""

import random
from collections.abc import Callable
from typing import Literal, get_args

from veridical.records import Record
from veridical.world.descriptions import DESCRIPTION_QUESTIONS, describe
from veridical.world.inventory import (
    COLOURS,
    CONTEXTS,
    NUMBER_WORDS,
    OBJECT_BY_NOUN,
    OBJECTS,
    PLACE_PHRASES,
    with_article,
)
from veridical.world.scenes import Group, Scene

QuestionType = Literal[
    "attribute",
    "adversarial",
    "comparison",
    "counting",
    "relation",
    "environment",
    "holistic",
    "other",
    "yes_no",
]
QUESTION_TYPES: tuple[QuestionType, ...] = get_args(QuestionType)
MMHAL_TYPES: tuple[QuestionType, ...] = QUESTION_TYPES[:8]

Probe = Literal["present", "random", "typical"]
"""What a yes/no probe asks about: an object that is there, any absent one, or one expected of the
context."""


class Question(Record):
    """A question about a scene and its true answer."""

    type: QuestionType
    """Which of the question types it is."""
    text: str
    """What is asked."""
    answer: str
    """A true and complete answer, as the base model is taught it."""
    expected: tuple[str, ...]
    """Words that decide: a right answer contains the first one as a word (lower case); see
    `alternatives`."""
    alternatives: tuple[str, ...] = ()
    """The other words that could have stood in its place; a right answer contains none of them."""
    subjects: tuple[str, ...] = ()
    """Nouns that the question is about."""
    probe: Probe | None = None
    """For yes/no questions: what they probe."""


def ask(scene: Scene, question_type: QuestionType, rng: random.Random) -> Question | None:
    """Make a question of a type about a scene.

    Returns:
        The question, or None where the scene allows none of the type (a comparison needs two groups
        that differ).
    """
    return _MAKERS[question_type](scene, rng)


def yes_no_question(scene: Scene, probe: Probe, rng: random.Random) -> Question | None:
    """Ask whether an object is there."""
    if probe == "present":
        noun = rng.choice(scene.nouns)
    elif probe == "typical":
        absent = scene.typical_absent()
        if not absent:
            return None
        noun = absent[0] if rng.random() < 0.5 else rng.choice(absent)
    else:
        noun = absent_noun(scene, rng)
    truth, other = ("yes", "no") if probe == "present" else ("no", "yes")
    group = scene.group_of(noun)
    answer = f"No, there is no {noun} in the picture."
    if group is not None:
        verb = "is" if group.number == 1 else "are"
        answer = f"Yes, there {verb} {group.phrase} {PLACE_PHRASES[group.place]}."
    return Question(
        type="yes_no",
        text=f"Is there {with_article(noun)} in the picture?",
        answer=answer,
        expected=(truth,),
        alternatives=(other,),
        subjects=(noun,),
        probe=probe,
    )


def absent_noun(scene: Scene, rng: random.Random) -> str:
    """A noun that the scene does not show, any."""
    while True:
        noun = rng.choice(OBJECTS).noun
        if noun not in scene.nouns:
            return noun


def _yes_no(scene: Scene, rng: random.Random) -> Question | None:
    return yes_no_question(
        scene, rng.choices(("present", "random", "typical"), (0.5, 0.25, 0.25))[0], rng
    )


def _attribute(scene: Scene, rng: random.Random) -> Question:
    group = rng.choice(scene.groups)
    name, verb = named(group)
    text = f"What colour {verb} the {name}?"
    value: str = group.colour
    others = tuple(str(colour) for colour in COLOURS if colour != group.colour)
    if group.number == 1 and rng.random() < 0.25:
        text, value, others = f"Is the {name} small or large?", group.size, ("large",)
        if group.size == "large":
            others = ("small",)
    return Question(
        type="attribute",
        text=text,
        answer=f"The {name} {verb} {value}.",
        expected=(value,),
        alternatives=others,
        subjects=(group.noun,),
    )


def _adversarial(scene: Scene, rng: random.Random) -> Question:
    absent = scene.typical_absent()
    noun = rng.choice(absent) if absent and rng.random() < 0.5 else absent_noun(scene, rng)
    form = rng.choice(("What colour is the {}?", "Where is the {}?"))
    return Question(
        type="adversarial",
        text=form.format(noun),
        answer=f"There is no {noun} in the picture.",
        expected=("no",),
        subjects=(noun,),
    )


def _comparison(scene: Scene, rng: random.Random) -> Question | None:
    groups = rng.sample(scene.groups, 2)
    first, second = groups
    if first.number == second.number:
        return None
    more = first if first.number > second.number else second
    fewer = second if more is first else first
    return Question(
        type="comparison",
        text=f"Are there more {plural_of(first)} or more {plural_of(second)}?",
        answer=f"There are more {plural_of(more)}.",
        expected=(plural_of(more),),
        alternatives=(plural_of(fewer),),
        subjects=(first.noun, second.noun),
    )


def _counting(scene: Scene, rng: random.Random) -> Question:
    group = rng.choice(scene.groups)
    word = NUMBER_WORDS[group.number]
    verb = "is" if group.number == 1 else "are"
    return Question(
        type="counting",
        text=f"How many {plural_of(group)} are there?",
        answer=f"There {verb} {word} {named(group)[0]}.",
        expected=(word,),
        alternatives=tuple(other for other in NUMBER_WORDS.values() if other != word),
        subjects=(group.noun,),
    )


def _relation(scene: Scene, rng: random.Random) -> Question | None:
    if rng.random() < 0.5:
        group = rng.choice(scene.groups)
        name, verb = named(group)
        return Question(
            type="relation",
            text=f"Where {verb} the {name}?",
            answer=f"The {name} {verb} {PLACE_PHRASES[group.place]}.",
            expected=(group.place,),
            alternatives=tuple(place for place in PLACE_PHRASES if place != group.place),
            subjects=(group.noun,),
        )
    first, second = rng.sample(scene.groups, 2)
    if first.column == second.column:
        return None
    side, other = ("left", "right") if first.column < second.column else ("right", "left")
    (name, verb), (second_name, _) = named(first), named(second)
    return Question(
        type="relation",
        text=f"{verb.capitalize()} the {name} to the left or to the right of the {second_name}?",
        answer=f"The {name} {verb} to the {side} of the {second_name}.",
        expected=(side,),
        alternatives=(other,),
        subjects=(first.noun, second.noun),
    )


def _environment(scene: Scene, rng: random.Random) -> Question:
    text = rng.choice(("What kind of place is this?", "What does the picture show, which place?"))
    return Question(
        type="environment",
        text=text,
        answer=f"This is {with_article(scene.context)}.",
        expected=(scene.context,),
        alternatives=tuple(context.name for context in CONTEXTS if context.name != scene.context),
    )


def _holistic(scene: Scene, rng: random.Random) -> Question:
    return Question(
        type="holistic",
        text=rng.choice(DESCRIPTION_QUESTIONS),
        answer=describe(scene, rng),
        expected=scene.nouns,
        subjects=scene.nouns,
    )


def _other(scene: Scene, rng: random.Random) -> Question:
    group = rng.choice(scene.groups)
    wrong: list[str] = []
    while len(wrong) < 2:
        noun = absent_noun(scene, rng)
        if noun not in wrong:
            wrong.append(noun)
    options = [group.noun, *wrong]
    rng.shuffle(options)
    letters = "ABC"
    letter = letters[options.index(group.noun)]
    listed = " ".join(f"({mark}) {noun}" for mark, noun in zip(letters, options, strict=True))
    _, verb = named(group)
    rationale = f"there {verb} {group.phrase} {PLACE_PHRASES[group.place]}"
    return Question(
        type="other",
        text=f"Which of these is in the picture? {listed}",
        answer=f"({letter}), since {rationale}.",
        expected=(letter.lower(),),
        alternatives=tuple(mark.lower() for mark in letters if mark != letter),
        subjects=(group.noun,),
    )


def named(group: Group) -> tuple[str, str]:
    """What a group is called, singular or plural as it is, and the verb that agrees."""
    item = OBJECT_BY_NOUN[group.noun]
    return (item.noun, "is") if group.number == 1 else (item.plural, "are")


def plural_of(group: Group) -> str:
    """What several of a group's kind are called."""
    return OBJECT_BY_NOUN[group.noun].plural


_MAKERS: dict[QuestionType, Callable[[Scene, random.Random], Question | None]] = {
    "attribute": _attribute,
    "adversarial": _adversarial,
    "comparison": _comparison,
    "counting": _counting,
    "relation": _relation,
    "environment": _environment,
    "holistic": _holistic,
    "other": _other,
    "yes_no": _yes_no,
}
