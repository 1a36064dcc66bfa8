"""MME: points by hand, four letters that decide, the official folder and rows alike, faults."""

import pytest

import score_layouts as layouts
from official_data import write_lines
from veridical.benchmarks.mme.benchmark import Mme, official_answer
from veridical.benchmarks.mme.card import CARD, COGNITION, PERCEPTION, TASKS
from veridical.errors import DataError
from veridical.scoring.comparison import compare_scores
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

ASKED = (("Is there a dog?", "Yes"), ("Is there a cat?", "No"))


def folder_of(folder, tasks):
    """The official folder: task → answers, two to a picture."""
    folder.mkdir(exist_ok=True)
    for task, answers in tasks.items():
        lines = [
            "\t".join((f"{number // 2}.jpg", *ASKED[number % 2], answer))
            for number, answer in enumerate(answers)
        ]
        (folder / f"{task}.txt").write_text("\n".join(lines) + "\n")
    return Files(responses=folder)


def rows_of(tasks):
    return [
        {
            "question_id": f"{task}/{number // 2}.jpg",
            "question": ASKED[number % 2][0],
            "text": answer,
            "label": ASKED[number % 2][1],
        }
        for task, answers in tasks.items()
        for number, answer in enumerate(answers)
    ]


def values(scored):
    return {name: metric.value for name, metric in scored.total.metrics.items()}


def test_points_by_hand(tmp_path):
    tasks = {"existence": ["Yes", "No", "Yes", "Yes", "No", "Yes"], "count": ["Yes.", "no, none"]}
    scored = score("mme", folder_of(tmp_path / "r", {**tasks, "code_reasoning": ["?", "No"]}))
    found = values(scored)
    # Three pictures: both right, one right, none right: accuracy 3 of 6, accuracy+ 1 of 3.
    assert found["score/existence"] == pytest.approx(100 * (3 / 6 + 1 / 3)) == (200 + 50 + 0) / 3
    assert found["score/count"] == 200
    assert found["perception"] == pytest.approx(200 + 250 / 3)
    assert found["cognition"] == found["score/code_reasoning"] == 50
    assert found["accuracy"] == pytest.approx(6 / 10)
    assert (found["accuracy_plus"], scored.total.metrics["accuracy_plus"].n) == (2 / 5, 5)
    assert found["unknown_ratio"] == 1 / 10
    assert any("perception lacks 8 of 10 tasks" in note for note in scored.total.warnings)


@pytest.mark.parametrize(
    ("answer", "official", "strict"),
    [
        ("Yes", "yes", "yes"),
        ("NO!", "no", "no"),
        ("  no", "no", "no"),
        ("\n\n\n\nYes", "unknown", "yes"),
        ("Not sure", "no", "unknown"),
        ("Know that", "no", "unknown"),
        ("I think so, yes", "unknown", "yes"),
        ("Eyes are shut", "yes", "unknown"),
        ("", "unknown", "unknown"),
    ],
)
def test_the_first_four_letters_decide_officially(tmp_path, answer, official, strict):
    assert official_answer(answer) == official
    files = Files(write_lines(tmp_path / "a.jsonl", rows_of({"OCR": [answer, "No"]})))
    assert score("mme", files, variant="strict").items[0].parsed == strict


def test_the_folder_and_rows_give_the_same(tmp_path):
    tasks = {task: ["yes", "no", "no", "no", "Yes", "maybe"] for task in TASKS}
    rows = rows_of(tasks)
    folder = score("mme", folder_of(tmp_path / "r", tasks))
    own = score("mme", Files(write_lines(tmp_path / "a.jsonl", rows)))
    assert (own.items, own.total.metrics) == (folder.items, folder.total.metrics)
    asked = [
        {"question_id": r["question_id"], "question": r["question"], "answer": r["label"]}
        for r in rows
    ]
    said = [
        {
            "question_id": r["question_id"],
            "prompt": r["question"] + "\nAnswer the question using a single word or phrase.",
            "text": r["text"],
        }
        for r in rows
    ]
    files = Files(
        write_lines(tmp_path / "b.jsonl", said), questions=write_lines(tmp_path / "q.jsonl", asked)
    )
    assert score("mme", files).items == folder.items
    assert not folder.total.warnings[:-1]  # all tasks are there; one reading is a guess
    prompts = Mme().questions(files)
    assert prompts[1].row == {
        "question_id": "existence/0.jpg",
        "question": "Is there a cat?",
        "label": "no",
    }
    assert (prompts[0].id, prompts[1].id, prompts[1].image) == (
        "existence/0.jpg/1",
        "existence/0.jpg/2",
        "existence/0.jpg",
    )


