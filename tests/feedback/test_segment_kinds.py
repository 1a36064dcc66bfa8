import pytest

from veridical.feedback.segment_kinds import correction_statistics, guess_kind, guess_kinds
from veridical.feedback.segments import find_segments
from veridical.records import Correction, ImageRef, Segment


@pytest.mark.parametrize(
    ("rejected", "chosen", "kind"),
    [
        ("cat", "dog", "object"),
        ("two red cars", "", "object"),
        ("nine", "at least six", "number"),
        ("11", "15", "number"),
        ("left", "right", "position"),
        ("red", "blue", "attribute"),
        ("sitting", "standing", "action"),
        ("a", "the", "other"),
        ("\r", "", "other"),
    ],
)
def test_kinds_are_guessed_from_the_words_that_differ(rejected, chosen, kind):
    assert guess_kind(rejected, chosen) == kind


def test_a_kind_that_somebody_set_is_kept():
    segments = [Segment(rejected_span=(0, 3), chosen_span=(0, 3), kind="action")]
    assert guess_kinds("cat", "dog", segments)[0].kind == "action"


def correction(row_id, rejected, chosen, *, image="a.png", **settings):
    return Correction(
        id=row_id,
        prompt_id=row_id,
        source="human",
        image=ImageRef(path=image),
        question="What?",
        rejected=rejected,
        chosen=chosen,
        **settings,
    )


def test_statistics_worked_by_hand():
    rows = [
        correction(
            "1", "A cat and two dogs.", "A bird and three dogs."
        ),  # two substitutions, 2 of 6 words
        correction("2", "A big cat.", "A cat."),  # one deletion, 1 of 4 words
        correction("3", "A cat.", "A cat. A bird.", image="b.png"),  # one insertion, 0 of 3 words
    ]
    found = correction_statistics(rows)
    assert (found.corrections, found.images, found.segments) == (3, 2, 4)
    assert found.segments_per_response == {1: 2, 2: 1}
    assert found.edits == {"substitution": 2, "insertion": 1, "deletion": 1}
    assert found.kinds["other"] == 4
    assert (
        found.guessed_kinds["object"],
        found.guessed_kinds["number"],
        found.guessed_kinds["attribute"],
    ) == (2, 1, 1)
    assert found.rejected_words == [6, 4, 3]
    assert found.changed_ratio == 3 / 13
    assert found.sources == {"human": 3}


def test_given_segments_are_counted_as_given():
    wide = (Segment(rejected_span=(0, 6), chosen_span=(0, 6), kind="object"),)
    found = correction_statistics([correction("1", "A cat.", "A dog.", segments=wide)])
    assert found.kinds["object"] == 1
    assert found.changed_words == 3
    assert len(find_segments("A cat.", "A dog.")) == 1


def test_no_corrections_have_no_changed_words():
    assert correction_statistics([]).changed_ratio == 0.0
