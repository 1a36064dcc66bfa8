"""Multiple choice: what an answer chooses, and what rotation takes out of the number."""

import pytest

from official_data import write_lines
from veridical.benchmarks.multiple_choice.benchmark import MultipleChoice
from veridical.benchmarks.multiple_choice.choices import chosen_option
from veridical.errors import DataError
from veridical.scoring.comparison import compare_scores
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

ANIMALS = {"A": "dog", "B": "cat", "C": "red apple", "D": "apple"}


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(b)", "B"),
        ("**B**", "B"),
        ("B.", "B"),
        ("B) cat", "B"),
        ("B cat", "B"),
        ("B: A cat", "B"),
        ("D - apple", "D"),
        ("B, because the cat is there", "B"),
        ("Option B", "B"),
        ("The answer is B.", "B"),
        ("Answer: (C)", "C"),
        ("**Answer:** B", "B"),
        ("\\boxed{D}", "D"),
        ("My answer is option B", "B"),
        ("答案是B", "B"),
        ("选B", "B"),
        ("I think it is C", "C"),
        ("Answer: B\nExplanation: A dog would bark.", "B"),
        ("the answer is A, not B", "A"),
        ("A", "A"),
        ("A. dog", "A"),
        ("A dog", "A"),
        ("a cat", "B"),
        ("A cat sits there", "B"),
        ("I see a cat", "B"),
        ("The answer is a dog", "A"),
        ("The correct option is a cat", "B"),
        ("CAT", "B"),
        ("cat-like", "B"),
        ("It's a red apple.", "C"),
        ("apple", "D"),
        ("It is not a cat but a dog", "A"),
    ],
)
def test_what_an_answer_chooses(answer, option):
    assert chosen_option(answer, ANIMALS) == option


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "  ",
        "E",
        "I",
        "A or B",
        "A and B",
        "A, B",
        "A\nB",
        "Both A and C",
        "The answer is A or B",
        "None of them",
        "There is a cat and a dog",
        "It is not a cat",
        "The answer is not B",
        "Banana",
        "concatenate",
        "否",
    ],
)
def test_what_chooses_nothing_or_too_much_is_not_guessed(answer):
    assert chosen_option(answer, ANIMALS) is None


def passes(answers, *, options=("dog", "cat"), right="cat", question=7):
    """One question in as many rotations as there are answers, with MMBench's numbering."""
    asked, said = [], []
    for turn, answer in enumerate(answers):
        turned = [*options[turn:], *options[:turn]]
        letters = dict(zip("ABCD", turned, strict=False))
        truth = next(letter for letter, text in letters.items() if text == right)
        number = question + turn * 1_000_000
        asked.append(
            {
                "index": number,
                "question": "What is it?",
                **letters,
                "answer": truth,
                "category": "object",
            }
        )
        said.append({"index": number, "prediction": answer})
    return asked, said


def choose(folder, *groups, variant="plain"):
    asked = [row for group in groups for row in group[0]]
    said = [row for group in groups for row in group[1]]
    files = Files(
        responses=write_lines(folder / "said.jsonl", said),
        questions=write_lines(folder / "q.jsonl", asked),
    )
    return score("multiple-choice", files, variant=variant)


def test_a_model_that_loves_b_loses_50_points_in_rotation(tmp_path):
    groups = [passes(["B", "B"], question=number) for number in range(4)]
    plain, circular = (
        choose(tmp_path, *groups, variant=name).total for name in ("plain", "circular")
    )
    assert (plain.metrics["accuracy"].value, plain.metrics["accuracy"].n) == (0.5, 8)
    assert (circular.metrics["accuracy"].value, circular.metrics["accuracy"].n) == (0.0, 4)
    assert "The model chose B every time" in plain.warnings[0]


def test_a_model_that_knows_is_right_wherever_the_option_stands(tmp_path):
    scored = choose(tmp_path, passes(["B. cat", "A cat"]), variant="circular").total
    assert scored.metrics["accuracy"].value == scored.metrics["accuracy/object"].value == 1.0
    assert scored.metrics["unparsed_ratio"].value == 0.0


def test_answers_that_choose_nothing_are_counted_and_not_drawn_at_random(tmp_path):
    scored = choose(tmp_path, passes(["", "maybe"]))
    assert scored.total.counts == {"items": 2, "empty": 1, "unparsed": 1}
    assert (
        scored.total.metrics["accuracy"].value,
        scored.total.metrics["unparsed_ratio"].value,
    ) == (0.0, 1.0)


def test_passes_that_are_missing_are_reported(tmp_path):
    scored = choose(tmp_path, passes(["B"]), variant="circular")
    assert scored.total.warnings == (
        "1 of 1 questions have fewer passes than options: they are easier than they should be.",
    )


@pytest.mark.parametrize(
    "options", [["dog", "cat"], {"A": "dog", "B": "cat"}, {"A": "dog", "B": "cat", "C": None}]
)
def test_options_may_stand_in_a_list_or_an_object(options, tmp_path):
    asked = [{"question_id": "x", "options": options, "answer": "b", "group": 3}]
    scored = choose(tmp_path, (asked, [{"question_id": "x", "answer": "cat"}]))
    assert scored.total.metrics["accuracy"].value == 1.0
    assert scored.items[0].cluster == "3"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"answer": "E"}, "`answer` must be one of A, B, got 'E'"),
        ({"answer": 1}, "`answer` must be text, got 1"),
        ({"options": ["dog"]}, "options must be two to ten texts"),
        ({"options": "AB"}, "options must be two to ten texts"),
        ({"options": [["dog"], "cat"]}, "options must be two to ten texts"),
    ],
)
def test_malformed_questions_are_reported(changed, message, tmp_path):
    asked = [{"question_id": 1, "options": ["dog", "cat"], "answer": "A", **changed}]
    with pytest.raises(DataError) as caught:
        choose(tmp_path, (asked, [{"question_id": 1, "answer": "A"}]))
    assert f"q.jsonl:1: {message}" in str(caught.value)


def test_a_model_is_asked_as_mmbench_shows_it(tmp_path):
    row = {
        "index": 3,
        "hint": "Look.",
        "question": "What is it?",
        "A": "dog",
        "B": "cat",
        "answer": "A",
        "image": "3.jpg",
    }
    asked = MultipleChoice().questions(Files(questions=write_lines(tmp_path / "q.jsonl", [row])))
    assert [(one.id, one.image, one.text, one.row) for one in asked] == [
        ("3", "3.jpg", "Look.\nWhat is it?\nA. dog\nB. cat", {"index": 3})
    ]


def test_two_runs_are_compared_question_by_question(tmp_path):
    groups = [passes(["B", "A"], question=number) for number in range(8)]
    worse = [passes(["B", "B"], question=number) for number in range(8)]
    knows, guesses = (choose(tmp_path, *some, variant="circular") for some in (groups, worse))
    compared = compare_scores(knows, guesses)["accuracy"].difference
    assert (compared.difference, compared.n, compared.test) == (-1.0, 8, "mcnemar exact")
