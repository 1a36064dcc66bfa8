"""A judge's reply is read strictly: what is not plain is unparsed, never another verdict."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.benchmarks.coco.extraction import parse_extraction
from veridical.benchmarks.hallusionbench.rows import official_check, strict_check
from veridical.benchmarks.llava_bench.grades import official_grades, strict_grades
from veridical.benchmarks.mmhal.ratings import official_rating, strict_rating


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Rating: 4", 4),
        ("Rating: 4, very informative with some analysis", 4),
        ("**Rating:** 4.", 4),
        ("Rating: **4**/6", 4),
        ("Rating: 4/6", 4),
        ("Rating: 4 / 6", 4),
        ("Rating: 4 out of 6", 4),
        ("Rating: 4 (out of 6)", 4),
        ("Rating: 4 on a scale of 0 to 6", 4),
        ("I give it a rating of 4 out of six.", 4),
        ("Rating: 4 out of 10", None),
        ("Rating: 4 out of ten", None),
        ("Rating: **4** out of 10", None),
        ("Rating: 4 (out of 10)", None),
        ("Rating: 4 of 5", None),
        ("Rating: 4 from a possible 10", None),
        ("Rating: 4 points out of 10", None),
        ("Rating: 4 out of a possible 10", None),
        ("Rating: 4 on a scale of 1 to 10", None),
        ("Rating: 4 (scale: 1-10)", None),
        ("Rating: 4/10", None),
        ("Rating: 4 / 10", None),
        ("Rating: 4%", None),
        ("Rating: 4 percent", None),
        ("Rating: 4 stars", None),
        ("Rating: 4+", None),
        ("Rating: 4½", None),
        ("Rating: 4.5", None),
        ("Rating: 4,5", None),
        ("Rating: 4th", None),
        ("Rating: 4-5", None),
        ("Rating: 4 to 5", None),
        ("Rating: 4 or 5", None),
        ("Rating: 4 and 5", None),
        ("Rating: 4, 5", None),
        ("Rating: 4~5", None),
        ("Rating: 4?", None),
        ("Rating: -4", None),
        ("Rating: 7", None),
        ("Rating: 10", None),
        ("Rating: four", None),
        ("I would not give it a rating of 4.", None),
        ("It deserves more than a rating of 4.", None),
        ("I can't give a rating: 4 objects are named.", None),
        ("Rating: 4\nRating: 2", None),
        ("", None),
    ],
)
def test_a_rating_is_one_plain_number_on_the_scale_from_0_to_6(text, rating):
    assert strict_rating(text) == rating


@pytest.mark.parametrize("verdict", ["correct", "incorrect", "unclear"])
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{}.",
        "**{}**",
        "'{}'",
        "The prediction is {}.",
        "The prediction is clearly {}.",
        "Verdict: {}",
        "{}, since both say yes",
        "Both mention the chart.\n{}",
    ],
)
def test_a_plain_verdict_is_read(text, verdict):
    said = text.format(verdict)
    assert strict_check(said) == {"correct": "1", "incorrect": "0", "unclear": "2"}[verdict]
    assert strict_check(said.capitalize()) == strict_check(said)


@pytest.mark.parametrize(
    "text",
    [
        "Partially correct.",
        "Partly correct",
        "Far from correct.",
        "Not entirely correct",
        "Not quite correct",
        "Mostly correct",
        "Almost correct",
        "Nearly correct",
        "Hardly correct",
        "Barely correct",
        "Half correct",
        "Somewhat correct",
        "Anything but correct",
        "Less than correct",
        "No longer correct",
        "Neither correct nor incorrect",
        "It is not correct.",
        "It isn't correct.",
        "It isn’t correct.",
        "It cannot be called correct.",
        "It would be correct if the chart were taller.",
        "It could be correct.",
        "It seems correct.",
        "It is probably correct.",
        "Correct?",
        "Is it correct?",
        "Correct in part.",
        "Correct to some extent.",
        "Correct, but it misses the point.",
        "Correct, except for the colour.",
        "It is only correct for the first half.",
        "Correct or incorrect, I cannot say.",
        "The correct answer is no.",
        "I doubt that it is correct.",
        "Nobody would say it is correct.",
        "The correct answer is 3, so the prediction is incorrect.",
        "",
    ],
)
def test_a_verdict_that_is_hedged_or_denied_is_not_one(text):
    assert strict_check(text) is None


@pytest.mark.parametrize(
    "text", ["8 9 10", "8", "4/5 3/5", "80 90", "0 5", "8-9", "8 9%", "8 and 9", "about 8 9", "8 x"]
)
def test_grades_are_two_numbers_from_1_to_10(text):
    assert strict_grades(text) is None


READERS = (
    official_rating,
    strict_rating,
    official_check,
    strict_check,
    official_grades,
    strict_grades,
    parse_extraction,
)
_PIECES = st.sampled_from(
    [
        "rating",
        ":",
        " ",
        "4",
        "10",
        "/",
        "out of",
        "correct",
        "in",
        "not",
        "[",
        '"',
        "\n",
        "is",
        "8",
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join), st.lists(_PIECES).map(" ".join)))
def test_whatever_a_judge_says_is_read_or_not_and_never_an_error(text):
    assert strict_rating(text) in (None, 0, 1, 2, 3, 4, 5, 6)
    assert strict_check(text) in (None, "0", "1", "2")
    for read in READERS:
        read(text)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "piece",
    [
        "rating: ",
        "rating ",
        "a",
        " ",
        "*",
        "correct ",
        "not ",
        "is clearly ",
        "8 ",
        "[",
        "[[1,",
        "1",
    ],
)
def test_a_megabyte_is_read_in_a_few_seconds(read, piece):
    start = time.process_time()
    read(piece * (1_000_000 // len(piece)))
    assert time.process_time() - start < 5


def test_the_official_readers_take_what_the_strict_ones_refuse():
    assert official_rating("Rating: 4 out of 10") == 4
    assert official_check("Partially correct") == "1"
