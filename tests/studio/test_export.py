"""What comes out is what training reads, the same bytes each time, and left-outs are counted."""

import json

import pytest
from sqlalchemy import select

from studio_client import Annotator
from studio_projects import ANSWER, make_project, picture, write_run
from veridical.errors import ConfigError
from veridical.feedback.comparisons import ReadSettings, read_compared_pairs
from veridical.feedback.datasets import check_dataset, find_dataset
from veridical.feedback.record_files import read_corrections
from veridical.feedback.registry import read_pairs
from veridical.formats.importing import import_dataset
from veridical.formats.registry import detect_format
from veridical.records import Marking, Prompt, Rating, Response, read_records, write_records
from veridical.studio.export.folder import export_format, export_studio
from veridical.studio.lead.differences import differences, settle
from veridical.studio.start import SourceOptions, init_studio
from veridical.studio.store.people import find_person
from veridical.studio.store.schema import judgement

NEW = ANSWER.replace("knives", "cups")


@pytest.fixture
def corrected(tmp_path):
    """Two people, three items each: a correction, "nothing wrong", a skip; then a disagreement."""
    studio = make_project(
        tmp_path, "correct", [f"{ANSWER} {n}." for n in range(3)], overlap=2, overlap_share=1.0
    )
    ann, bob = Annotator(studio, "ann"), Annotator(studio, "bob")
    for person, word in ((ann, "cups"), (bob, "spoons")):
        for _ in range(3):
            item = person.next()["item"]
            text = item["texts"][0]
            if text.endswith("0."):
                answer = person.correct(item, text.replace("knives", word))
            elif text.endswith("1."):
                answer = person.judge(item, {"text": text, "nothing_wrong": True})
            else:
                answer = person.judge(item, outcome="cannot_tell")
            assert answer.status_code == 200, answer.text
    yield studio
    studio.database.close()


def test_corrections_go_to_training_as_they_are(corrected, tmp_path):
    done = export_studio(corrected, tmp_path / "out")
    rows = read_corrections(done.folder / "corrections.jsonl")
    row, clean = sorted(rows, key=lambda row: row.chosen == row.rejected)
    assert (row.source, row.annotator, row.seconds) == ("human", "ann", 3.5)
    assert row.chosen == row.rejected.replace("knives", "cups")
    assert [segment.kind for segment in row.segments] == ["object"]
    assert clean.chosen == clean.rejected
    (pair,) = read_pairs(done.folder, ReadSettings())
    assert (pair.chosen, pair.rejected) == (row.chosen, row.rejected)
    assert len(read_records(done.folder / "prompts.jsonl", Prompt)) == 2
    assert len(read_records(done.folder / "responses.jsonl", Response)) == 2
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["notes"]["counts"] == {
        "judgements": 4,
        "left out: cannot tell": 2,
        "left out: one per item is kept": 2,
        "nothing wrong": 1,
    }


def test_the_same_database_gives_the_same_bytes(corrected, tmp_path):
    one = export_studio(corrected, tmp_path / "one").folder
    other = export_studio(corrected, tmp_path / "other").folder
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(names) == 6
    for name in names:
        if name.name != "manifest.json":
            assert (one / name).read_bytes() == (other / name).read_bytes()


def test_every_keeps_both_and_settling_picks_one(corrected, tmp_path):
    assert export_studio(corrected, tmp_path / "every", keep="every").records == 4
    with corrected.database.writing() as connection:
        (difference,) = differences(connection, "correct")
        number = find_person(connection, "bob").id
        (wanted,) = connection.execute(
            select(judgement).where(
                judgement.c.item_id == difference.item_id, judgement.c.person_id == number
            )
        )
        settle(connection, difference.item_id, wanted.id, who=number, note="spoons it is")
        assert differences(connection, "correct")[0].settled
    export_studio(corrected, tmp_path / "settled")
    rows = read_corrections(tmp_path / "settled" / "corrections.jsonl")
    assert [row.chosen for row in rows if "spoons" in row.chosen]
    assert not [row.chosen for row in rows if "cups" in row.chosen]
    with corrected.database.writing() as connection:
        settle(connection, difference.item_id, None, who=number, note="neither")
    assert export_studio(corrected, tmp_path / "none").records == 1


