"""Numbers as people read them, and what a difference allows one to say."""

import math

import pytest
from markupsafe import Markup

from veridical.records import Difference, Metric, Segment
from veridical.report import wording as w
from veridical.report.figures.svg import Scale, element, round_numbers
from veridical.report.page import chosen_html, rejected_html


def difference(value, low, high, p, n=100):
    return Difference(difference=value, low=low, high=high, p=p, test="t", n=n)


def test_numbers_have_units_signs_and_no_minus_zero():
    assert w.value_text(Metric(value=0.574, n=10, low=0.5, high=0.6), "%") == "57.4\u202f%"
    assert w.value_text(Metric(value=0, n=0, low=0, high=1), "%") == "–"
    assert w.difference_text(difference(-0.452, -0.5, -0.4, 0.0), "%") == "−45.2\u202fpoints"
    assert w.difference_text(difference(1.3, 1, 2, 0.0), "of 6") == "+1.30"
    assert w.decimal(-0.01) == "0.0"
    assert (w.p_text(0.0004), w.p_text(0.0312), w.p_text(0.81)) == ("< 0.001", "0.031", "0.81")
    assert (w.seconds_text(2.44), w.seconds_text(88), w.seconds_text(200)) == (
        "2.4\u202fs",
        "88\u202fs",
        "3\u202fmin 20\u202fs",
    )


def test_rates_that_round_to_one_number_keep_a_digit():
    rates = [Metric(value=value, n=200, low=0, high=1) for value in (0.455, 0.465)]
    assert w.rate_texts(rates) == ["45.5\u202f%", "46.5\u202f%"]
    assert w.rate_texts([rates[0], Metric(value=0.12, n=9, low=0, high=1)]) == [
        "46\u202f%",
        "12\u202f%",
    ]


def test_a_difference_of_rates_is_in_points_and_tokens_are_not_words():
    gap = Metric(value=0.008, n=100, low=0.001, high=0.015)
    assert w.value_text(gap, w.metric_info("over_generalisation").unit) == "+0.8\u202fpoints"
    length = Metric(value=37.8, n=100, low=30, high=40)
    assert w.value_text(length, w.metric_info("mean_length/tokens").unit) == "37.8\u202ftokens"
    assert w.metric_info("over_generalisation/kitchen").unit == "points"


def test_names_of_metrics_are_words():
    assert w.label_of("chair_i/kitchen") == "CHAIR i: kitchen"
    assert w.label_of("yes_ratio") == "Yes ratio"
    assert w.metric_info("yes_no_f1/random").label == "Yes/no questions, F1: random"


def test_a_kind_has_the_wording_of_its_metric():
    info = w.metric_info("hallucination_rate/object")
    assert (info.label, info.unit, info.better) == (
        "Descriptions with a hallucination: object",
        "%",
        "lower",
    )
    assert w.metric_info("something_new").label == "Something new"


@pytest.mark.parametrize(
    ("row", "better", "verdict"),
    [
        (difference(-0.1, -0.2, -0.05, 0.01), "lower", "better"),
        (difference(-0.1, -0.2, -0.05, 0.01), "higher", "worse"),
        (difference(-0.1, -0.2, -0.05, 0.01), "", "changed"),
        (difference(-0.1, -0.2, 0.05, 0.01), "lower", "not shown"),
        (difference(-0.1, -0.2, -0.05, 0.06), "lower", "not shown"),
        (difference(0, -1, -0.5, 0.0, n=0), "lower", "not shown"),
    ],
)
def test_verdict_needs_test_and_interval(row, better, verdict):
    assert w.verdict(row, better) == verdict


def test_adjusted_p_counts():
    assert w.verdict(difference(-0.1, -0.2, -0.05, 0.01), "lower", p=0.2) == "not shown"


def test_diff_marks_what_changed():
    segments = (
        Segment(rejected_span=(2, 7), chosen_span=(2, 5)),
        Segment(rejected_span=(8, 8), chosen_span=(6, 9)),
    )
    assert rejected_html("A <dog> ran", segments) == "A <del>&lt;dog&gt;</del> ran"
    assert chosen_html("A cat ran", segments) == "A <ins>cat</ins> <ins>ran</ins>"


def test_svg_attributes_and_children_are_escaped():
    made = element("text", "<b>", Markup("<i/>"), title='"><x>', x=1 / 3)
    assert made == '<text title="&#34;&gt;&lt;x&gt;" x="0.33">&lt;b&gt;<i/></text>'


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-44.2, 2.1), (94.9, 99.5), (0, 0.003), (1e-9, 3e-9)]
)
def test_ticks_are_few_round_and_within(low, high):
    ticks = round_numbers(low, high, 4)
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-6 <= tick <= high + 1e-6 and math.isfinite(tick) for tick in ticks)
    scale = Scale(low, high, 10, 110)
    assert (scale(low), scale(high), scale(high + 1)) == (10, 110, 110)
