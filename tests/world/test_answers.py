"""The exact judge of answers."""

import pytest

from veridical.benchmarks.world.unfamiliar import ask_unfamiliar
from veridical.records import ImageRef, Prompt, Response
from veridical.seeding import child_random
from veridical.world.answers import answer_quality, judge_answer
from veridical.world.people.judging import rate
from veridical.world.people.person import EXACT
from veridical.world.scenes import Group, Scene, sample_scenes
from veridical.world.tasks import QUESTION_TYPES, Question, ask

SCENE = Scene(
    id="k",
    context="kitchen",
    groups=(
        Group(noun="apple", colour="red", number=2, size="small", row=0, column=0),
        Group(noun="cup", colour="blue", number=1, size="large", row=1, column=2),
    ),
)


def question(kind, text, *expected, alternatives=(), subjects=()):
    return Question(
        type=kind,
        text=text,
        answer="-",
        expected=expected,
        alternatives=alternatives,
        subjects=subjects,
    )


ATTRIBUTE = question(
    "attribute",
    "What colour are the apples?",
    "red",
    alternatives=("blue", "green"),
    subjects=("apple",),
)
COUNT = question(
    "counting",
    "How many apples are there?",
    "two",
    alternatives=("one", "three"),
    subjects=("apple",),
)
ABSENT = question("adversarial", "What colour is the knife?", "no", subjects=("knife",))
MORE = question(
    "comparison",
    "Are there more cups or more apples?",
    "apples",
    alternatives=("cups",),
    subjects=("cup", "apple"),
)
SIDE = question(
    "relation",
    "Is the cup to the left or to the right of the apples?",
    "right",
    alternatives=("left",),
    subjects=("cup", "apple"),
)
PLACE = question(
    "environment", "What kind of place is this?", "kitchen", alternatives=("farm", "office")
)
CHOICE = question(
    "other",
    "Which of these is in the picture? (A) knife (B) cup (C) cow",
    "b",
    alternatives=("a", "c"),
    subjects=("cup",),
)
KNIFE = question(
    "yes_no", "Is there a knife in the picture?", "no", alternatives=("yes",), subjects=("knife",)
)
CUP = question(
    "yes_no", "Is there a cup in the picture?", "yes", alternatives=("no",), subjects=("cup",)
)


@pytest.mark.parametrize(
    ("asked", "text", "outcome", "rating"),
    [
        (ATTRIBUTE, "The apples are red.", "correct", 6),
        (ATTRIBUTE, "Red", "correct", 4),
        (ATTRIBUTE, "The apples are blue.", "wrong", 0),
        (ATTRIBUTE, "I see two blue apples. There is a blue cup on the right.", "wrong", 1),
        (ATTRIBUTE, "They are tasty.", "unparsed", 3),
        (ATTRIBUTE, "", "unparsed", 3),
        (COUNT, "There are two apples.", "correct", 6),
        (COUNT, "There is an apple.", "wrong", 0),
        (COUNT, "There are three apples.", "wrong", 0),
        (ABSENT, "There is no knife in the picture.", "refused", 6),
        (ABSENT, "No.", "refused", 4),
        (ABSENT, "The knife is gray.", "wrong", 0),
        (ABSENT, "Gray.", "wrong", 0),
        (ABSENT, "I do hope so", "unparsed", 3),
        (MORE, "There are more apples.", "correct", 6),
        (MORE, "There are more apples than cups.", "correct", 6),
        (MORE, "There are more cups than apples.", "wrong", 0),
        (SIDE, "The cup is to the right of the apples.", "correct", 6),
        (SIDE, "The cup is to the left of the apples.", "wrong", 0),
        (PLACE, "This is a kitchen.", "correct", 6),
        (PLACE, "This is a farm.", "wrong", 0),
        (CHOICE, "(B), since there is a blue cup on the right.", "correct", 6),
        (CHOICE, "B.", "correct", 4),
        (CHOICE, "A cup.", "correct", 6),
        (CHOICE, "(A), since there is a gray knife on the right.", "wrong", 0),
        (CHOICE, "(B), since there is a green cup on the right.", "correct", 0),
        (KNIFE, "No.", "correct", 6),
        (KNIFE, "No, there is no knife.", "correct", 6),
        (KNIFE, "Yes.", "wrong", 0),
        (KNIFE, "There is a knife.", "wrong", 0),
        (CUP, "Yes, there is a cup.", "correct", 6),
        (CUP, "There is no cup.", "wrong", 0),
        (CUP, "Perhaps.", "unparsed", 3),
    ],
)
def test_worked_answers(asked, text, outcome, rating):
    verdict = judge_answer(SCENE, asked, text)
    assert verdict.outcome == outcome
    assert answer_quality(asked, verdict).rating == rating
    prompt = Prompt(id="p", image=ImageRef(path="p.png"), question=asked.text)
    response = Response(id="r", prompt_id="p", text=text, model="m")
    assert rate(SCENE, prompt, response, EXACT, seed=0, question=asked).score == rating


def test_the_true_answer_of_every_question_is_right_and_fully_informative():
    for scene in sample_scenes(0, "true-answers", 150):
        for question_type in QUESTION_TYPES:
            asked = ask(scene, question_type, child_random(0, scene.id))
            if asked is None:
                continue
            verdict = judge_answer(scene, asked, asked.answer)
            assert verdict.outcome == (
                "refused" if question_type == "adversarial" else "correct"
            ), asked
            assert not verdict.hallucinates, asked
            assert answer_quality(asked, verdict).rating == 6, asked


def test_every_alternative_is_wrong():
    for scene in sample_scenes(0, "alternatives", 100):
        for question_type in QUESTION_TYPES:
            asked = ask(scene, question_type, child_random(0, scene.id))
            for word in asked.alternatives if asked is not None else ():
                text = f"({word.upper()})" if question_type == "other" else f"It is {word}."
                text = text if question_type != "yes_no" else f"{word}."
                verdict = judge_answer(scene, asked, text)
                assert verdict.outcome == "wrong", (asked, text)
                assert answer_quality(asked, verdict).rating < 3


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("adversarial", "There is no such thing.", "It is on the left."),
        ("comparison", None, None),
        ("counting", None, "There are nine."),
        ("relation", None, "To the left."),
        ("environment", None, None),
    ],
)
def test_unfamiliar_forms_are_answered_by_their_true_answers_only(kind, right, wrong):
    for scene in sample_scenes(0, "unfamiliar", 60):
        asked = ask_unfamiliar(scene, kind, child_random(0, scene.id))
        if asked is None:
            continue
        assert asked.type == kind
        assert judge_answer(scene, asked, asked.answer).outcome in ("correct", "refused")
        assert not judge_answer(scene, asked, asked.answer).hallucinates
        if right:
            assert not judge_answer(scene, asked, right).hallucinates
        if wrong:
            assert judge_answer(scene, asked, wrong).outcome in ("wrong", "unparsed")
        for other in asked.alternatives:
            said = asked.answer.replace(asked.expected[0], other)
            assert judge_answer(scene, asked, said).outcome == "wrong"


def test_more_of_one_is_fewer_of_the_other():
    fewer = question(
        "comparison",
        "Are there fewer cups or fewer apples?",
        "cups",
        alternatives=("apples",),
        subjects=("cup", "apple"),
    )
    assert judge_answer(SCENE, fewer, "There are fewer cups.").outcome == "correct"
    assert judge_answer(SCENE, fewer, "There are more apples.").outcome == "correct"
    assert judge_answer(SCENE, fewer, "There are more cups.").outcome == "wrong"