def test_settling_on_a_judgement_of_another_item_is_refused(corrected):
    with corrected.database.writing() as connection:
        (difference,) = differences(connection, "correct")
        other = connection.execute(
            select(judgement).where(judgement.c.item_id != difference.item_id)
        ).first()
        with pytest.raises(ConfigError, match="not a current one"):
            settle(connection, difference.item_id, other.id, who=1, note="")


def test_comparisons_name_the_responses_as_shown_and_are_read_back(tmp_path):
    studio = make_project(
        tmp_path, "compare", [ANSWER], second=["A red car."], overlap=2, overlap_share=1.0
    )
    for name in ("ann", "bob"):
        person = Annotator(studio, name)
        item = person.next()["item"]
        wrong = "left" if item["texts"][0] == ANSWER else "right"
        person.judge(item, {"hallucinates_more": wrong, "more_helpful": wrong})
    export_studio(studio, tmp_path / "out", keep="every")
    pairs = read_compared_pairs(tmp_path / "out", need_facts=False)
    assert len(pairs) == 2
    assert {pair.comparison.preferred for pair in pairs} == {"first", "second"}
    for pair in pairs:
        better = pair.first if pair.comparison.preferred == "first" else pair.second
        assert better.text == "A red car."
        assert pair.comparison.hallucination is True
    studio.database.close()


def test_ratings_take_the_middle_and_marks_give_exact_texts(tmp_path):
    studio = make_project(tmp_path / "r", "rate", [ANSWER], overlap=3, overlap_share=1.0)
    for name, score in (("ann", 0), ("bob", 5), ("eve", 4)):
        person = Annotator(studio, name)
        person.judge(person.next()["item"], {"score": score})
    export_studio(studio, tmp_path / "ratings")
    (row,) = read_records(tmp_path / "ratings" / "ratings.jsonl", Rating)
    assert row.score == 4
    studio.database.close()
    text = "Ein 🐕\r\nund two knives."
    studio = make_project(tmp_path / "m", "mark", [text])
    ann = Annotator(studio)
    item = ann.next()["item"]
    start = item["texts"][0].index("two")
    ann.judge(item, {"marks": [{"start": start, "end": start + 10, "kind": "number"}]})
    export_studio(studio, tmp_path / "marks")
    (marking,) = read_records(tmp_path / "marks" / "markings.jsonl", Marking)
    (mark,) = marking.segments
    assert (mark.kind, mark.text, text[slice(*mark.span)]) == ("number", *["two knives"] * 2)
    assert check_dataset(find_dataset(tmp_path / "marks")) == []
    studio.database.close()


def test_a_simulated_person_is_marked_so(tmp_path):
    from veridical.studio.serving import Address, login_link

    studio = make_project(tmp_path, "rate", [ANSWER])
    login_link(studio, "robot", Address(), role="annotator", source="simulated")
    robot = Annotator(studio, "robot")
    robot.judge(robot.next()["item"], {"score": 6})
    export_studio(studio, tmp_path / "out")
    (row,) = read_records(tmp_path / "out" / "ratings.jsonl", Rating)
    assert row.source == "simulated"
    studio.database.close()


def test_nothing_judged_and_a_full_folder_are_said(tmp_path):
    studio = make_project(tmp_path, "rate", [ANSWER])
    with pytest.raises(ConfigError, match="Nothing is judged"):
        export_studio(studio, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ConfigError, match="not empty"):
        export_studio(studio, tmp_path / "full")
    studio.database.close()


