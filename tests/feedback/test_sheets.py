"""A sheet goes out, people fill it, and what comes back is exactly what they said."""

import csv

import pytest

from studio_projects import picture, write_run
from veridical.errors import ConfigError, DataError
from veridical.feedback.datasets import check_dataset
from veridical.feedback.record_files import read_corrections
from veridical.feedback.registry import read_pairs
from veridical.feedback.segments import check_segments, find_segments
from veridical.feedback.sheets.reading import read_sheet
from veridical.feedback.sheets.tables import read_table, write_table
from veridical.feedback.sheets.writing import write_sheet
from veridical.records import (
    Comparison,
    Correction,
    ImageRef,
    Mark,
    Marking,
    Rating,
    read_records,
    write_records,
)

ANSWERS = [
    "A red car and two knives.",
    '=1+1 on a board, "quoted", and\r\nthe the cat 👩‍👩‍👧.',
    "'-apostrophe; הכלב הלבן cafe\u0301",
    "Nothing wrong here.",
    "Skipped.",
    "Left alone.",
]


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", ANSWERS)


def fill(table, edits):
    """Change cells of a written sheet, as somebody with a spreadsheet would."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        file.seek(0)
        rows = list(csv.DictReader(file, delimiter=";" if ";" in head else ","))
    for row in rows:
        row.update(edits.get(row["id"], {}))
    with table.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")  # as Excel does in much of Europe
        writer.writeheader()
        writer.writerows(rows)


EDITS = {
    "p0#0": {"corrected": "A blue car and cups.", "kinds": "attribute, object", "seconds": "3,5"},
    # a spreadsheet that wrote LF, and took the apostrophe for its own sign of a text
    "p1#0": {"corrected": '\'=1+1 on a board, "quoted", and\nthe cat 🐕.', "kinds": "6 1"},
    "p2#0": {"corrected": "''-apostrophe; החתול הלבן cafe\u0301", "kinds": "object"},
    "p3#0": {"nothing_wrong": "x", "annotator": "bob"},
    "p4#0": {"skip": "picture is broken"},
}


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_corrections_come_back_exactly_and_a_second_round_changes_nothing(tmp_path, run, suffix):
    if suffix == "xlsx":
        pytest.importorskip("openpyxl")
    table = tmp_path / "sheet.csv"
    assert write_sheet(run, table) == 6
    fill(table, EDITS)
    found = read_sheet(run, table, tmp_path / "out", annotator="ann")
    assert (found.judgements, found.left_out) == (
        4,
        {"skipped: picture is broken": 1, "not judged": 1},
    )
    rows = {row.id: row for row in read_corrections(tmp_path / "out" / "corrections.jsonl")}
    assert [*rows] == ["p0#0@ann", "p1#0@ann", "p2#0@ann", "p3#0@bob"]
    for number, row in enumerate(rows.values()):
        assert row.rejected == ANSWERS[number]
        assert check_segments(row.rejected, row.chosen, row.segments) == []
    first, second, third, clean = rows.values()
    assert (first.seconds, first.source, first.annotator) == (3.5, "human", "ann")
    assert [segment.kind for segment in first.segments] == ["attribute", "object"]
    assert second.chosen == '=1+1 on a board, "quoted", and\r\nthe cat 🐕.'
    assert third.chosen == "'-apostrophe; החתול הלבן cafe\u0301"
    assert clean.chosen == clean.rejected
    assert len(read_pairs(tmp_path / "out")) == 3
    again = tmp_path / f"again.{suffix}"
    write_sheet(tmp_path / "out", again)
    read_sheet(tmp_path / "out", again, tmp_path / "twice")
    names = [p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert len(names) == 8
    for name in names:
        if name.name != "manifest.json":
            assert (tmp_path / "twice" / name).read_bytes() == (
                tmp_path / "out" / name
            ).read_bytes()


def test_corrections_that_stand_alone_keep_spans_notes_and_sources(tmp_path):
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "ü.png").write_bytes(picture())
    (segment,) = find_segments("one two", "one three")
    wide = segment.model_copy(
        update={"rejected_span": (0, 7), "chosen_span": (0, 9), "note": "wide", "kind": "number"}
    )
    shared = {"prompt_id": "p", "image": ImageRef(path="images/ü.png"), "question": "What?"}
    rows = [
        Correction(id="a", rejected="one two", chosen="one three", source="model", **shared),
        Correction(
            id="b",
            rejected="one two.",
            chosen="one three.",
            segments=(wide,),
            source="simulated",
            seconds=0.1 + 0.2,
            **shared,
        ),
    ]
    write_records(folder / "corrections.jsonl", rows, kind="Correction")
    write_sheet(folder, tmp_path / "s.csv")
    fill(tmp_path / "s.csv", {})
    read_sheet(folder, tmp_path / "s.csv", tmp_path / "out")
    assert read_records(tmp_path / "out" / "corrections.jsonl", Correction) == rows
    fill(tmp_path / "s.csv", {"a": {"corrected": "one four", "kinds": "number"}})
    read_sheet(folder, tmp_path / "s.csv", tmp_path / "changed")
    changed, kept = read_records(tmp_path / "changed" / "corrections.jsonl", Correction)
    assert (changed.id, changed.chosen, changed.source) == ("a", "one four", "human")
    assert kept == rows[1]


def test_pairs_and_scores_have_sheets_too(tmp_path, run):
    write_sheet(run, tmp_path / "rate.csv", task="rate")
    fill(tmp_path / "rate.csv", {"p0#0": {"score": "2", "reason": "knives"}})
    read_sheet(run, tmp_path / "rate.csv", tmp_path / "rated", task="rate")
    (rating,) = read_records(tmp_path / "rated" / "ratings.jsonl", Rating)
    assert (rating.response_id, rating.score, rating.reason) == ("p0#0", 2, "knives")
    pairs = write_run(tmp_path / "pairs", ["One.", "Two."])
    text = (pairs / "responses.jsonl").read_text().replace('"prompt_id":"p1"', '"prompt_id":"p0"')
    (pairs / "responses.jsonl").write_text(text)
    write_sheet(pairs, tmp_path / "compare.csv", task="compare")
    fill(tmp_path / "compare.csv", {"p0#0|p1#0": {"preferred": "2", "hallucination": "yes"}})
    read_sheet(pairs, tmp_path / "compare.csv", tmp_path / "compared", task="compare")
    (row,) = read_records(tmp_path / "compared" / "comparisons.jsonl", Comparison)
    assert (row.response_ids, row.preferred, row.hallucination) == (
        ("p0#0", "p1#0"),
        "second",
        True,
    )
    write_sheet(tmp_path / "compared", tmp_path / "again.csv")
    read_sheet(tmp_path / "compared", tmp_path / "again.csv", tmp_path / "twice")
    assert read_records(tmp_path / "twice" / "comparisons.jsonl", Comparison) == [row]


MARKED = {
    "p0#0": {"marked": "A [[red]] car and [[two knives]].", "kinds": "attribute, 3"},
    # a spreadsheet that wrote LF
    "p1#0": {
        "marked": '=1+1 on a board, "quoted", and\n[[the [[the]] cat]] 👩‍👩‍👧.',
        "kinds": "1 6",
    },
    "p2#0": {"nothing_wrong": "x", "annotator": "bob", "seconds": "2"},
    "p4#0": {"skip": "picture is broken"},
}


def test_marks_come_back_exactly_and_a_second_round_changes_nothing(tmp_path, run):
    table = tmp_path / "sheet.csv"
    write_sheet(run, table, task="mark")
    fill(table, MARKED)
    found = read_sheet(run, table, tmp_path / "out", task="mark", annotator="ann")
    assert (found.judgements, found.left_out["not judged"]) == (3, 2)
    first, second, clean = read_records(tmp_path / "out" / "markings.jsonl", Marking)
    told = [(mark.text, mark.kind) for mark in first.segments]
    assert told == [("red", "attribute"), ("two knives", "number")]
    assert [mark.text for mark in second.segments] == ["the the cat", "the"]
    assert all(ANSWERS[1][slice(*mark.span)] == mark.text for mark in second.segments)
    assert (clean.segments, clean.annotator, clean.seconds) == ((), "bob", 2)
    assert check_dataset(tmp_path / "out") == []
    crossing = [
        Mark(response_id="p1#0", span=span, text=ANSWERS[1][slice(*span)], kind="number")
        for span in ((40, 44), (36, 42))
    ]
    rows = [first, second.model_copy(update={"segments": tuple(crossing)}), clean]
    write_records(tmp_path / "out" / "markings.jsonl", rows, kind="Marking")
    write_sheet(tmp_path / "out", tmp_path / "again.csv")
    fill(tmp_path / "again.csv", {})
    read_sheet(tmp_path / "out", tmp_path / "again.csv", tmp_path / "twice")
    for name in ("markings.jsonl", "responses.jsonl", "prompts.jsonl"):
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_brackets_of_the_response_are_its_own(tmp_path):
    run = write_run(tmp_path / "run", ["The label [A] reads [[B]."])
    write_sheet(run, tmp_path / "s.csv", task="mark")
    fill(tmp_path / "s.csv", {"p0#0": {"marked": "The label {{[A]}} reads [[B].", "kinds": "1"}})
    read_sheet(run, tmp_path / "s.csv", tmp_path / "out", task="mark")
    (row,) = read_records(tmp_path / "out" / "markings.jsonl", Marking)
    assert [mark.text for mark in row.segments] == ["[A]"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"marked": "A [[red]] car and two knives."}, "1 mark and 0 kinds"),
        ({"marked": "A [[red car and two knives.", "kinds": "1"}, "has [[ without ]]"),
        ({"marked": "A [[]]red car and two knives.", "kinds": "1"}, "without words before it"),
        ({"marked": "A [[blue]] car and two knives.", "kinds": "1"}, "its words were changed"),
        ({"marked": "A [[red]] car and two knives.", "nothing_wrong": "x"}, "Undo one of them"),
        ({"kinds": "object"}, "0 marks and 1 kind"),
    ],
)
def test_faulty_marks_name_the_line_and_what_to_do(tmp_path, run, edit, words):
    write_sheet(run, tmp_path / "s.csv", task="mark")
    fill(tmp_path / "s.csv", {"p0#0": edit})
    with pytest.raises(DataError) as raised:
        read_sheet(run, tmp_path / "s.csv", tmp_path / "out", task="mark")
    (fault,) = raised.value.faults
    assert (fault.line, words in fault.message) == (2, True)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"corrected": "A blue car and cups.", "kinds": "object"}, "2 changes (red → blue; two"),
        ({"corrected": "A blue car and two knives.", "kinds": "colour"}, "Kinds are 1 object"),
        ({"corrected": "A blue car.", "kinds": "1", "nothing_wrong": "x"}, "Undo one of them"),
        ({"corrected": ""}, "holds no correction"),
        ({"kinds": "object"}, "holds no correction"),
        ({"nothing_wrong": "maybe"}, "is x (or yes)"),
        ({"response": "Edited."}, "corrections go into `corrected`"),
        ({"id": "p9"}, "no item 'p9'"),
        ({"judgement": "j9"}, "no judgement 'j9'"),
        ({"nothing_wrong": "x", "seconds": "fast"}, "number of 0 or more"),
        ({"id": "p3#0", "response": ANSWERS[3], "nothing_wrong": "x"}, "changed"),
    ],
)
def test_faults_name_the_line_and_what_to_do(tmp_path, run, edit, words):
    write_sheet(run, tmp_path / "s.csv")
    fill(tmp_path / "s.csv", {"p0#0": edit, "p5#0": {"kinds": "x"}})
    with pytest.raises(DataError) as raised:
        read_sheet(run, tmp_path / "s.csv", tmp_path / "out")
    first, last = raised.value.faults
    assert words in first.message
    assert (first.line, last.line) == (2, 9)  # a row takes more lines where its texts do
    assert not (tmp_path / "out").exists()


def test_one_person_judges_an_item_once_and_filled_sheets_are_not_overwritten(tmp_path, run):
    table = tmp_path / "s.csv"
    write_sheet(run, table)
    with pytest.raises(ConfigError, match="exists already"):
        write_sheet(run, table)
    with pytest.raises(DataError, match="nobody filled"):
        read_sheet(run, table, tmp_path / "out")
    fill(table, {"p3#0": {"nothing_wrong": "x"}})
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    row = next(line for line in lines if line.startswith("p3#0"))
    table.write_text("\r\n".join([lines[0], row, row.replace(";x;", ";x;;bob"[:4])]), "utf-8")
    with pytest.raises(DataError, match="in line 2 already"):
        read_sheet(run, table, tmp_path / "out")


def test_tables_that_are_none_are_said(tmp_path):
    with pytest.raises(ConfigError, match="xlsx"):
        write_table(tmp_path / "s.ods", ["id"], [])
    for name, data, words in (
        ("a.csv", b'id,score\n"x', "not CSV"),
        ("b.csv", b"name\nx\n", "the column 'id' is missing"),
        ("c.csv", b"id\nx,y,z\n", "Quote the texts"),
        ("d.csv", b"id\n\xff\n", "Save the file as UTF-8"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=words):
            list(read_table(tmp_path / name, ["id"]))