def test_a_total_weighs_tasks_alike_and_its_interval_follows_the_small_ones(tmp_path):
    small, large = ["Yes", "No", "No", "No"], ["Yes", "No", "No", "Yes"] * 50
    metrics = score(
        "mme", folder_of(tmp_path / "r", {"count": small, "scene": large})
    ).total.metrics
    assert metrics["perception"].value == 125 + 100
    assert (
        metrics["score/count"].high - metrics["score/count"].low == 200
    )  # two pictures say little
    low = metrics["perception"].value - metrics["perception"].low
    alone = metrics["score/count"].value - metrics["score/count"].low
    assert low == pytest.approx((alone**2 + (100 - metrics["score/scene"].low) ** 2) ** 0.5)


def test_two_runs_are_compared_by_picture(tmp_path):
    worse, better = ["Yes", "Yes"] * 12, ["Yes", "No"] * 12
    first, second = (
        score("mme", folder_of(tmp_path / name, {"count": said, "OCR": ["Yes", "No"]}))
        for name, said in (("a", worse), ("b", better))
    )
    found = compare_scores(first, second)["perception"]
    assert found.difference.difference == pytest.approx(150)
    assert found.difference.p < 0.01


def test_published_task_scores_are_points_of_thirty_pictures():
    # InternLM-XComposer-VL-7B, as its authors printed the official code's output.
    assert (len(PERCEPTION), len(COGNITION)) == (10, 4)
    printed = CARD.references[-1].values
    for task in ("existence", "count", "position", "color"):
        points = printed[f"score/{task}"] * 30 / 50  # a picture: 0, 1 or 4 times 50
        assert points == pytest.approx(round(points)), task


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:1], "needs two answers, got 1"),
        (lambda lines: [*lines, lines[0]], "needs two answers, got 3"),
        (lambda lines: [lines[0] + "\tmore", lines[1]], r"got 5 of these four. Fix the line"),
        (lambda lines: [lines[0].replace("\tYes\t", "\tmaybe\t"), lines[1]], "must be yes or no"),
    ],
)
def test_faults_of_the_official_folder_have_file_and_line(tmp_path, change, message):
    folder_of(tmp_path / "r", {"count": ["Sure", "No"]})
    path = tmp_path / "r" / "count.txt"
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(DataError, match=message) as caught:
        score("mme", Files(tmp_path / "r"))
    assert caught.value.faults[0].file == path


def test_faults_of_rows(tmp_path):
    rows = rows_of({"existence": ["Yes", "No"]})
    for change, message in (
        ({"question_id": "size/1.jpg"}, "TASK one of existence, count"),
        ({"label": "perhaps"}, "`label` must be yes or no"),
    ):
        files = Files(write_lines(tmp_path / "a.jsonl", [{**rows[0], **change}, rows[1]]))
        with pytest.raises(DataError, match=message):
            score("mme", files)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no file of a task in it"):
        score("mme", Files(tmp_path / "none"))
    questions = [{"question_id": "existence/0.jpg", "question": "Else?", "answer": "yes"}]
    del rows[0]["label"], rows[1]["label"]
    files = Files(
        write_lines(tmp_path / "a.jsonl", rows),
        questions=write_lines(tmp_path / "q.jsonl", questions),
    )
    with pytest.raises(DataError, match="not among the questions"):
        score("mme", files)


def test_the_folder_that_generate_wrote_is_scored_with_the_questions(tmp_path):
    rows = rows_of({task: ["Yes", "No", "No", "Yes"] for task in ("existence", "OCR")})
    plain = score("mme", Files(write_lines(tmp_path / "a.jsonl", rows)))
    images = [f"/data/{row['question_id']}" for row in rows]
    named = [{**row, "id": f"p{number}"} for number, row in enumerate(rows)]
    folder = layouts.generated(tmp_path, named, id_name="id", answer="text", images=images)
    asked = [{**row, "answer": row["label"]} for row in rows]
    questions = write_lines(tmp_path / "q.jsonl", asked)
    found = score("mme", Files(folder, questions=questions))
    assert found.total.metrics == plain.total.metrics
    with pytest.raises(DataError, match="Give the benchmark's file of questions too: --questions"):
        score("mme", Files(folder))
