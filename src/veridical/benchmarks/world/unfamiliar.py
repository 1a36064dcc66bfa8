"""Questions in forms that the base model has not been taught: negation, relations, counting.

Half of the benchmark's MMHal-style questions of five types come in these forms, so that no type is
at its ceiling, as none is for a real model. The answers are judged like any other.
"""

import random
from collections.abc import Callable

from veridical.world.inventory import (
    COLOURS,
    CONTEXTS,
    NUMBER_WORDS,
    PLACE_PHRASES,
    PLACES,
    with_article,
)
from veridical.world.scenes import Scene
from veridical.world.tasks import Question, QuestionType, ask, named, plural_of


def ask_unfamiliar(
    scene: Scene, question_type: QuestionType, rng: random.Random
) -> Question | None:
    """Make a question of a type, in an unfamiliar form where the type has one.

    Returns:
        The question, or None where the scene allows none.
    """
    make = _MAKERS.get(question_type)
    return make(scene, rng) if make else ask(scene, question_type, rng)


def _adversarial(scene: Scene, rng: random.Random) -> Question:
    """The object is there, in another colour."""
    group = rng.choice(scene.groups)
    name, verb = named(group)
    colour = rng.choice([one for one in COLOURS if one != group.colour])
    return Question(
        type="adversarial",
        text=f"Where {verb} the {colour} {name}?",
        answer=f"There {verb} no {colour} {name}, the {name} {verb} {group.colour}.",
        expected=("no",),
        subjects=(group.noun,),
    )


def _comparison(scene: Scene, rng: random.Random) -> Question | None:
    first, second = rng.sample(scene.groups, 2)
    if first.number == second.number:
        return None
    fewer, more = sorted((first, second), key=lambda group: group.number)
    return Question(
        type="comparison",
        text=f"Are there fewer {plural_of(first)} or fewer {plural_of(second)}?",
        answer=f"There are fewer {plural_of(fewer)}.",
        expected=(plural_of(fewer),),
        alternatives=(plural_of(more),),
        subjects=(first.noun, second.noun),
    )


def _counting(scene: Scene, rng: random.Random) -> Question | None:
    """All objects of a place, of whatever kind."""
    place = rng.choice(PLACES)
    there = sum(group.number for group in scene.groups if group.place == place)
    if there not in NUMBER_WORDS:
        return None
    word = NUMBER_WORDS[there]
    return Question(
        type="counting",
        text=f"How many objects are {PLACE_PHRASES[place]}?",
        answer=f"There {'is' if there == 1 else 'are'} {word} {PLACE_PHRASES[place]}.",
        expected=(word,),
        alternatives=tuple(other for other in NUMBER_WORDS.values() if other != word),
    )


def _relation(scene: Scene, rng: random.Random) -> Question | None:
    first, second = rng.sample(scene.groups, 2)
    if first.row == second.row:
        return None
    side, other = ("above", "below") if first.row < second.row else ("below", "above")
    (name, verb), (second_name, _) = named(first), named(second)
    return Question(
        type="relation",
        text=f"{verb.capitalize()} the {name} above or below the {second_name}?",
        answer=f"The {name} {verb} {side} the {second_name}.",
        expected=(side,),
        alternatives=(other,),
        subjects=(first.noun, second.noun),
    )


def _environment(scene: Scene, rng: random.Random) -> Question:
    other = rng.choice([one.name for one in CONTEXTS if one.name != scene.context])
    first, second = rng.sample((scene.context, other), 2)
    return Question(
        type="environment",
        text=f"Which is not shown here, {with_article(first)} or {with_article(second)}?",
        answer=f"There is not {with_article(other)}.",
        expected=(other,),
        alternatives=(scene.context,),
    )


_MAKERS: dict[QuestionType, Callable[[Scene, random.Random], Question | None]] = {
    "adversarial": _adversarial,
    "comparison": _comparison,
    "counting": _counting,
    "relation": _relation,
    "environment": _environment,
}
