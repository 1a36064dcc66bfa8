import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.errors import ConfigError, DataError
from veridical.feedback.pairs import pairs_from_corrections, split_by_image
from veridical.records import Correction, ImageRef, Segment


def correction(
    row_id="1", rejected="A cat.", chosen="A dog.", *, path="images/a.png", sha256=None, segments=()
):
    return Correction(
        id=row_id,
        prompt_id="p",
        source="human",
        image=ImageRef(path=path, sha256=sha256),
        question="What?",
        rejected=rejected,
        chosen=chosen,
        segments=segments,
        origin="coco",
    )


def test_a_correction_becomes_a_pair_with_derived_segments():
    (pair,) = pairs_from_corrections([correction()])
    assert pair.segments == (Segment(rejected_span=(2, 5), chosen_span=(2, 5)),)
    assert (pair.id, pair.source, pair.origin, pair.image.path) == (
        "1",
        "human",
        "coco",
        "images/a.png",
    )


def test_given_segments_are_kept():
    wide = (Segment(rejected_span=(0, 6), chosen_span=(0, 6), kind="object", note="sure"),)
    assert pairs_from_corrections([correction(segments=wide)])[0].segments == wide


def test_image_paths_become_absolute_beside_the_file(tmp_path):
    file = tmp_path / "data" / "corrections.jsonl"
    (pair,) = pairs_from_corrections([correction()], file=file)
    assert pair.image.path == str(tmp_path / "data" / "images" / "a.png")
    (pair,) = pairs_from_corrections([correction(path="/elsewhere/a.png")], file=file)
    assert pair.image.path == "/elsewhere/a.png"


def test_all_unusable_corrections_are_reported_at_once():
    rows = [
        correction("same", "A cat.", "A cat."),
        correction("empty", "A cat.", " "),
        correction("good"),
        correction("wrong", segments=(Segment(rejected_span=(0, 1), chosen_span=(0, 1)),)),
    ]
    with pytest.raises(DataError) as caught:
        pairs_from_corrections(rows, file="c.jsonl")
    messages = [str(fault) for fault in caught.value.faults]
    assert len(messages) == 2
    assert "c.jsonl: row 'empty': `chosen` is empty" in messages[0]
    assert "row 'wrong': the text after the last segment differs" in messages[1]


@given(st.lists(st.integers(0, 30), min_size=20, max_size=120), st.integers(0, 5), st.randoms())
def test_no_image_is_in_two_parts_and_order_does_not_matter(numbers, seed, random):
    rows = [correction(str(i), path=f"{n}.png") for i, n in enumerate(numbers)]
    if len(set(numbers)) < 8:
        return
    parts = split_by_image(rows, {"train": 0.75, "validation": 0.25}, seed=seed)
    images = {name: {row.image.path for row in part} for name, part in parts.items()}
    assert not images["train"] & images["validation"]
    assert sorted(row.id for part in parts.values() for row in part) == sorted(
        row.id for row in rows
    )
    assert len(images["train"]) == round(0.75 * len(set(numbers)))
    random.shuffle(rows)
    again = split_by_image(rows, {"train": 0.75, "validation": 0.25}, seed=seed)
    assert {row.image.path for row in again["train"]} == images["train"]


def test_an_image_under_two_names_is_one_image():
    rows = [
        correction("1", path="a.png", sha256="x"),
        correction("2", path="copy.png", sha256="x"),
        correction("3", path="a.png"),  # the hash is known from row 1
        correction("4", path="b.png"),
    ]
    for seed in range(8):
        parts = split_by_image(rows, {"train": 0.5, "test": 0.5}, seed=seed)
        assert {tuple(row.id for row in part) for part in parts.values()} == {
            ("1", "2", "3"),
            ("4",),
        }


def test_the_seed_decides():
    rows = [correction(str(i), path=f"{i}.png") for i in range(40)]
    firsts = {
        tuple(r.id for r in split_by_image(rows, {"a": 0.5, "b": 0.5}, seed=seed)["a"])
        for seed in range(4)
    }
    assert len(firsts) == 4


@pytest.mark.parametrize("fractions", [{"a": 0.5}, {"a": 1.5, "b": -0.5}, {}])
def test_shares_must_make_a_whole(fractions):
    with pytest.raises(ConfigError, match="sum to 1"):
        split_by_image([correction()], fractions, seed=0)


def test_too_few_images_are_reported():
    with pytest.raises(ConfigError, match="'test' would get none"):
        split_by_image([correction()], {"train": 0.9, "test": 0.1}, seed=0)
