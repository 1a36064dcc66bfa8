"""Comparisons become labels: ties, several judgements of one pair, facts made worse on purpose."""

from pathlib import Path

import pytest

from comparison_files import write_comparisons
from veridical.config import resolve_recipe
from veridical.errors import DataError
from veridical.records import Comparison, Facts, read_records, write_records
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.data import read_comparisons
from veridical.training.reward.facts import disturb_facts


def recipe(folder, **sections):
    data = {"model": {"base": "x"}, "data": {"comparisons": str(folder)}}
    for name, values in sections.items():
        data[name] = {**data.get(name, {}), **values}
    return resolve_recipe(data, RewardRecipe)


def read(folder, *, reads_facts=True, **sections):
    settings = recipe(folder, **sections)
    return read_comparisons(
        Path(folder),
        settings.data,
        settings.facts,
        reads_facts=reads_facts,
        quarantine=folder / "bad",
    )


@pytest.fixture
def folder(tmp_path):
    return write_comparisons(tmp_path, count=6)


def test_labels_and_ties(folder):
    found = read(folder)
    assert [pair.preference for pair in found.pairs] == [1.0, 0.0, 0.5] * 2
    assert found.counts == {"read": 6, "ties": 2, "without_facts": 0}
    assert [pair.preference for pair in read(folder, data={"ties": "drop"}).pairs] == [1.0, 0.0] * 2
    assert all(pair.query.facts for pair in found.pairs)
    assert not any(pair.query.facts for pair in read(folder, reads_facts=False).pairs)


def test_several_judgements_of_one_pair_become_one_label(folder):
    rows = read_records(folder / "comparisons.jsonl", Comparison)
    first = rows[0]  # says: the first
    again = first.model_copy(
        update={
            "id": "c9",
            "response_ids": first.response_ids[::-1],
            "preferred": "second",
            "hallucination": True,
        }
    )
    other = first.model_copy(update={"id": "c10", "preferred": "tie", "hallucination": False})
    write_records(folder / "comparisons.jsonl", [*rows, again, other], kind="Comparison")
    assert len(read(folder).pairs) == 8
    merged = read(folder, data={"judgements": "merged"})
    assert len(merged.pairs) == 6
    assert merged.counts["merged_away"] == 2
    assert merged.pairs[0].preference == pytest.approx((1 + 1 + 0.5) / 3)
    assert merged.pairs[0].hallucination is True


def test_only_kinds_that_are_asked_for_are_read(folder):
    facts = read_records(folder / "facts.jsonl", Facts)
    more = [Facts(image_id="scene0", kind="rationale", texts=("Since it is red.",))]
    write_records(folder / "facts.jsonl", [*facts, *more], kind="Facts")
    kinds = [item.kind for item in read(folder).pairs[0].query.facts]
    assert sorted(kinds) == ["caption", "rationale"]
    assert [
        item.kind for item in read(folder, facts={"kinds": ["caption"]}).pairs[0].query.facts
    ] == ["caption"]
    with pytest.raises(DataError, match="no facts of the kinds rationale for 5 comparisons"):
        read(folder, facts={"kinds": ["rationale"]})
    left = read(folder, facts={"kinds": ["rationale"], "missing": "exclude"})
    assert (len(left.pairs), left.counts["excluded"]) == (1, 5)


def test_nothing_left_is_an_error(tmp_path):
    folder = write_comparisons(tmp_path, count=3, preferred=("tie",))
    with pytest.raises(DataError, match="no comparison is left"):
        read(folder, data={"ties": "drop"})


def with_statements(folder, count=4):
    facts = [
        Facts(image_id=f"scene{n}", kind="caption", texts=tuple(f"{n}/{m}" for m in range(count)))
        for n in range(6)
    ]
    write_records(folder / "facts.jsonl", facts, kind="Facts")
    return read(folder).pairs


def texts(pairs):
    return [[text for item in pair.query.facts for text in item.texts] for pair in pairs]


def test_facts_are_shuffled_dropped_and_swapped_by_streams_of_their_own(folder):
    pairs = with_statements(folder)
    given = recipe(folder, facts={"order": "given"}).facts
    assert disturb_facts(pairs, given, seed=0) == pairs
    shuffled = texts(disturb_facts(pairs, recipe(folder).facts, seed=0))
    assert shuffled != texts(pairs)
    assert [sorted(row) for row in shuffled] == texts(pairs)
    # who else is there does not matter
    assert texts(disturb_facts(pairs[2:], recipe(folder).facts, seed=0)) == shuffled[2:]
    assert texts(disturb_facts(pairs, recipe(folder).facts, seed=1)) != shuffled
    many = pairs * 200
    numbered = [pair._replace(id=str(number)) for number, pair in enumerate(many)]
    kept = sum(
        map(len, texts(disturb_facts(numbered, recipe(folder, facts={"drop": 0.25}).facts, seed=0)))
    )
    assert kept / (4 * len(many)) == pytest.approx(0.75, abs=0.03)
    swapped = texts(
        disturb_facts(numbered, recipe(folder, facts={"swap": 0.5, "order": "given"}).facts, seed=0)
    )
    strange = sum(row != own for row, own in zip(swapped, texts(many), strict=True))
    assert strange / len(many) == pytest.approx(0.5, abs=0.06)
