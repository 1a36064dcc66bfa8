import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from official_data import DATA
from veridical.feedback.masks import ORIGINAL_SUFFIX, changed_token_masks, original_changed_tokens
from veridical.feedback.segments import find_segments


def offsets(text, *, end_token=True):
    """Tokens as a byte-level tokenizer makes them: words with their space, an end of no width."""
    found = [match.span() for match in re.finditer(r"\s*\w+|\s*[^\w\s]|\s+", text)]
    return [*found, (len(text), len(text))] if end_token else found


def marked(text, mask, spans):
    return [text[a:b] or "<end>" for flag, (a, b) in zip(mask, spans, strict=True) if flag]


def mark(rejected, chosen, **settings):
    a, b = offsets(rejected), offsets(chosen)
    masks = changed_token_masks(a, b, find_segments(rejected, chosen), **settings)
    return marked(rejected, masks.rejected, a), marked(chosen, masks.chosen, b)


@pytest.mark.parametrize(
    ("rejected", "chosen", "one_sided", "expected"),
    [
        ("A cat sits.", "A dog sits.", "anchor", ([" cat"], [" dog"])),
        ("A cat sits.", "A dog sits.", "ignore", ([" cat"], [" dog"])),
        # A deletion: the deleted words, and where the model has to go on instead.
        ("A big cat.", "A cat.", "anchor", ([" big"], [" cat"])),
        ("A big cat.", "A cat.", "mark", ([" big"], [])),
        ("A big cat.", "A cat.", "ignore", ([], [])),
        # At the end of the text the seam is the end token: stop here.
        ("A cat. Two dogs run.", "A cat.", "anchor", ([" Two", " dogs", " run", "."], ["<end>"])),
        # An insertion is the mirror image.
        ("A cat.", "A big cat.", "anchor", ([" cat"], [" big"])),
        ("A cat.", "A big cat.", "mark", ([], [" big"])),
        ("A cat.", "", "anchor", (["A", " cat", "."], ["<end>"])),
        ("same", "same", "anchor", ([], [])),
    ],
)
def test_marked_tokens_worked_by_hand(rejected, chosen, one_sided, expected):
    assert mark(rejected, chosen, one_sided=one_sided) == expected


def test_without_an_end_token_the_last_token_is_the_seam():
    masks = changed_token_masks([(0, 1), (1, 5)], [(0, 1)], find_segments("A dog", "A"))
    assert masks == ([False, True], [True])


def test_an_end_token_may_have_zero_offsets():
    # Many tokenizers give (0, 0) to tokens that they add.
    assert changed_token_masks(
        [(0, 1), (1, 5), (0, 0)], [(0, 1), (0, 0)], find_segments("A dog", "A")
    ) == (
        [False, True, False],
        [False, True],
    )


def test_all_byte_tokens_of_one_emoji_are_marked():
    masks = changed_token_masks(
        [(0, 1), (1, 3), (2, 3), (2, 3)], [(0, 1), (1, 5)], find_segments("A 🚀", "A cat")
    )
    assert masks == ([False, True, True, True], [False, True])


def test_white_space_that_has_no_token_still_marks_a_seam():
    # A word-level tokenizer has no token for the line break that was changed.
    assert changed_token_masks(
        [(0, 1), (2, 3)], [(0, 1), (2, 3)], find_segments("a b", "a\nb")
    ) == (
        [False, True],
        [False, True],
    )


_WORDS = st.lists(
    st.sampled_from(["a", "cat", "dog", "red", ".", "👩🏽‍🚀", "\n"]), max_size=15
).map(" ".join)


@given(_WORDS, _WORDS)
def test_every_segment_marks_a_token_on_each_side_with_anchor(rejected, chosen):
    a, b = offsets(rejected), offsets(chosen)
    for segment in find_segments(rejected, chosen):
        masks = changed_token_masks(a, b, [segment])
        assert any(masks.rejected)
        assert any(masks.chosen)


@given(_WORDS, _WORDS)
def test_each_setting_marks_at_least_what_the_narrower_one_marks(rejected, chosen):
    a, b, segments = offsets(rejected), offsets(chosen), find_segments(rejected, chosen)
    ignore, side, anchor = (
        changed_token_masks(a, b, segments, one_sided=setting)
        for setting in ("ignore", "mark", "anchor")
    )
    for narrow, wide in ((ignore, side), (side, anchor)):
        for fewer, more in zip(narrow, wide, strict=True):
            assert all(m or not f for f, m in zip(fewer, more, strict=True))


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match="got 'all'"):
        changed_token_masks([], [], [], one_sided="all")


def original(rejected, chosen):
    a, b = rejected.split(), chosen.split()
    masks = original_changed_tokens(a, b)
    return tuple(
        " ".join(word for word, flag in zip(words, mask, strict=True) if flag)
        for words, mask in zip((a, b), masks, strict=True)
    )


