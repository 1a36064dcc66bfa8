"""Sources: runs, two runs, comparisons, tables, Label Studio; schema; command line."""

import json

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from studio_client import Annotator
from studio_projects import ANSWER, make_project, picture, write_run
from veridical.cli import main
from veridical.errors import ConfigError, DataError
from veridical.records import Comparison, write_records
from veridical.studio.settings import read_settings
from veridical.studio.sources.extras import Extras
from veridical.studio.sources.reading import find_dataset
from veridical.studio.start import import_into_studio, init_studio
from veridical.studio.store.database import Database
from veridical.studio.store.schema import item, metadata


def found(path, **options):
    source = find_dataset(path, **options)
    return source.task, list(source.items)


def test_a_run_gives_an_item_per_response_and_skips_empty_ones(tmp_path):
    task, items = found(write_run(tmp_path / "run", [ANSWER, " ", "Two."]))
    assert (task, [new.key for new in items]) == ("correct", ["p0#0", "p2#0"])


def test_a_run_finds_its_prompts_by_the_manifest(tmp_path):
    run = write_run(tmp_path / "data", [ANSWER])
    (tmp_path / "before").mkdir()
    (run / "responses.jsonl").rename(tmp_path / "before" / "responses.jsonl")
    with pytest.raises(ConfigError, match="--prompts"):
        found(tmp_path / "before")
    recipe = {"recipe": {"prompts": str(run / "prompts.jsonl")}}
    (tmp_path / "before" / "manifest.json").write_text(json.dumps(recipe))
    assert len(found(tmp_path / "before")[1]) == 1


def test_two_runs_are_set_side_by_side_where_they_differ(tmp_path):
    one = write_run(tmp_path / "one", ["A.", "Same.", "C."])
    other = write_run(tmp_path / "other", ["B.", "Same.", "D."])
    task, items = found(one, second=other)
    assert task == "compare"
    assert [[row["text"] for row in new.responses] for new in items] == [["A.", "B."], ["C.", "D."]]


def test_comparisons_are_judged_anew_each_pair_once(tmp_path):
    run = write_run(tmp_path / "run", ["A."])
    lines = (run / "responses.jsonl").read_text().splitlines()
    other = json.loads(lines[1]) | {"id": "p0#1", "text": "B."}
    (run / "responses.jsonl").write_text("\n".join([*lines, json.dumps(other)]) + "\n")
    rows = [
        Comparison(id=str(n), prompt_id="p0", source="model", preferred="first", response_ids=ids)
        for n, ids in enumerate((("p0#0", "p0#1"), ("p0#1", "p0#0")))
    ]
    write_records(run / "comparisons.jsonl", rows, kind="Comparison")
    task, items = found(run)
    assert (task, len(items)) == ("compare", 1)


def test_tables_in_three_forms(tmp_path):
    (tmp_path / "a b.png").write_bytes(picture())
    (tmp_path / "c.png").write_bytes(picture(1))
    (tmp_path / "t.csv").write_text('image,question,response\na b.png|c.png,What?,"A, b\nc"\n')
    (tmp_path / "t.tsv").write_text("image\tquestion\tresponse_1\tresponse_2\na b.png\tQ?\tA\tB\n")
    (tmp_path / "t.jsonl").write_text('{"image": "c.png", "prompt": "Q?", "response": "A"}\n')
    task, (new,) = found(tmp_path / "t.csv")
    assert (task, len(new.images), new.responses[0]["text"]) == ("correct", 2, "A, b\nc")
    assert found(tmp_path / "t.tsv")[0] == "compare"
    assert found(tmp_path / "t.jsonl", task="rate")[0] == "rate"
    (tmp_path / "bad.csv").write_text("image,question,response\nc.png,,\n")
    with pytest.raises(DataError, match=r"bad.csv:2.*question"):
        found(tmp_path / "bad.csv")


def test_what_stood_before_the_question_is_part_of_the_item(tmp_path):
    shared = {"question": "And now?", "response": "A cat."}
    rows = [
        shared | {"system": "Be brief.", "history": [["What is it?", "A kitchen."]]},
        shared | {"system": "Be long."},
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    studio, imported = init_studio(tmp_path / "project", tmp_path / "t.jsonl")
    assert imported.added == 2  # they differ in nothing but what was before
    with studio.database.reading() as connection:
        kept = connection.execute(select(item).order_by(item.c.id)).all()
    assert [row.history for row in kept] == [[["What is it?", "A kitchen."]], []]
    assert [row.prompt["system"] for row in kept] == ["Be brief.", "Be long."]
    studio.database.close()
    (tmp_path / "bad.jsonl").write_text(json.dumps(shared | {"history": [["One."]]}) + "\n")
    with pytest.raises(DataError, match=r"bad.jsonl:1.*history"):
        found(tmp_path / "bad.jsonl")


def test_all_faults_are_said_at_once_and_nothing_half_made_stays(tmp_path):
    (tmp_path / "c.png").write_bytes(picture())
    rows = ["image,question,response", "c.png,Q?,A", "no.png,Q?,B", "c.png,,C", "c.png,Q?,D"]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"t.csv:3[\s\S]*t.csv:4"):
        init_studio(tmp_path / "project", tmp_path / "t.csv")
    assert not (tmp_path / "project").exists()
    studio = make_project(tmp_path, "correct", [ANSWER])
    with pytest.raises(DataError, match=r"t.csv:3[\s\S]*import again"):
        import_into_studio(studio.folder, tmp_path / "t.csv")
    with studio.database.reading() as connection:
        assert len(connection.execute(select(item)).all()) == 3
    studio.database.close()


