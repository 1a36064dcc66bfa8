"""POPE: four readings of an answer, faults of the official code, degenerate models, matching."""

import json
import time

import pytest

from official_data import DATA, expected, needs_data, write_lines
from veridical.benchmarks.pope.benchmark import PARSERS
from veridical.errors import DataError
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

ALL = ("official", "strict", "vlmevalkit", "lmms-eval")


def pope(folder, answers, labels, *, variant="official", ids=True):
    """Score answers to questions, two an image."""
    id_of = (lambda number: {"question_id": number}) if ids else (lambda number: {})
    said = [{**id_of(number), "answer": text} for number, text in enumerate(answers, start=1)]
    asked = [
        {
            "question_id": number,
            "image": f"{number // 2}.jpg",
            "text": "Is there a dog?",
            "label": label,
        }
        for number, label in enumerate(labels, start=1)
    ]
    files = Files(
        responses=write_lines(folder / "answers.jsonl", said),
        questions=write_lines(folder / "asked.jsonl", asked),
    )
    return score("pope", files, variant=variant)


def value(scored, name):
    return scored.total.metrics[name].value


@pytest.mark.parametrize(
    ("answer", "official", "strict", "vlmevalkit", "lmms"),
    [
        ("Yes", "yes", "yes", "yes", "yes"),
        ("No.", "no", "no", "no", "unknown"),
        ("NO", "yes", "no", "no", "no"),
        ("No!", "yes", "no", "no", "unknown"),
        ("**No**", "yes", "no", "unknown", "unknown"),
        ("No\n\nThere is nothing.", "yes", "no", "no", "unknown"),
        ("I am not sure", "no", "unknown", "unknown", "unknown"),
        ("There isn't a dog", "yes", "unknown", "unknown", "unknown"),
        ("Another snowboard", "yes", "unknown", "unknown", "unknown"),
        ("Yes. There is no cat though.", "yes", "yes", "unknown", "unknown"),
        ("Yes, not no", "no", "yes", "unknown", "unknown"),
        ("1.5 dogs, no cats", "yes", "no", "no", "unknown"),
        ("The answer is no.", "no", "no", "no", "unknown"),
        ("Nein", "yes", "unknown", "unknown", "unknown"),
        ("否", "yes", "unknown", "unknown", "unknown"),
        ("", "yes", "unknown", "unknown", "unknown"),
    ],
)
def test_four_ways_to_read_an_answer(answer, official, strict, vlmevalkit, lmms):
    assert [PARSERS[variant](answer) for variant in ALL] == [official, strict, vlmevalkit, lmms]


@needs_data
def test_all_edge_cases_are_read_as_the_three_codes_read_them():
    rows = [
        json.loads(line)
        for line in (DATA / "pope" / "parse_edge_cases.jsonl").read_text().splitlines()
    ]
    assert len(rows) == expected("pope")["parse_edge_cases"]["n"] == 82
    for row in rows:
        assert PARSERS["official"](row["answer"]) == row["official"], row
        assert PARSERS["vlmevalkit"](row["answer"]) == row["vlmevalkit"].lower(), row
        lmms = row["lmms_eval"] if not row["lmms_eval"].startswith("other:") else "unknown"
        assert PARSERS["lmms-eval"](row["answer"]) == lmms, row


@needs_data
@pytest.mark.parametrize("source", ["coco", "aokvqa", "gqa"])
@pytest.mark.parametrize("split", ["random", "popular", "adversarial"])
def test_every_question_file_can_be_read_whatever_its_texts_say(source, split, tmp_path):
    questions = DATA / "pope" / "questions_vcd" / f"{source}_pope_{split}.json"
    answers = write_lines(
        tmp_path / "a.jsonl", [{"question_id": n, "answer": "Yes"} for n in range(1, 3001)]
    )
    total = score("pope", Files(responses=answers, questions=questions)).total
    assert total.metrics["accuracy"].value == total.metrics["precision"].value == 0.5
    assert (total.counts["items"], total.metrics["yes_ratio"].value) == (3000, 1.0)


