"""docs/benchmarks/own.md, followed from start to end: a benchmark that another package offers."""

import sys
import tomllib
from pathlib import Path

import pytest

from documents import blocks, follow
from veridical.errors import DataError
from veridical.records import ItemScore, read_records
from veridical.scoring.files import score
from veridical.scoring.protocol import Files
from veridical.scoring.registry import benchmark_names

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "own.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the page shows, installed as pip would: entry points lie in a .dist-info folder."""
    shown = {block.label: block.text for block in blocks(PAGE) if block.label}
    project = tomllib.loads(shown["pyproject.toml"])["project"]
    info = tmp_path / "site" / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    ((group, points),) = project["entry-points"].items()
    (info / "entry_points.txt").write_text(
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in points.items())
    )
    (tmp_path / "site" / "counting.py").write_text(shown["counting.py"])
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path
    sys.modules.pop("counting", None)


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


def test_its_faults_are_told_like_those_of_ours(folder, capsys):
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
