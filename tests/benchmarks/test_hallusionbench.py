"""HallusionBench: three accuracies by hand, whose fault an error is, and divisions by zero."""

import itertools

import pytest

from official_data import DATA, expected, needs_data, write_lines
from veridical.benchmarks.hallusionbench.rates import Blame, blame
from veridical.errors import DataError
from veridical.scoring.comparison import compare_scores
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

LANGUAGE, VISION, MIXED, NONE = (
    Blame(language=True),
    Blame(vision=True),
    Blame(language=True, vision=True),
    Blame(),
)


def row(
    figure="0",
    question="0",
    *,
    category="VS",
    visual=None,
    truth="1",
    check="1",
    same="1",
    answer="Yes.",
):
    visual = visual or ("2" if figure != "0" else "1" if category == "VD" else "0")
    return {
        "category": category,
        "subcategory": "chart",
        "visual_input": visual,
        "set_id": "0",
        "figure_id": figure,
        "question_id": question,
        "gt_answer": truth,
        "model_prediction": answer,
        "gpt4v_output_gpt_check": check,
        "same": same,
    }


def hallusion(folder, rows, *, variant="official"):
    return score(
        "hallusionbench", Files(responses=write_lines(folder / "rows.jsonl", rows)), variant=variant
    )


def values(scored):
    return {name: metric.value for name, metric in scored.total.metrics.items()}


def test_answers_questions_and_figures_by_hand(tmp_path):
    rows = [
        row("0", "0", check="2"),  # no figure, and the model does not know: right
        row("0", "1"),
        row("1", "0", check="2", visual="1"),  # not knowing with a figure: wrong
        row("1", "1", visual="1"),
        row("2", "0"),
        row("2", "1"),
    ]
    found = values(hallusion(tmp_path, rows))
    assert (found["a_acc"], found["q_acc"], found["f_acc"]) == (pytest.approx(5 / 6), 0.5, 0.5)
    assert (found["easy_a_acc"], found["hard_a_acc"]) == (0.5, 1.0)
    assert (found["figures_inconsistent"], found["figures_wrong"], found["figure_score"]) == (
        0.5,
        0.0,
        0.75,
    )
    assert (found["error/vision"], found["error/language"], found["error/mixed"]) == (1.0, 0.0, 0.0)


def test_figures_count_questions_without_a_figure_in_lmms_eval_only(tmp_path):
    rows = [row("0", "0", answer="no", check="0"), row("1", "0"), row("2", "0")]
    assert values(hallusion(tmp_path, rows))["f_acc"] == 1.0
    assert values(hallusion(tmp_path, rows, variant="lmms-eval"))["f_acc"] == pytest.approx(2 / 3)


def test_eyes_hold_a_yes_in_lmms_eval(tmp_path):
    rows = [row(answer="I see two eyes.", check="0")]
    found = [
        values(hallusion(tmp_path, rows, variant=name))["a_acc"]
        for name in ("official", "lmms-eval")
    ]
    assert found == [0.0, 1.0]


def test_yes_and_no_are_read_as_words_where_nobody_judges(tmp_path):
    rows = [
        row(
            "0", "0", answer="I cannot tell.", truth="0"
        ),  # no figure, and the model does not know: right
        row(
            "1", "0", answer="I cannot tell.", truth="0", visual="1"
        ),  # not knowing with a figure: wrong
        row("2", "0", answer="I see two eyes, so no.", truth="0"),
        row("0", "1", answer="Yes.", truth="0"),
        row(
            "2", "1", answer="Yes.", truth="0"
        ),  # the same without and with the figure: it was not looked at
    ]
    scored = hallusion(
        tmp_path, [{k: v for k, v in one.items() if k != "same"} for one in rows], variant="yes-no"
    )
    assert [item.parsed for item in scored.items] == [
        "unclear",
        "unclear",
        "right",
        "wrong",
        "wrong",
    ]
    assert [item.values["correct"] for item in scored.items] == [1, 0, 1, 0, 0]
    kinds = [(item.values["language"], item.values["vision"]) for item in scored.items]
    assert kinds == [(0, 0), (0, 1), (0, 0), (1, 0), (1, 0)]
    assert scored.total.warnings[-1].startswith(
        "1 answers to questions without a figure say neither yes nor no"
    )


