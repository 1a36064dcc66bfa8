"""The report on a reward model, against counts made by hand."""

import json

import pytest

from veridical.errors import DataError
from veridical.evaluation.reward_model import (
    HeldOutRow,
    read_held_out,
    report_rewards,
    summary_line,
)


def row(
    number,
    margin,
    preference=1.0,
    *,
    lengths=(10, 10),
    hallucination=None,
    task="description",
    **others,
):
    rewards = {"intact": (margin, 0.0)} | {name: (value, 0.0) for name, value in others.items()}
    return HeldOutRow(
        id=f"c{number}",
        task=task,
        source="simulated",
        preference=preference,
        hallucination=hallucination,
        lengths=lengths,
        rewards=rewards,
    )


ROWS = [
    row(0, 3.0, 1.0, lengths=(9, 5), hallucination=True, swapped_facts=-1.0),
    row(1, -2.0, 0.0, lengths=(9, 5), hallucination=True, swapped_facts=2.0),
    row(2, 1.0, 0.0, lengths=(5, 9), hallucination=False, swapped_facts=1.0),
    row(3, 0.5, 0.8, lengths=(5, 9), task="yes_no", swapped_facts=0.5),
    row(4, 0.0, 1.0, swapped_facts=1.0),
    row(5, 5.0, 0.5, swapped_facts=1.0),
]


def test_agreement_is_counted_without_ties_of_people_and_a_tied_reward_is_not_right():
    report = report_rewards(ROWS)
    assert (report.accuracy.value, report.accuracy.n) == (0.6, 5)
    assert report.accuracy.low < 0.6 < report.accuracy.high
    assert report.text["ties_of_people"] == 1
    assert report.text["ties_of_the_reward"] == 1
    assert report.text["sources"] == ["simulated"]


def value(metric):
    return metric["value"], metric["n"]


def test_accuracy_is_broken_down():
    text = report_rewards(ROWS, kinds={"c0": ["object", "number"], "c2": ["number"]}).text
    # preferred: c0 longer, c1 shorter, c2 longer, c3 shorter, c4 the same
    assert {name: value(metric) for name, metric in text["by_length"].items()} == {
        "longer": (0.5, 2),
        "shorter": (1.0, 2),
        "same": (0.0, 1),
    }
    assert {name: value(metric) for name, metric in text["by_decision"].items()} == {
        "hallucination": (1.0, 2),
        "helpfulness": (0.0, 1),
        "not noted": (0.5, 2),
    }
    assert {name: value(metric) for name, metric in text["by_kind"].items()} == {
        "object": (1.0, 1),
        "number": (0.5, 2),
    }
    assert {name: value(metric) for name, metric in text["by_task"].items()} == {
        "description": (0.5, 4),
        "yes_no": (1.0, 1),
    }
    assert value(text["length_alone"]["longer"]) == (0.4, 5)
    assert [value(part["accuracy"])[1] for part in text["by_margin"]] == [2, 1, 1, 1]
    assert text["by_margin"][0]["least"] == 0.0
    assert text["by_margin"][-1]["most"] == 3.0


def test_the_leak_check_compares_in_pairs():
    leak = report_rewards(ROWS).text["leak_check"]
    assert set(leak) == {"intact", "swapped_facts"}
    # with other facts c0 and c1 turn wrong and c4 turns right: 3 of 5 become 2 of 5
    assert value(leak["swapped_facts"]["accuracy"]) == (0.4, 5)
    assert leak["swapped_facts"]["change"]["difference"] == pytest.approx(-0.2)
    assert leak["swapped_facts"]["change"]["p"] == 1.0
    assert leak["swapped_facts"]["mean_margin_shift"] == pytest.approx((4 + 4 + 0 + 0 + 1) / 5)
    assert leak["intact"]["change"]["difference"] == 0


def test_conditions_may_be_of_a_sample():
    leak = report_rewards([*ROWS, row(6, 1.0)]).text["leak_check"]
    assert value(leak["intact"]["accuracy"]) == (4 / 6, 6)
    assert value(leak["swapped_facts"]["accuracy"]) == (0.4, 5)
    assert leak["swapped_facts"]["change"]["difference"] == pytest.approx(-0.2)


def test_calibration_of_a_reward_that_knows_how_sure_it_is():
    # margin ln 3 says 75 %; three of four are right
    margin = 1.0986122886681098
    rows = [row(number, margin if number % 4 else -margin) for number in range(40)]
    calibration = report_rewards(rows).text["calibration"]
    assert calibration["expected_calibration_error"] == pytest.approx(0.0, abs=1e-9)
    assert len(calibration["bins"]) == 1
    assert calibration["bins"][0]["predicted"] == pytest.approx(0.75)
    assert value(calibration["bins"][0]["observed"]) == (0.75, 40)
    assert calibration["brier_score"] == pytest.approx(0.75 * 0.0625 + 0.25 * 0.5625)
    boastful = report_rewards(
        [row(number, 9.0 if number % 2 else -9.0) for number in range(40)]
    ).text["calibration"]
    assert boastful["expected_calibration_error"] == pytest.approx(0.5, abs=1e-3)


def test_nothing_held_out_is_reported_as_nothing():
    report = report_rewards([])
    assert report.accuracy.n == 0
    assert report.text["calibration"]["n"] == 0
    assert json.dumps(report.text, allow_nan=False)
    assert "0 held-out comparisons" in summary_line(report)


def test_the_file_is_read_and_its_faults_are_reported(tmp_path):
    path = tmp_path / "held_out.jsonl"
    path.write_text("".join(item.model_dump_json() + "\n" for item in ROWS))
    assert read_held_out(path) == ROWS
    path.write_text(path.read_text() + '{"id": 3}\n')
    with pytest.raises(DataError, match=r"held_out\.jsonl:7"):
        read_held_out(path)


def test_the_summary_names_what_was_taken_away():
    assert summary_line(report_rewards(ROWS)).endswith("with another image's facts 40.0%.")
