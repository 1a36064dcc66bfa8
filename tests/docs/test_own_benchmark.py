"""docs/benchmarks/own.md, followed from start to end: a benchmark that another package offers."""

from pathlib import Path

import pytest

from documents import blocks, follow, installed
from veridical.errors import DataError
from veridical.records import ItemScore, read_records
from veridical.scoring.files import score
from veridical.scoring.protocol import Files
from veridical.scoring.registry import benchmark_names

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "own.md"


@pytest.fixture
def folder(tmp_path):
    """A folder in whose process the page's package is installed."""
    with installed(blocks(PAGE), tmp_path / "site"):
        yield tmp_path


def test_it_takes_fewer_than_sixty_lines():
    (code,) = (block.text for block in blocks(PAGE) if block.label == "counting.py")
    assert len(code.splitlines()) < 60


def test_the_page_leads_to_a_score(folder, capsys):
    follow(blocks(PAGE), folder, capsys)
    items = {item.id: item for item in read_records(folder / "items.jsonl", ItemScore)}
    assert {name: item.status for name, item in items.items()} == {
        "1": "scored",
        "2": "scored",
        "3": "unparsed",
    }
    assert benchmark_names()[-1] == "counting"
    total = score(
        "counting", Files(folder / "answers.jsonl", reference=folder / "truth.jsonl")
    ).total
    accuracy = total.metrics["accuracy"]
    assert (accuracy.value, accuracy.n) == (pytest.approx(1 / 3), 3)
    assert accuracy.low < 1 / 3 < accuracy.high
    assert total.counts == {"items": 3, "scored": 2, "unparsed": 1}


def test_its_faults_are_reported_like_those_of_ours(folder, capsys):
    follow(blocks(PAGE), folder, capsys)
    (folder / "answers.jsonl").write_text('{"id": 1, "text": 3}\n{"id": 9, "text": "2"}\n')
    with pytest.raises(DataError) as caught:
        score("counting", Files(folder / "answers.jsonl", reference=folder / "truth.jsonl"))
    said = str(caught.value)
    for message in (
        "truth.jsonl:2: question 2 has no answer",
        "answers.jsonl:2: answer to question 9, which is not",
        "answers.jsonl:1: `text` must be text, got 3",
    ):
        assert message in said