REVIEWS = ["Correct.", "**incorrect**", "It is not correct.", "unclear", None]
READ = {"official": [1, 0, 1, 0, None], "strict": [1, 0, None, 0, None]}


def reviewed(folder, variant, reviews=REVIEWS):
    rows = [row("1", str(n), visual="1") for n in range(len(REVIEWS))]
    said = [
        {"id": f"VS/chart/0/1/{n}", "review": text, "problem": "timed out", "model": "judge-1"}
        for n, text in enumerate(reviews)
    ]
    files = Files(
        write_lines(folder / "rows.jsonl", rows),
        reviews=write_lines(folder / "reviews.jsonl", said),
    )
    return score("hallusionbench", files, variant=variant)


@pytest.mark.parametrize("variant", READ)
def test_a_judges_words_are_read_officially_or_strictly(variant, tmp_path):
    scored = reviewed(tmp_path, variant)
    assert [item.values.get("correct") for item in scored.items] == READ[variant]
    assert scored.total.versions["judge"] == "judge-1"


def test_what_nobody_could_check_is_no_score_and_leaves_its_figure_out(tmp_path):
    scored = reviewed(tmp_path, "strict")
    assert [item.status for item in scored.items] == [
        "scored",
        "scored",
        "unparsed",
        "scored",
        "failed",
    ]
    metrics = scored.total.metrics
    assert (metrics["a_acc"].value, metrics["a_acc"].n) == (pytest.approx(1 / 3), 3)
    assert (metrics["q_acc"].n, metrics["f_acc"].n) == (3, 0)
    assert scored.total.warnings[1].startswith("2 of 5 answers have no check that could be read")
    better = reviewed(tmp_path, "strict", ["correct"] * 5)
    compared = compare_scores(scored, better)
    assert compared["a_acc"].difference.n == 1  # one set of figures


def test_an_answer_without_review_and_a_file_without_checks_are_reported(tmp_path):
    with pytest.raises(DataError, match=r"rows\.jsonl:5: answer VS/chart/0/1/4 has no review"):
        reviewed(tmp_path, "official", REVIEWS[:4])
    bare = {key: value for key, value in row().items() if key != "gpt4v_output_gpt_check"}
    with pytest.raises(
        DataError, match=r"rows\.jsonl: no row holds a judge's check.*--variant yes-no"
    ):
        hallusion(tmp_path, [bare])
    assert hallusion(tmp_path, [bare], variant="yes-no").total.metrics["a_acc"].value == 1


@pytest.mark.parametrize(
    ("category", "check", "original", "altered", "same", "kind"),
    [
        ("VS", "0", "", False, "", LANGUAGE),  # made up without seeing anything
        ("VS", "2", "", False, "", NONE),
        ("VD", "2", "", False, "", VISION),
        ("VD", "0", "1", True, "1", MIXED),
        ("VD", "0", "1", True, "0", VISION),
        ("VD", "0", "0", True, "1", VISION),
        ("VS", "0", "0", True, "1", LANGUAGE),
        ("VS", "0", "0", True, "0", MIXED),
        ("VS", "2", "0", True, "1", MIXED),
        ("VS", "0", "2", True, "1", VISION),
        ("VS", "0", "1", False, "1", VISION),
        ("VS", "0", "1", True, "1", LANGUAGE),
        ("VS", "0", "1", True, "0", VISION),
        ("VS", "2", "1", True, "1", VISION),
        ("VS", "0", "1", True, "", None),
        ("VD", "0", "1", True, "", None),
    ],
)
def test_whose_fault_an_error_is(category, check, original, altered, same, kind):
    assert blame(category, check, original_check=original, altered=altered, same=same) == kind


def test_every_wrong_answer_to_an_altered_figure_is_somebodys_fault_and_no_right_one_is():
    for category, check, original, altered, same in itertools.product(
        ("VD", "VS"), "012", "012", (False, True), "01"
    ):
        kind = blame(category, check, original_check=original, altered=altered, same=same)
        assert any(kind) == (check != "1")