def test_label_studio_offsets_are_utf16(tmp_path):
    (tmp_path / "c.png").write_bytes(picture())
    text = "👩‍👩‍👧 two knives"
    start = len(text[: text.index("two")].encode("utf-16-le")) // 2
    value = {"start": start, "end": start + 3, "text": "two", "labels": ["Number"]}
    task = {
        "id": 7,
        "data": {"image": "/data/upload/1/c.png", "question": "Q?", "response": text},
        "predictions": [{"result": [{"type": "labels", "value": value}]}],
    }
    (tmp_path / "export.json").write_text(json.dumps([task]))
    _, (new,) = found(tmp_path / "export.json", task="mark")
    (suspect,) = new.suspects
    assert text[suspect["start"] : suspect["end"]] == "two"
    assert suspect["kind"] == "number"


def test_extras_that_do_not_fit_are_refused_with_their_line(tmp_path):
    run = write_run(tmp_path / "run", [ANSWER])
    file = tmp_path / "extras.jsonl"
    for row, extras in (
        ({"id": "nobody", "answer": {}}, Extras(gold=file)),
        ({"id": "p0", "segments": [{"start": 5, "end": 900}]}, Extras(suspects=file)),
        ({"id": "p0"}, Extras(scores=file)),
    ):
        file.write_text(json.dumps(row) + "\n")
        with pytest.raises(DataError, match=r"extras.jsonl:1"):
            found(run, extras=extras)


def test_an_import_adds_what_is_new_and_counts_the_rest(tmp_path):
    studio = make_project(tmp_path, "correct", [ANSWER])
    more = write_run(tmp_path / "more", [ANSWER, "New one."])
    done = import_into_studio(studio.folder, more)
    assert (done.added, done.duplicates) == (1, 1)
    with pytest.raises(ConfigError, match="holds a project already"):
        init_studio(studio.folder, more)
    studio.database.close()


def test_a_share_with_suspects_is_left_unmarked(tmp_path):
    file = tmp_path / "suspects.jsonl"
    segments = [{"start": 0, "end": 3}]
    file.write_text(
        "".join(json.dumps({"id": f"p{n}#0", "segments": segments}) + "\n" for n in range(60))
    )
    studio = make_project(
        tmp_path,
        "mark",
        [f"{ANSWER} {n}" for n in range(60)],
        extras=Extras(suspects=file),
        premarked_share=0.5,
    )
    with studio.database.reading() as connection:
        flags = list(connection.execute(select(item.c.premarked)).scalars())
    assert 15 < sum(flags) < 45
    studio.database.close()


def test_migrations_make_the_tables_of_the_schema_and_can_go_back(tmp_path):
    from alembic import command
    from alembic.config import Config

    from veridical.studio.store import migrations

    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    database.migrate()
    database.close()


def test_tables_of_a_newer_version_are_refused(tmp_path):
    studio = make_project(tmp_path, "rate", [ANSWER])
    with studio.database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="another version"):
        studio.database.migrate()
    studio.database.close()


def test_a_backup_taken_while_people_work_opens(tmp_path):
    studio = make_project(tmp_path, "rate", [f"{ANSWER} {n}" for n in range(3)])
    ann = Annotator(studio)
    ann.judge(ann.next()["item"], {"score": 4})
    (tmp_path / "copy" / "images").mkdir(parents=True)
    studio.database.backup(tmp_path / "copy" / "studio.db")
    with pytest.raises(ConfigError, match="exists already"):
        studio.database.backup(tmp_path / "copy" / "studio.db")
    copy = Database(f"sqlite:///{tmp_path / 'copy' / 'studio.db'}")
    copy.migrate()
    with copy.reading() as connection:
        assert len(connection.execute(select(item)).all()) == 3
    copy.close()
    studio.database.close()


def test_settings_name_the_wrong_key():
    assert read_settings(["overlap=3", "queue=scores"]).overlap == 3
    with pytest.raises(ConfigError, match="overlapp"):
        read_settings(["overlapp=3"])


def test_the_command_line_makes_adds_exports_and_tells(tmp_path, capsys):
    run = write_run(tmp_path / "run", [ANSWER])
    project = str(tmp_path / "p")
    for words in (
        ["init", project, str(run), "--task", "rate", "--set", "gold_share=0"],
        ["user", project, "ann"],
        ["agreement", project],
        ["backup", project, str(tmp_path / "b.db")],
    ):
        with pytest.raises(SystemExit) as ended:
            main(["studio", *words])
        assert ended.value.code == 0
    assert "http://127.0.0.1:8765/join#" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["studio", "export", project, str(tmp_path / "out")])
    assert ended.value.code == 1
    assert "Nothing is judged" in capsys.readouterr().err


def test_an_id_that_stands_for_two_items_is_a_fault_not_a_duplicate(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    table = tmp_path / "items.csv"  # with semicolons, as spreadsheets write them in much of Europe
    rows = ["id;image;question;response", "1;a.png;What?;One.", "1;a.png;What?;Another."]
    table.write_text("\n".join([*rows, "2;a.png;What?;One."]), encoding="utf-8")
    with pytest.raises(DataError, match=r"items.csv:3: the id '1' stands for another item"):
        init_studio(tmp_path / "project", table)
    table.write_text("\n".join([*rows[:2], "2;a.png;What?;One."]), encoding="utf-8")
    studio, done = init_studio(tmp_path / "project", table)
    assert (done.added, done.duplicates) == (1, 1)  # the same content under another id comes once
    studio.database.close()
    odd = tmp_path / "odd.jsonl"
    odd.write_text('{"id": "1", "image": 7, "question": "What?", "response": "One."}\n')
    with pytest.raises(DataError, match="the image '7' is missing"):
        init_studio(tmp_path / "other", odd)
