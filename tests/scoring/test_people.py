import json

import pytest

from veridical.errors import ConfigError, DataError
from veridical.records import Rating, write_records
from veridical.scoring.files import score
from veridical.scoring.people import agreement_metrics, with_people
from veridical.scoring.protocol import Files


def judged(tmp_path, texts):
    """MMHal reviews of 96 items, the first ones as given, the others rated 4."""
    words = [*texts, *["Rating: 4"] * (96 - len(texts))]
    path = tmp_path / "reviews.json"
    path.write_text(json.dumps([{"choices": [{"message": {"content": text}}]} for text in words]))
    return score("mmhal", Files(reviews=path), variant="strict")


def ratings(tmp_path, rows):
    path = tmp_path / "people.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_agreement_by_hand(tmp_path):
    scored = judged(tmp_path, ["Rating: 0", "Rating: 2", "Rating: 5", "Rating: 6", "no rating"])
    rows = [{"id": str(number), "score": value} for number, value in enumerate([1, 4, 5, 6, 3])]
    total = with_people(scored, ratings(tmp_path, rows)).total
    metrics = total.metrics
    assert (
        metrics["people/same_verdict"].value == 0.75
    )  # items 0, 2, 3; the fifth has no judge's rating
    assert metrics["people/same_verdict"].n == 4
    assert metrics["people/kappa"].value == pytest.approx(0.5)
    assert metrics["people/bias"].value == pytest.approx((-1 - 2 + 0 + 0) / 4)
    assert metrics["people/spearman"].value == pytest.approx(1.0)
    assert metrics["score"].value == scored.total.metrics["score"].value
    assert "rests on 4 items" in total.warnings[-1]


def test_records_of_ratings_are_read_and_the_lower_median_of_several_people_counts(tmp_path):
    scored = judged(tmp_path, ["Rating: 2"])
    people = [
        Rating(id=f"r{number}", prompt_id="0", source="human", response_id="x", score=value)
        for number, value in enumerate([6, 2, 3, 2])
    ]
    total = with_people(
        scored, write_records(tmp_path / "people.jsonl", people, kind="Rating")
    ).total
    assert total.metrics["people/bias"].value == 0.0
    assert total.versions["people"] == "human"


def test_faults_are_reported_with_their_lines(tmp_path):
    rows = [
        {"id": "0", "score": 7},
        {"id": "0", "score": "three"},
        {"id": "nobody", "score": 3},
        {"score": 3},
        {"id": "1", "score": 3, "source": "human"},
        {"id": "2", "score": 3, "source": "simulated"},
    ]
    with pytest.raises(DataError) as caught:
        with_people(judged(tmp_path, []), ratings(tmp_path, rows))
    assert [fault.line for fault in caught.value.faults] == [1, 2, 3, 4, 6]


def test_only_where_items_are_rated(tmp_path):
    scored = judged(tmp_path, [])
    other = scored._replace(total=scored.total.model_copy(update={"benchmark": "pope"}))
    with pytest.raises(ConfigError, match="not on 'pope'"):
        with_people(other, ratings(tmp_path, []))


def test_nothing_in_common_breaks_nothing():
    for metric in agreement_metrics([], []).values():
        assert metric.n == 0
    same = agreement_metrics([4.0] * 5, [4.0] * 5)
    assert same["same_verdict"].value == 1.0
    assert same["kappa"].n == 0