def test_a_perfect_model_has_no_errors_to_share_out_rather_than_a_division_by_zero(tmp_path):
    metrics = hallusion(tmp_path, [row("0"), row("1")]).total.metrics
    assert (metrics["a_acc"].value, metrics["fp_ratio"].n, metrics["error/language"].n) == (
        1.0,
        0,
        0,
    )


def test_errors_that_cannot_be_distinguished_are_counted_and_said(tmp_path):
    scored = hallusion(
        tmp_path, [row("0"), {**row("1", check="0"), "same": None}, row("1", "1", check="0")]
    )
    assert scored.total.metrics["error/language"].n == 0
    assert scored.total.warnings[-1].startswith(
        "2 wrong answers lack `same`, or the answer to the original figure"
    )


def test_two_runs_are_compared_answer_question_and_figure(tmp_path):
    rows = [row(figure, question) for figure in "012" for question in "01"]
    worse = [
        {**one, "gpt4v_output_gpt_check": "0" if one["figure_id"] == "2" else "1"} for one in rows
    ]
    compared = compare_scores(hallusion(tmp_path, rows), hallusion(tmp_path, worse))
    found = {name: one.difference.difference for name, one in compared.items()}
    assert found == pytest.approx({"a_acc": -1 / 3, "q_acc": -1, "f_acc": -1 / 2})


def test_a_part_of_the_benchmark_says_that_it_is_one(tmp_path):
    assert (
        "1 question of 1,129: not the whole benchmark."
        in hallusion(tmp_path, [row()]).total.warnings
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"gpt4v_output_gpt_check": "correct"},
            '`gpt4v_output_gpt_check` must be 0 or 1 or 2, got "correct"',
        ),
        ({"category": "XX"}, '`category` must be VD or VS, got "XX"'),
        ({"gt_answer": True}, "`gt_answer` must be 0 or 1, got true"),
        ({"figure_id": None}, "`figure_id` must be a number or a text, got null"),
        ({"model_prediction": ["Yes", "No"]}, "`model_prediction` must be text"),
    ],
)
def test_malformed_rows_are_reported_with_their_line(changed, message, tmp_path):
    with pytest.raises(DataError) as caught:
        hallusion(tmp_path, [row(), {**row("1"), **changed}])
    assert "rows.jsonl:2:" in str(caught.value)
    assert message in str(caught.value)


def test_a_question_that_stands_twice_is_reported(tmp_path):
    with pytest.raises(
        DataError, match=r"rows\.jsonl:2: id 'VS/chart/0/0/0' stands in line 1 already"
    ):
        hallusion(tmp_path, [row(), row()])


@needs_data
def test_the_official_numbers():
    case = expected("hallusionbench")["hallusionbench_synth_a"]
    files = Files(responses=DATA / case["file"])
    official, metrics = case["official"], score("hallusionbench", files).total.metrics
    names = {
        "aAcc": "a_acc",
        "qAcc": "q_acc",
        "fAcc": "f_acc",
        "easy_aAcc": "easy_a_acc",
        "hard_aAcc": "hard_a_acc",
        "LH": "error/language",
        "VI": "error/vision",
        "Mixed": "error/mixed",
    }
    for theirs, ours in names.items():
        assert round(100 * metrics[ours].value, 4) == official[theirs], theirs
    for category, accuracies in official["by_category"].items():
        for theirs, value in accuracies.items():
            assert round(100 * metrics[f"{names[theirs]}/{category}"].value, 4) == value, (
                category,
                theirs,
            )
    counts = [metrics[name].n for name in ("a_acc", "q_acc", "f_acc")]
    assert counts == [official["n_questions"], official["n_pairs"], official["n_figures"]]
    assert metrics["yes_difference"].value == pytest.approx(official["yes_pct_diff"], abs=1e-12)
    assert metrics["fp_ratio"].value == pytest.approx(official["fp_ratio"], abs=1e-12)
    lmms = score("hallusionbench", files, variant="lmms-eval").total.metrics
    for theirs, value in case["lmms_eval_string_match_variant"].items():
        assert lmms[names[theirs]].value == pytest.approx(value, abs=1e-12)
