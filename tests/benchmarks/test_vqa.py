"""VQA: normalisation, accuracy by hand, and the official code's faults in points."""

import json

import pytest

from official_data import DATA, expected, needs_data, write_lines
from veridical.benchmarks.vqa.benchmark import Vqa, normalised_accuracy, official_accuracy
from veridical.errors import DataError
from veridical.scoring.comparison import compare_scores
from veridical.scoring.files import score
from veridical.scoring.protocol import Files
from veridical.scoring.vqa_text import normalise_answer, strip_punctuation


def people(*texts, ids=True):
    return [
        {"answer": text, **({"answer_id": number} if ids else {})}
        for number, text in enumerate(texts, start=1)
    ]


def vqa(folder, answers, truth, *, variant="official", kind="other"):
    """Score answers, one a question; `truth` holds ten people's answers a question."""
    return score("vqa", _files(folder, answers, truth, kind=kind), variant=variant).total


def _files(folder, answers, truth, *, kind="other"):
    folder.mkdir(exist_ok=True)
    rows = [{"question_id": number, "answer": answer} for number, answer in enumerate(answers)]
    annotations = [
        {
            "question_id": n,
            "image_id": n,
            "question_type": "what",
            "answer_type": kind,
            "answers": people(*texts),
        }
        for n, texts in enumerate(truth)
    ]
    (folder / "results.json").write_text(json.dumps(rows))
    (folder / "annotations.json").write_text(json.dumps({"annotations": annotations}))
    return Files(responses=folder / "results.json", reference=folder / "annotations.json")


@pytest.mark.parametrize(
    ("text", "stripped", "normalised"),
    [
        ("St. Louis, MO", "St Louis MO", "st louis mo"),
        ("1,000", "1000", "1000"),
        ("t-shirt", "t shirt", "t shirt"),
        ("a - b", "a  b", "b"),
        ("2.30", "2.30", "2.30"),
        ("U.S.A.", "USA", "usa"),
        ("None", "None", "0"),
        ("dont", "dont", "don't"),
        ("wouldnt've", "wouldnt've", "wouldn't've"),
        ("somebody'd", "somebody'd", "somebodyd"),
        (".5", ".5", ".5"),
        ("." * 40, "." * 8, "." * 8),
    ],
)
def test_answers_are_normalised_as_the_official_code_does(text, stripped, normalised):
    assert strip_punctuation(text) == stripped
    assert normalise_answer(text) == normalised


@needs_data
def test_the_official_table_of_normalisations():
    rows = [
        json.loads(line)
        for line in (DATA / "vqa" / "normalisation_table.jsonl").read_text().splitlines()
    ]
    assert len(rows) == 31
    for row in rows:
        assert strip_punctuation(row["text"]) == row["processPunctuation"]
        assert normalise_answer(row["text"]) == row["processDigitArticle(processPunctuation)"]


@pytest.mark.parametrize(
    ("matches", "accuracy"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)]
)
def test_ten_people_left_out_one_by_one(matches, accuracy):
    said = people(*["cat"] * matches, *["dog"] * (10 - matches))
    assert official_accuracy("cat", said) == pytest.approx(accuracy)
    assert normalised_accuracy("cat", said) == pytest.approx(accuracy)


def test_yes_against_ten_times_yes_costs_100_points_officially(tmp_path):
    official, normalized = (
        vqa(tmp_path, ["Yes"], [["yes"] * 10], variant=v) for v in ("official", "normalized")
    )
    assert (official.metrics["accuracy"].value, normalized.metrics["accuracy"].value) == (0.0, 1.0)


def test_one_dissenter_among_people_turns_the_fault_off():
    assert official_accuracy("Yes", people(*["yes"] * 9, "no")) == 1.0


def test_people_without_ids_who_say_the_same_are_all_left_out_officially():
    assert official_accuracy("cat", people(*["cat"] * 9, "dog", ids=False)) == pytest.approx(0.1)
    assert normalised_accuracy("cat", people(*["cat"] * 9, "dog", ids=False)) == 1.0


def test_answer_types_and_question_types_have_their_own_numbers(tmp_path):
    total = vqa(tmp_path, ["cat", "dog"], [["cat"] * 10, ["cat"] * 10], kind="what")
    assert total.metrics["accuracy"].value == 0.5
    assert set(total.metrics) == {"accuracy", "accuracy/what", "accuracy/what (question)"}


def test_an_answer_too_few_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"annotations\.json:2: question 1 has no answer"):
        vqa(tmp_path, ["cat"], [["cat"] * 10, ["dog"] * 10])


def test_questions_tell_what_is_left_out_of_both(tmp_path):
    vqa(tmp_path, ["cat"], [["cat"] * 10])
    asked = tmp_path / "questions.json"
    asked.write_text(json.dumps({"questions": [{"question_id": 0}, {"question_id": 5}]}))
    files = Files(
        tmp_path / "results.json", questions=asked, reference=tmp_path / "annotations.json"
    )
    with pytest.raises(DataError, match=r"questions\.json:2: question 5 has no answer"):
        score("vqa", files)


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"questions": []}, "1 row, but the file of questions holds none"),
        ({"annotations": [3]}, "a row must be a JSON object, got 3"),
        (
            {
                "annotations": [
                    {"question_id": 0, "question_type": "a", "answer_type": "b", "answers": ["cat"]}
                ]
            },
            "`answers` must be objects with a text `answer`",
        ),
        (
            {"annotations": [{"question_id": 0, "question_type": "a", "answer_type": "b"}]},
            "`answers` is missing",
        ),
    ],
)
def test_malformed_annotations_are_reported(annotations, message, tmp_path):
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    results = write_lines(tmp_path / "results.jsonl", [{"question_id": 0, "answer": "cat"}])
    with pytest.raises(DataError) as caught:
        score("vqa", Files(responses=results, reference=tmp_path / "annotations.json"))
    assert message in str(caught.value)


def test_a_model_is_asked_the_official_questions(tmp_path):
    asked = tmp_path / "questions.json"
    asked.write_text(
        json.dumps({"questions": [{"question_id": 7, "image_id": 42, "question": "What is it?"}]})
    )
    (one,) = Vqa().questions(Files(questions=asked))
    assert (one.id, one.image, one.text, one.row) == ("7", "42", "What is it?", {"question_id": 7})


def test_two_runs_are_compared_question_by_question(tmp_path):
    truth = [["cat"] * 10] * 12
    first, second = (
        score("vqa", run)
        for run in [
            _files(tmp_path / name, answers, truth)
            for name, answers in (("one", ["cat"] * 12), ("two", ["dog"] * 12))
        ]
    )
    compared = compare_scores(first, second)["accuracy"].difference
    assert (compared.difference, compared.n) == (-1.0, 12)
    assert compared.p < 0.01


@needs_data
def test_the_official_accuracies():
    folder, want = DATA / "vqa", expected("vqa")
    files = Files(folder / "results.json", folder / "questions.json", folder / "annotations.json")
    official = score("vqa", files).total.metrics
    accuracy = want["vqa_official"]["accuracy"]
    assert round(100 * official["accuracy"].value, 2) == accuracy["overall"]
    for name, value in (accuracy["perQuestionType"] | accuracy["perAnswerType"]).items():
        assert round(100 * official[f"accuracy/{name}"].value, 2) == value, name
    normalized = score("vqa", files, variant="normalized").total.metrics["accuracy"]
    assert round(100 * normalized.value, 2) == want["vqa_lmms_eval_variant"]["overall"]
