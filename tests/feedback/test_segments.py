import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.feedback.segments import (
    apply_segments,
    check_segments,
    find_segments,
    revert_segments,
    segment_texts,
)
from veridical.feedback.texts.words import find_words
from veridical.records import Segment

# Few different words make texts that share much, so that edits of every shape come up.
_PIECES = st.sampled_from(
    [
        "a",
        "cat",
        "dog",
        "the",
        "red",
        ".",
        ",",
        " ",
        "  ",
        "\r\n",
        "\n",
        "é",
        "e\u0301",
        "👩🏽‍🚀",
        "🇩🇪",
        "猫",
        "\u200d",
        "\u0301",
    ]
)
_TEXTS = st.lists(_PIECES, max_size=25).map("".join) | st.text(max_size=30)


def changes(rejected, chosen, **settings):
    segments = find_segments(rejected, chosen, **settings)
    return list(
        zip(
            segment_texts(rejected, segments, side="rejected"),
            segment_texts(chosen, segments, side="chosen"),
            strict=True,
        )
    )


@given(_TEXTS, _TEXTS, st.integers(1, 4))
def test_segments_rebuild_both_texts_exactly(rejected, chosen, min_match):
    segments = find_segments(rejected, chosen, min_match=min_match)
    assert (
        apply_segments(rejected, segments, segment_texts(chosen, segments, side="chosen")) == chosen
    )
    assert (
        revert_segments(chosen, segments, segment_texts(rejected, segments, side="rejected"))
        == rejected
    )
    assert check_segments(rejected, chosen, segments) == []
    assert bool(segments) == (rejected != chosen)


@given(_TEXTS, _TEXTS)
def test_segments_never_cut_through_a_word_and_never_say_nothing(rejected, chosen):
    for segment in find_segments(rejected, chosen):
        for text, span in ((rejected, segment.rejected_span), (chosen, segment.chosen_span)):
            assert not any(
                word.start < place < word.end for word in find_words(text) for place in span
            )
        a, b = segment.rejected_span, segment.chosen_span
        assert rejected[a[0] : a[1]] != chosen[b[0] : b[1]]


@given(_TEXTS, _TEXTS)
def test_a_larger_min_match_only_merges(rejected, chosen):
    exact, smooth = find_segments(rejected, chosen), find_segments(rejected, chosen, min_match=3)
    assert len(smooth) <= len(exact)
    for segment in exact:
        (a, b), (c, d) = segment.rejected_span, segment.chosen_span
        assert any(
            s.rejected_span[0] <= a
            and b <= s.rejected_span[1]
            and s.chosen_span[0] <= c
            and d <= s.chosen_span[1]
            for s in smooth
        )


@pytest.mark.parametrize(
    ("rejected", "chosen", "expected"),
    [
        ("A cat sits.", "A dog sits.", [("cat", "dog")]),
        ("A big cat.", "A cat.", [(" big", "")]),  # a deleted word takes the space before it along
        ("A cat.", "A big cat.", [("", " big")]),
        ("A dog. A cat. A bird.", "A dog. A bird.", [(" A cat.", "")]),  # and not "cat. A "
        ("A dog. A bird.", "A dog. A cat. A bird.", [("", " A cat.")]),
        ("There is a man. There are two dogs.", "There is a man.", [(" There are two dogs.", "")]),
        ("The clock shows 11:20.", "The clock shows 15:26.", [("11", "15"), ("20", "26")]),
        ("", "Two cats.", [("", "Two cats.")]),
        ("Two cats.", "", [("Two cats.", "")]),
        ("one two", "three four", [("one two", "three four")]),
        ("a\r\nb", "a\nb", [("\r", "")]),
        ("a b", "a  b", [("", " ")]),
        ("a b ", "a c", [("b ", "c")]),
        (" a", "a", [(" ", "")]),
        ("cafe\u0301 here", "café here", [("cafe\u0301", "café")]),
        ("a 👩🏽‍🚀 here", "a 👩🏽 here", [("👩🏽‍🚀", "👩🏽")]),
        ("same", "same", []),
    ],
)
def test_segments_are_what_was_changed_and_no_more(rejected, chosen, expected):
    assert changes(rejected, chosen) == expected


def test_min_match_merges_changes_with_few_words_between():
    texts = ("The clock shows 11:20 today.", "The clock shows 15:26 today.")
    assert changes(*texts, min_match=2) == [("11:20", "15:26")]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        find_segments("a", "b", min_match=0)


def test_long_texts_are_compared_like_short_ones():
    # difflib's autojunk sets in at 200 elements: "the" and "." would no longer seed a match, and
    # all would change.
    middle = " the cat sees the dog ." * 60
    assert changes(f"One{middle} Here.", f"Two{middle} There.") == [
        ("One", "Two"),
        ("Here", "There"),
    ]


@pytest.mark.parametrize(
    ("segments", "fault"),
    [
        ([((0, 1), (0, 99))], "segment 1 ends at 99 of the chosen text, which has 9 code points"),
        (
            [((2, 5), (2, 5)), ((4, 6), (4, 6))],
            "segment 2 starts at 4 of the rejected text, before segment 1 ends (5)",
        ),
        ([((6, 9), (6, 9)), ((2, 5), (2, 5))], "segment 2 starts at 2"),
        (
            [],
            (
                "the text after the last segment differs: 'a cat ran' (rejected) against 'a dog"
                " ran' (chosen)"
            ),
        ),
        ([((6, 9), (6, 9))], "the text before segment 1 differs: 'a cat ' (rejected)"),
    ],
)
def test_wrong_segments_are_reported_with_place_and_remedy(segments, fault):
    made = [Segment(rejected_span=a, chosen_span=b) for a, b in segments]
    assert any(fault in message for message in check_segments("a cat ran", "a dog ran", made))


def test_segments_wider_than_need_be_are_right():
    assert (
        check_segments(
            "a cat ran", "a dog ran", [Segment(rejected_span=(0, 9), chosen_span=(0, 9))]
        )
        == []
    )


def test_each_segment_needs_its_text():
    segments = find_segments("a cat", "a dog")
    with pytest.raises(ValueError, match="1 segments and 0 texts"):
        apply_segments("a cat", segments, [])