def test_not_sure_is_a_no_officially_and_the_effect_is_33_points(tmp_path):
    answers, labels = ["Yes", "No", "I am not sure"], ["yes", "no", "no"]
    official, strict = (
        pope(tmp_path, answers, labels, variant=name) for name in ("official", "strict")
    )
    assert value(official, "accuracy") - value(strict, "accuracy") == pytest.approx(1 / 3)
    assert value(strict, "unknown_ratio") == pytest.approx(1 / 3)
    assert official.total.warnings == (
        "1 of 3 answers say neither yes nor no; the official parser guesses.",
    )


def test_punctuation_and_case_cost_a_careful_model_50_points_officially(tmp_path):
    answers, labels = ["No!", "NO", "**No**", "Yes"] * 3, ["no", "no", "no", "yes"] * 3
    answers[:3] = ["No"] * 3
    official, strict = (
        pope(tmp_path, answers, labels, variant=name) for name in ("official", "strict")
    )
    assert (value(official, "accuracy"), value(strict, "accuracy")) == (0.5, 1.0)


def test_lmms_evals_yes_ratio_is_that_of_the_truth(tmp_path):
    lmms, strict = (
        pope(tmp_path, ["Yes"] * 4, ["yes", "no"] * 2, variant=name)
        for name in ("lmms-eval", "strict")
    )
    assert (value(lmms, "yes_ratio"), value(strict, "yes_ratio")) == (0.5, 1.0)


def test_lmms_eval_leaves_what_it_cannot_read_out_of_recall_but_not_of_accuracy(tmp_path):
    scored = pope(
        tmp_path, ["yes", "Yes.", "no", "no"], ["yes", "yes", "no", "no"], variant="lmms-eval"
    )
    assert (value(scored, "accuracy"), value(scored, "recall"), value(scored, "unknown_ratio")) == (
        0.75,
        1.0,
        0.25,
    )
    assert scored.total.metrics["recall"].n == 1


def test_shorter_answers_are_no_silent_cut(tmp_path):
    with pytest.raises(DataError, match=r"answers\.jsonl: 2 answers for 3 questions, and no ids"):
        pope(tmp_path, ["Yes", "No"], ["yes", "no", "no"], ids=False)


@needs_data
def test_the_cut_that_the_official_code_makes_costs_24_points(tmp_path):
    """2,910 answers to 3,000 questions: the official script pairs them by order and says 50.2 %."""
    case = expected("pope")["synth/length_mismatch_2910_answers_3000_labels"]
    with pytest.raises(DataError, match="90 faults in the input") as caught:
        score("pope", Files(responses=DATA / case["answers"], questions=DATA / case["labels"]))
    assert "question 2911 has no answer" in str(caught.value)
    asked = [json.loads(line) for line in (DATA / case["labels"]).read_text().splitlines()][:2910]
    cut = score(
        "pope",
        Files(
            responses=DATA / case["answers"], questions=write_lines(tmp_path / "cut.jsonl", asked)
        ),
    )
    right = expected("pope")["synth/coco_pope_random_2910_verbose"]["metrics"]["accuracy"]
    assert value(cut, "accuracy") == case["metrics"]["accuracy"]
    assert right - value(cut, "accuracy") == pytest.approx(0.242, abs=0.001)


def test_answers_are_matched_by_id_whatever_their_order(tmp_path):
    asked = [
        {"question_id": n, "image": "a", "label": label} for n, label in ((7, "yes"), (8, "no"))
    ]
    said = [{"question_id": "8", "text": "No"}, {"question_id": "7", "text": "Yes"}]
    files = Files(
        responses=write_lines(tmp_path / "a.jsonl", said),
        questions=write_lines(tmp_path / "q.jsonl", asked),
    )
    scored = score("pope", files)
    assert value(scored, "accuracy") == 1.0
    assert [item.id for item in scored.items] == ["7", "8"]


def test_without_ids_the_order_is_trusted_and_that_is_said(tmp_path):
    scored = pope(tmp_path, ["Yes", "No"], ["yes", "no"], ids=False)
    assert value(scored, "accuracy") == 1.0
    assert "matched by order" in scored.total.warnings[0]


@pytest.mark.parametrize("variant", ALL)
def test_a_model_that_never_says_yes_has_no_precision_rather_than_a_division_by_zero(
    variant, tmp_path
):
    metrics = pope(tmp_path, ["No"] * 4, ["yes", "no"] * 2, variant=variant).total.metrics
    assert (metrics["accuracy"].value, metrics["recall"].value) == (0.5, 0.0)
    precision = metrics["precision"]
    assert (precision.value, precision.n, precision.low, precision.high) == (0.0, 0, 0.0, 1.0)


