"""Formats and kinds of judgements of other packages are found as ours are."""

import pytest

from foreign_data import write_jsonl
from veridical.errors import ConfigError
from veridical.feedback.registry import judgement_kinds
from veridical.formats.importing import import_dataset
from veridical.formats.registry import detect_format, find_format, format_names
from veridical.records import Rating, read_records

CODE = """
from veridical.formats.format import Format
from veridical.formats.llava_rlhf.conversations import FORMAT as OURS
from veridical.records import Rating
from veridical.records.folders import Contents

def read(row, reader):
    return Contents(ratings=(Rating(id=reader.id(row.get("n")), prompt_id="p", response_id="r",
                                    score=row["stars"], source=reader.judged_by),))

STARS = Format(describes="stars", read=read, detects=lambda sample: "stars" in sample.keys,
               judged_by="human")
NOT_ONE = 7
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a package of one module with the entry points given."""

    def install(**groups):
        (tmp_path / "acme_stars.py").write_text(CODE)
        info = tmp_path / "acme_stars-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-stars\nVersion: 1\n")
        lines = [
            line for group, points in groups.items() for line in (f"[veridical.{group}]", *points)
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path

    return install


def test_a_format_of_another_package_goes_through_every_verb(package):
    folder = package(formats=["stars = acme_stars:STARS"])
    assert format_names()[-1] == "stars"
    source = write_jsonl(folder / "a.jsonl", [{"n": 1, "stars": 5}, {"n": 2, "stars": 0}])
    assert detect_format(source) == "stars"
    out = import_dataset(source, folder / "out", format_name="stars").path
    assert [row.score for row in read_records(out / "ratings.jsonl", Rating)] == [5, 0]


def test_what_another_package_gets_wrong_is_said_with_its_name(package):
    package(
        formats=["broken = acme_stars:NOTHING", "seven = acme_stars:NOT_ONE"],
        judgements=["seven = acme_stars:NOT_ONE"],
    )
    with pytest.raises(ConfigError, match=r"'broken' \(acme_stars:NOTHING\) cannot be loaded"):
        find_format("broken")
    with pytest.raises(ConfigError, match="is not a Format, got 7"):
        find_format("seven")
    with pytest.raises(ConfigError, match="is not a JudgementKind, got 7"):
        judgement_kinds()


@pytest.mark.parametrize("name", format_names())
def test_every_format_is_whole(name):
    form = find_format(name)
    assert form.describes
    assert form.read is not None or form.write is not None
    assert (form.write is not None) == bool(form.suffix)
    assert not form.cannot_hold or form.write is not None
