"""The page that compares benchmark scores, from evaluations and files of `veridical score`."""

import json

import pytest

from veridical.cli import main
from veridical.errors import ConfigError, DataError
from veridical.report.benchmarks import all_scored, compare_benchmarks, group_runs
from veridical.scoring.files import score
from veridical.scoring.protocol import Files
from veridical.scoring.runs import read_runs


@pytest.fixture
def scores(tmp_path):
    """Two runs over 60 questions on 60 images: one is right throughout, one says yes throughout."""
    rows = [
        {"question_id": i, "image": f"{i}.jpg", "text": "?", "label": "yes" if i % 2 else "no"}
        for i in range(60)
    ]
    questions = tmp_path / "questions.jsonl"
    questions.write_text("\n".join(map(json.dumps, rows)))
    for name, answer in (("yes", lambda i: "Yes"), ("right", lambda i: "Yes" if i % 2 else "No")):
        answers = tmp_path / f"{name}-answers.jsonl"
        answers.write_text(
            "\n".join(json.dumps({"question_id": i, "answer": answer(i)}) for i in range(60))
        )
        out = tmp_path / name
        given = ["--responses", str(answers), "--questions", str(questions)]
        with pytest.raises(SystemExit) as done:
            main(
                [
                    "score",
                    "pope",
                    *given,
                    "--json",
                    str(out / "score.json"),
                    "--items",
                    str(out / "items.jsonl"),
                ]
            )
        assert done.value.code == 0
    return tmp_path


def test_scores_of_the_command_line_are_compared_with_a_paired_test(scores, capsys):
    page = scores / "page.html"
    files = [str(scores / name / "score.json") for name in ("yes", "right")]
    with pytest.raises(SystemExit) as done:
        main(["report", *files, "--out", str(page)])
    assert done.value.code == 0
    html = page.read_text()
    assert "pope · official" in html
    assert "✓ better" in html
    headline = html.partition('<h1 id="headline">')[2].partition("</h1>")[0]
    assert headline.endswith("on 3 of 5 metrics, worse on none; no difference is shown on 1.")
    assert "Yes ratio" in html
    assert ">yes_ratio" not in html
    assert 'data-label="right/score.json"' in html
    assert "+50.0" in html
    assert "<script" not in html
    assert "http://" not in html.replace("http://www.w3.org", "")


def test_directions_of_metrics_come_from_the_card(scores):
    runs = [
        run
        for name in ("yes", "right")
        for run in read_runs(scores / name / "score.json", name=name)
    ]
    (group,) = group_runs(runs)
    verdicts = {row.name: row.cells[1].verdict for row in group.rows}
    assert verdicts["accuracy"] == "better"
    assert verdicts["yes_ratio"] == "changed"
    assert verdicts["recall"] == "not shown"
    (back,) = group_runs(runs[::-1])
    assert {row.name: row.cells[1].verdict for row in back.rows}["accuracy"] == "worse"


def test_without_items_there_is_no_test_and_the_page_says_so(scores):
    (scores / "right" / "items.jsonl").unlink()
    html = compare_benchmarks(
        {name: scores / name / "score.json" for name in ("yes", "right")}, scores / "page.html"
    ).read_text()
    assert "Not tested: right and yes: no item scores are kept" in html


def test_ways_of_counting_stand_in_tables_of_their_own(scores):
    files = Files(scores / "yes-answers.jsonl", scores / "questions.jsonl")
    strict = score("pope", files, variant="strict")
    path = scores / "strict.json"
    path.write_text(strict.total.model_dump_json())
    runs = [*read_runs(scores / "yes" / "score.json"), *read_runs(path)]
    assert [group.title for group in group_runs(runs)] == ["pope · official", "pope · strict"]


def test_runs_of_two_sorts_are_not_mixed(scores):
    with pytest.raises(ConfigError, match="Compare runs of one sort"):
        all_scored([scores / "yes" / "score.json", scores])
    wrong = scores / "wrong.json"
    wrong.write_text('{"benchmark": "pope"}')
    with pytest.raises(DataError, match="no score of a benchmark"):
        read_runs(wrong)