def test_ten_thousand_answers_take_less_than_a_second(tmp_path):
    answers = ["Yes, there is.", "No", "no, not at all", "I am not sure"] * 2500
    pope(tmp_path, answers[:8], ["yes", "no"] * 4)  # the first call imports
    started = time.process_time()
    scored = pope(tmp_path, answers, ["yes", "no"] * 5000)
    assert time.process_time() - started < 1.0
    assert scored.total.counts["items"] == 10_000


def three_splits(folder, *, prompts=True, category=""):
    """Questions of three splits, and LLaVA's one file of answers to all of them."""
    said, truth = [], {}
    for block, split in enumerate(("popular", "adversarial", "random")):
        asked = []
        for number in range(1, 21):
            present = number % 2 == 1
            thing = f"thing-{number}" if present else f"{split}-{number}"
            text = f"Is there a {thing} in the image?"
            asked.append(
                {
                    "question_id": number,
                    "image": f"{number // 4}.jpg",
                    "text": text,
                    "label": "yes" if present else "no",
                }
            )
            wrong = number % 2 == 0 and number <= 2 * (block + 1)
            said.append(
                {
                    "question_id": block * 10_000_000 + number,
                    **({"prompt": f"{text}\nAnswer the question briefly."} if prompts else {}),
                    "text": "Yes" if present or wrong else "No",
                }
            )
        truth[split] = 1 - (block + 1) / 20
        write_lines(folder / f"coco_pope_{split}.json", asked)
    return write_lines(folder / "answers.jsonl", said), truth


def test_llavas_one_file_is_scored_split_by_split(tmp_path):
    folder = tmp_path / "questions"
    folder.mkdir()
    answers, truth = three_splits(folder)
    answers = answers.rename(tmp_path / "answers.jsonl")
    total = score("pope", Files(answers, folder)).total
    for split, accuracy in truth.items():
        assert total.metrics[f"accuracy/{split}"].value == pytest.approx(accuracy)
        assert total.metrics[f"accuracy/{split}"].n == 20
        one = score("pope", Files(answers, folder / f"coco_pope_{split}.json")).total
        assert one.metrics["accuracy"].value == pytest.approx(accuracy)
        assert any("Left out: 40 answers to other splits" in note for note in one.warnings)
    assert total.metrics["accuracy"].value == pytest.approx(sum(truth.values()) / 3)
    assert any("3 splits" in note for note in total.warnings)


def test_three_splits_without_prompts_need_questions_with_the_same_ids(tmp_path):
    folder = tmp_path / "questions"
    folder.mkdir()
    answers, truth = three_splits(folder, prompts=False)
    answers = answers.rename(tmp_path / "answers.jsonl")
    for questions in (folder, folder / "coco_pope_random.json"):
        with pytest.raises(DataError, match=r"answers of 3 splits \(ids from 1, 10,000,001"):
            score("pope", Files(answers, questions))
    asked = [
        {
            **json.loads(line),
            "question_id": block * 10_000_000 + json.loads(line)["question_id"],
            "category": split,
        }
        for block, split in enumerate(truth)
        for line in (folder / f"coco_pope_{split}.json").read_text().splitlines()
    ]
    one_file = write_lines(tmp_path / "llava_pope_test.jsonl", asked)
    metrics = score("pope", Files(answers, one_file)).total.metrics
    found = {split: metrics[f"accuracy/{split}"].value for split in truth}
    assert found == pytest.approx(truth)


def test_a_category_on_both_sides_parts_questions_of_one_id(tmp_path):
    rows = [
        {"question_id": n, "image": "a.jpg", "text": f"{n}?", "label": label, "category": split}
        for split, label in (("random", "yes"), ("popular", "no"))
        for n in (1, 2)
    ]
    said = [
        {"question_id": r["question_id"], "category": r["category"], "answer": "Yes"} for r in rows
    ]
    files = Files(write_lines(tmp_path / "a.jsonl", said), write_lines(tmp_path / "q.jsonl", rows))
    metrics = score("pope", files).total.metrics
    assert (metrics["accuracy/random"].value, metrics["accuracy/popular"].value) == (1, 0)