def test_line_ends_of_the_original_come_back():
    from veridical.feedback.segments import check_segments
    from veridical.feedback.texts.line_ends import RestoredCorrection, changes, shown_text

    for raw, old, new in (
        ("one\r\ntwo\r\nthree", "two", "2\nzwei"),
        ("one\rtwo\nthree\r\nfour", "three", "drei"),
        ("a\r\n\r\nb", "\n\n", "\n"),
        ("\r\nx", "x", "y"),
    ):
        shown = shown_text(raw)
        text = shown.replace(old, new)
        found = RestoredCorrection(raw, text, changes(shown, text))
        assert found.rejected == raw
        assert shown_text(found.chosen) == text
        assert check_segments(found.rejected, found.chosen, found.segments) == []


@pytest.mark.parametrize("name", ["trl", "llama-factory", "ms-swift", "rlhf-v", "label-studio"])
def test_corrections_go_out_in_public_formats_and_come_back(corrected, tmp_path, name):
    done = export_studio(corrected, tmp_path / "out")
    file = export_format(done.folder, name)
    if name == "label-studio":
        tasks = json.loads(file.read_text())
        changed = next(task for task in tasks if len(task["annotations"][0]["result"]) == 2)
        label, text = changed["annotations"][0]["result"]
        assert label["value"]["text"] == "knives"
        assert "cups" in text["value"]["text"][0]
        return
    found = name if name == "rlhf-v" else "chat"
    assert detect_format(file) == found
    import_dataset(file, tmp_path / "back", format_name=found, judged_by="human")
    pairs = read_pairs(tmp_path / "back", ReadSettings())
    (wanted,) = read_pairs(done.folder, ReadSettings())
    assert [(p.question, p.chosen, p.rejected) for p in pairs] == [
        (wanted.question, wanted.chosen, wanted.rejected)
    ]


def test_comparisons_go_out_as_llava_rlhf_reads_them(tmp_path):
    studio = make_project(tmp_path, "compare", [ANSWER, "Same."], second=["A red car.", "Other."])
    ann = Annotator(studio)
    for _ in range(2):
        item = ann.next()["item"]
        tie = "Same." in item["texts"]
        wrong = "left" if item["texts"][0] == ANSWER else "right"
        body = {"hallucinates_more": "neither" if tie else wrong, "more_helpful": "equal"}
        assert ann.judge(item, body).is_success
    done = export_studio(studio, tmp_path / "out")
    (row,) = json.loads(export_format(done.folder, "llava-rlhf-preference").read_text())
    assert row[f"output_{row['preference']}"]["value"] == "A red car."
    assert row["hallucination"] is True
    assert row["conversations"][-1]["from"] == "gpt"
    studio.database.close()


def test_pictures_and_turns_are_shown_and_come_out_as_they_went_in(tmp_path):
    run = write_run(tmp_path / "run", [ANSWER, f"{ANSWER} Two."])
    first, second = read_records(run / "prompts.jsonl", Prompt)
    asked = first.model_copy(
        update={
            "question": "And here? <image>",
            "history": (("<image> What is it?", "A kitchen."),),
            "more_images": (second.image,),
            "system": "Be brief.",
        }
    )
    write_records(run / "prompts.jsonl", [asked, second], kind="Prompt")
    studio, _ = init_studio(tmp_path / "project", run, SourceOptions(task="correct"))
    ann = Annotator(studio, "ann")
    for _ in range(2):
        item = ann.next()["item"]
        if item["history"]:
            assert item["history"] == [["[picture 1] What is it?", "A kitchen."]]
            assert item["system"] == "Be brief."
            assert item["question"] == "And here? [picture 2]"
            assert len(item["images"]) == 2
        assert ann.correct(item, item["texts"][0].replace("knives", "cups")).status_code == 200
    out = export_studio(studio, tmp_path / "out").folder
    studio.database.close()
    rows = {row.prompt_id: row for row in read_corrections(out / "corrections.jsonl")}
    made = rows["p0"]
    assert (made.turns, made.system) == (asked.turns, "Be brief.")
    assert [(out / ref.path).read_bytes() for ref in made.images] == [picture(0), picture(1)]
    assert rows["p1"].images == made.images[1:]
    assert read_records(out / "prompts.jsonl", Prompt)[0].turns in (asked.turns, second.turns)