@pytest.mark.parametrize(
    ("rejected", "chosen", "expected"),
    [
        # The ":" between the changes is a match of length 1 and counts as changed.
        (
            "the clock there shows 11 : 20 in the morning",
            "the clock there shows 15 : 26 in the morning",
            ("11 : 20", "15 : 26"),
        ),
        (
            "it is in the top left corner",
            "it is in the top right corner",
            ("left corner", "right corner"),
        ),
        # A deleted or inserted sentence gets no weight: the fault that our own masks mend.
        ("a man rides . there are two people in the room .", "a man rides .", ("", "")),
        ("a man rides .", "a man rides . there are two people in the room .", ("", "")),
        (
            "we see nine sheep on the hill . the dogs run . they bark loudly .",
            "we see at least six sheep on the hill .",
            ("we see nine", "we see at least six"),  # "we see" is a match of length 2
        ),
        (
            "here we see nine sheep on the hill . the dogs run . they bark loudly .",
            "here we see at least six sheep on the hill .",
            ("nine", "at least six"),
        ),
        ("a red cat", "a blue cat", ("a red cat", "a blue cat")),
        ("a red cat", "a red cat", ("", "")),
    ],
)
def test_the_original_algorithm_behaves_as_released(rejected, chosen, expected):
    assert original(rejected, chosen) == expected


def test_the_original_algorithm_ignores_frequent_tokens_in_long_sequences():
    # From 200 tokens on, tokens in more than 1 % of the places seed no match: everything counts as
    # changed.
    middle = [1, 2, 3, 4] * 60
    masks = original_changed_tokens([7, *middle, 7], [8, *middle, 8])
    assert all(masks.rejected)
    assert all(masks.chosen)
    short = original_changed_tokens([7, *middle[:40], 7], [8, *middle[:40], 8])
    assert sum(short.rejected) == 2


def _byte_level_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    return tokenizer, trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )


def _metaspace_tokenizer():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer, trainers.BpeTrainer(
        vocab_size=60, special_tokens=["<unk>"], show_progress=False
    )


@pytest.fixture(scope="module", params=[_byte_level_tokenizer, _metaspace_tokenizer])
def tokenizer(request):
    """The two ways in which real models cut text, trained on a few words."""
    made, trainer = request.param()
    made.train_from_iterator(
        ["a cat and a red dog sit on the red bench . a cat 👩🏽‍🚀"] * 4, trainer
    )
    return made


@given(rejected=_WORDS, chosen=_WORDS)
def test_real_tokenizers_mark_just_the_changed_words_and_the_seams(tokenizer, rejected, chosen):
    a, b = ([*tokenizer.encode(text).offsets, (0, 0)] for text in (rejected, chosen))
    segments = find_segments(rejected, chosen)
    for segment in segments:
        masks = changed_token_masks(a, b, [segment])
        assert any(masks.rejected)
        assert any(masks.chosen)
    ignore = changed_token_masks(a, b, segments, one_sided="mark")
    for mask, offsets_, spans in (
        (ignore.rejected, a, [segment.rejected_span for segment in segments]),
        (ignore.chosen, b, [segment.chosen_span for segment in segments]),
    ):
        for flag, (start, end) in zip(mask, offsets_, strict=True):
            assert flag == any(
                start < last and first < end and start < end
                for first, last in spans
                if first < last
            )


ORACLE = DATA / "rlhf_v" / "original_diff_oracle.json"


@pytest.mark.skipif(not ORACLE.is_file(), reason="the oracle is not here")
def test_the_original_diff_marks_what_the_released_code_marked():
    """Made-up token ids of whole sequences, through RLHF-V's unmodified code."""
    cases = json.loads(ORACLE.read_text())["cases"]
    assert len(cases) == 112
    for case in cases:
        masks = original_changed_tokens(case["rejected"], case["chosen"])
        for mask, changed in zip(
            masks, (case["changed_rejected"], case["changed_chosen"]), strict=True
        ):
            assert [place for place, flag in enumerate(mask) if flag] == changed
        if case["suffix"].startswith("muffin"):  # any four tokens that are equal on both sides do
            ours = original_changed_tokens(
                [*case["rejected"][:-4], *ORIGINAL_SUFFIX],
                [*case["chosen"][:-4], *ORIGINAL_SUFFIX],
            )
            assert ours == masks


def test_the_suffix_keeps_a_deletion_at_the_end_unmarked():
    said, end = [1, 2, 3, 4, 5, 6], 0
    assert not any(
        map(
            any,
            original_changed_tokens(
                [*said, 7, 8, end, *ORIGINAL_SUFFIX], [*said, end, *ORIGINAL_SUFFIX]
            ),
        )
    )
    bare = original_changed_tokens([*said, 7, 8, end], [*said, end])
    assert bare.rejected == [False] * 6 + [True] * 3
    assert bare.chosen == [False] * 6 + [True]
