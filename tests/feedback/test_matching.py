import difflib
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.feedback.segments import apply_segments, find_segments, segment_texts
from veridical.feedback.texts import matching
from veridical.feedback.texts.matching import Edit, find_edits
from veridical.feedback.texts.words import find_words

_FEW = st.lists(st.sampled_from("abcd."), max_size=40)


def old_edits(a, b):
    """What segments were found by before: the quadratic algorithm of the standard library."""
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    return [Edit(*code[1:]) for code in matcher.get_opcodes() if code[0] != "equal"]


@given(_FEW, _FEW)
def test_edits_are_those_of_difflib(a, b):
    assert find_edits(a, b) == old_edits(a, b)


def test_ordinary_texts_need_few_of_the_steps_that_are_allowed():
    words = [word.text for word in find_words(matching.__doc__ * 1)] * 1
    other = [*words[:20], "new", *words[23:90], *words[70:]]
    matcher = matching._Matcher(words, other)
    matcher.blocks()
    assert matcher._steps < matching.MAX_STEPS / 100


@given(_FEW, _FEW)
def test_the_fast_algorithm_rebuilds_both_sequences_with_fewest_edits(a, b):
    rebuilt, i = [], 0
    blocks = matching._shortest_script(a, b)
    for x, y, size in blocks:
        assert a[x : x + size] == b[y : y + size]
        rebuilt.append((x, y, size))
    assert all(
        first[0] + first[2] <= second[0] and first[1] + first[2] <= second[1]
        for first, second in itertools.pairwise(rebuilt)
    )
    longest = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, item in enumerate(a):
        for j, other in enumerate(b):
            longest[i + 1][j + 1] = (
                longest[i][j] + 1 if item == other else max(longest[i][j + 1], longest[i + 1][j])
            )
    assert sum(size for _, _, size in blocks) == longest[-1][-1]


@pytest.mark.parametrize("count", [2_000, 10_000])
def test_repetitive_text_is_compared_in_time_that_grows_with_its_length(count):
    rejected = "There is a cat. " * count
    words = rejected.split()
    words[count] = "dog."
    del words[3 * count : 3 * count + 7]
    chosen = " ".join(words)
    begun = time.process_time()
    segments = find_segments(rejected, chosen)
    assert time.process_time() - begun < 5
    assert len(segments) <= 5
    assert apply_segments(rejected, segments, segment_texts(chosen, segments, side="chosen")) == (
        chosen
    )


def test_long_texts_that_differ_everywhere_are_one_change(monkeypatch):
    monkeypatch.setattr(matching, "MAX_STEPS", 10)
    monkeypatch.setattr(matching, "MAX_EDITS", 3)
    assert find_edits(list("xabcdy"), list("xefghy")) == [Edit(1, 5, 1, 5)]
