"""Ratings of responses to one prompt become comparisons, and are trained on like any."""

import json

import pytest

from comparison_files import write_comparisons
from veridical.errors import ConfigError, DataError
from veridical.feedback.comparisons import ReadSettings
from veridical.feedback.datasets import (
    check_dataset,
    dataset_statistics,
    find_dataset,
    quarantine_bad_rows,
)
from veridical.feedback.ratings import comparisons_from_ratings
from veridical.feedback.registry import (
    find_judgements,
    judgement_kinds,
    read_pairs,
    read_preferences,
)
from veridical.records import Rating, read_records, write_records


def rating(response, score, *, prompt="p0", source="human", annotator="ann"):
    return Rating(
        id=f"{response}/{annotator}/{source}",
        prompt_id=prompt,
        response_id=response,
        score=score,
        source=source,
        annotator=annotator,
    )


@pytest.fixture
def folder(tmp_path):
    """Six prompts with two responses each; of three of them both are rated."""
    write_comparisons(tmp_path, count=6)
    scores = {"p0": (5, 1), "p1": (2, 4), "p2": (3, 3), "p3": (6, 5)}
    rows = [
        rating(f"{prompt}#{sample}", score, prompt=prompt)
        for prompt, both in scores.items()
        for sample, score in enumerate(both)
    ]
    write_records(tmp_path / "ratings.jsonl", rows, kind="Rating")
    (tmp_path / "comparisons.jsonl").unlink()
    return tmp_path


def test_the_higher_rated_response_is_preferred(capsys):
    rows = [rating("a", 5), rating("b", 2), rating("c", 5)]
    found = comparisons_from_ratings(rows, margin=1)
    assert [(row.response_ids, row.preferred) for row in found] == [
        (("a", "b"), "first"),
        (("b", "c"), "second"),
    ]
    assert {row.hallucination for row in found} == {True}  # below 3 hallucinates, 3 does not
    assert "1 of 3 pairs of rated responses differ by less than 1 points" in capsys.readouterr().err


@pytest.mark.parametrize(("margin", "count"), [(0.5, 1), (1.5, 1), (1.6, 0), (6, 0)])
def test_the_margin_is_of_mean_scores(margin, count):
    rows = [rating("a", 4), rating("a", 5, annotator="bo"), rating("b", 3)]  # 4.5 and 3
    assert len(comparisons_from_ratings(rows, margin=margin)) == count


def test_one_point_is_enough_by_default():
    assert len(comparisons_from_ratings([rating("a", 4), rating("b", 3)])) == 1


def test_sources_are_never_averaged():
    rows = [
        rating("a", 5),
        rating("b", 1),
        rating("a", 0, source="model"),
        rating("b", 6, source="model"),
    ]
    found = comparisons_from_ratings(rows)
    assert [(row.source, row.preferred) for row in found] == [
        ("human", "first"),
        ("model", "second"),
    ]
    with pytest.raises(ConfigError, match="above 0 points"):
        comparisons_from_ratings(rows, margin=0)


def test_responses_to_different_prompts_are_not_compared():
    assert comparisons_from_ratings([rating("a", 5), rating("b", 1, prompt="q")]) == []


def test_a_folder_of_ratings_is_read_as_pairs_and_as_comparisons(folder):
    kind, file = find_judgements(folder)
    assert (kind.name, file.name) == ("rating", "ratings.jsonl")
    responses = {p.first.id: p.first.text for p in read_preferences(folder)}
    assert set(responses) == {"p0#0", "p1#0", "p3#0"}
    pairs = read_pairs(folder, ReadSettings(rating_margin=2))
    assert [pair.chosen == responses[f"p{n}#0"] for pair, n in zip(pairs, (0, 1), strict=True)] == [
        True,
        False,
    ]
    assert all(pair.source == "human" and not pair.segments for pair in pairs)


def test_ratings_are_checked_counted_and_cleaned_like_other_judgements(folder):
    assert check_dataset(find_dataset(folder)) == []
    found = dataset_statistics(find_dataset(folder))
    assert found.counts["ratings"] == 8
    assert found.figures["mean score"] == "3.62 of 6 (n = 8)"
    assert found.sections["score"] == {"1": 1, "2": 1, "3": 2, "4": 1, "5": 2, "6": 1}
    path = folder / "ratings.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | {"response_id": "none"})
    lines[4] = json.dumps(json.loads(lines[4]) | {"prompt_id": "p5"})
    lines[5] = json.dumps(json.loads(lines[5]) | {"score": 7})
    path.write_text("\n".join(lines) + "\n")
    faults = check_dataset(find_dataset(folder))
    assert [(fault.file.name, fault.line) for fault in faults] == [
        ("ratings.jsonl", 6),
        ("ratings.jsonl", 3),
        ("ratings.jsonl", 5),
    ]
    with pytest.raises(DataError, match="there is no response 'none'"):
        read_pairs(folder)
    assert quarantine_bad_rows(find_dataset(folder)) == 5
    assert len((folder / "ratings.bad.jsonl").read_text().splitlines()) == 3


def test_a_missing_picture_is_placed_at_a_rating_of_its_prompt(folder):
    (folder / "images" / "scene3.png").unlink()
    (fault,) = check_dataset(find_dataset(folder))
    assert (fault.file.name, fault.line) == ("ratings.jsonl", 8)
    assert "scene3.png" in fault.message


def test_each_kind_of_judgement_is_one_row(folder):
    kinds = {kind.name: kind for kind in judgement_kinds()}
    assert list(kinds) == ["comparison", "correction", "rating", "marking"]
    assert len({kind.file for kind in kinds.values()}) == len(kinds)
    assert kinds["rating"].record is Rating
    assert len(read_records(folder / kinds["rating"].file, Rating)) == 8
