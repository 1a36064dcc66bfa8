import pytest

from veridical.records import ImageRef, Prompt
from veridical.rewards import rules
from veridical.rewards.protocol import Candidate


def candidate(
    text="", *, task="description", reference=None, finished=True, tokens=10, length_bonus=None
):
    asked = {
        "question": "Which?",
        "task": task,
        "reference": reference,
        "length_bonus": length_bonus,
    }
    prompt = Prompt(id="p", image=ImageRef(path="a.png"), **asked)
    return Candidate(prompt, text, finished, tokens)


@pytest.mark.parametrize(
    ("truth", "text", "symmetric", "original"),
    [
        ("No", "No, there is none.", 1, 1),
        ("No", "Yes, there is one.", -1, -1),
        ("No", "North of the river.", 0, 1),
        ("No", "There may be one.", 0, 0),
        ("No", "yes", -1, 0),
        ("No, there is no dog.", " No.", 1, 1),
        ("Yes", "Yes.", 1, 0),
        ("Yes", "No.", -1, 0),
        ("Yes, there is a dog.", "Yes, there is no cat.", 1, 0),
    ],
)
def test_yes_no_is_symmetric_where_the_original_knows_no_alone(truth, text, symmetric, original):
    one = candidate(text, task="yes_no", reference=truth)
    assert rules.yes_no(one) == symmetric
    assert rules.original_yes_no(one) == original


@pytest.mark.parametrize(
    ("truth", "text", "symmetric", "original"),
    [
        ("B", "B. a dog", 1, 1),
        ("B", "B", 1, 0),
        ("B", "It barks, so the correct option is B.", 1, 1),
        ("B", "The correct option is A. The correct option is B.", 0, 1),
        ("B", "A. a cat", -1, 0),
        ("B", "A dog.", 0, 0),
        ("(B), since there is a dog.", "(B)", 1, 0),
    ],
)
def test_a_letter_is_right_wrong_or_not_said(truth, text, symmetric, original):
    one = candidate(text, task="multiple_choice", reference=truth)
    assert rules.multiple_choice(one) == symmetric
    assert rules.original_multiple_choice(one) == original


def test_other_tasks_and_prompts_without_truth_are_not_checked():
    for rule in (
        rules.yes_no,
        rules.original_yes_no,
        rules.multiple_choice,
        rules.original_multiple_choice,
    ):
        assert rule(candidate("No. A.", reference="No")) == 0
        assert rule(candidate("No. A.", task="yes_no")) == 0
        assert rule(candidate("No. A.", task="multiple_choice")) == 0


@pytest.mark.parametrize(
    ("task", "reference", "told"),
    [
        ("description", None, None),
        ("yes_no", "No", None),
        ("yes_no", None, "must say yes or no, got None"),
        ("yes_no", "Perhaps", "must say yes or no, got 'Perhaps'"),
        ("multiple_choice", "(C)", None),
        ("multiple_choice", "a cat", "must say a letter, got 'a cat'"),
    ],
)
def test_a_prompt_that_could_never_be_rewarded_is_reported(task, reference, told):
    prompt = candidate(task=task, reference=reference).prompt
    faults = {
        "yes_no": rules.yes_no_fault(prompt),
        "multiple_choice": rules.multiple_choice_fault(prompt),
    }
    found = faults.pop(task, None)
    assert found is None if told is None else told in found
    assert set(faults.values()) == {None}  # each rule tells of its own task


def test_length_is_a_share_of_the_window_times_the_prompts_multiplier():
    assert rules.length(candidate(tokens=448), window=896) == 0.5
    assert rules.length(candidate(tokens=448, length_bonus=-0.5), window=896) == -0.25
    assert rules.length(candidate(tokens=448, length_bonus=0.0), window=896) == 0


def test_an_unfinished_response_is_recognised_by_its_end_token_alone():
    assert rules.unfinished(candidate("A dog", finished=False)) == 1
    assert rules.unfinished(candidate("A dog", finished=True)) == 0


def test_repetition_is_the_share_of_runs_that_stood_before():
    assert rules.repetition(candidate("a dog and a cat"), words=2) == 0
    assert rules.repetition(candidate("a dog a dog a dog"), words=2) == pytest.approx(3 / 5)
    assert rules.repetition(candidate("A dog. a DOG!"), words=2) == pytest.approx(1 / 3)
    assert rules.repetition(candidate("dog"), words=2) == 0
    assert rules.repetition(candidate(""), words=1) == 0
    assert rules.repetition(candidate("狗猫狗猫"), words=2) == pytest.approx(1 / 3)
