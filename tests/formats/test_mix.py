"""LLaVA-RLHF's SFT mix from files in the published layouts (a few rows, of our own words)."""

import json

import pytest
from typer.testing import CliRunner

from veridical.cli.data import app
from veridical.errors import ConfigError, DataError
from veridical.formats.benchmark_pictures import benchmarks_showing
from veridical.formats.mix.building import MixSettings, build_mix
from veridical.formats.mix.parts import SHORT_ANSWER, part_of
from veridical.records import Conversation, Prompt, read_records

POPE = 310196
"""A picture that POPE asks about."""


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def vqa_v2(folder):
    asked = [
        (1, 9, "Is it raining?", "yes/no", "no"),
        (2, 9, "Is there a dog?", "yes/no", "yes"),
        (3, 9, "How many cups?", "number", "2"),
        (4, 25, "Is this indoors?", "yes/no", "maybe"),
        (5, POPE, "Is there a cat?", "yes/no", "no"),
        (6, 30, "Is it night?", "yes/no", "yes"),
    ]
    questions = [{"question_id": q, "image_id": i, "question": text} for q, i, text, _, _ in asked]
    answers = [
        {"question_id": q, "image_id": i, "answer_type": kind, "multiple_choice_answer": answer}
        for q, i, _, kind, answer in asked
    ]
    write(folder / "v2_OpenEnded_mscoco_train2014_questions.json", {"questions": questions})
    write(folder / "v2_mscoco_train2014_annotations.json", {"annotations": answers})
    return folder


def a_okvqa(path):
    row = {
        "image_id": 9,
        "question_id": "a",
        "question": "What is the man waiting for?",
        "choices": ["bus", "rain", "food", "sleep"],
        "correct_choice_idx": 1,
        "rationales": ["he looks at the sky", "there are clouds.", "he holds an umbrella"],
    }
    return write(path, [row, row | {"image_id": 30, "question_id": "b"}])


def flickr30k(path):
    lines = [f"{name}.jpg#{n}\tTwo men sit on a bench, {n}." for name in (7, 8) for n in range(5)]
    return write(path, "\n".join(lines) + "\n")


def llava(path, count=6):
    rows = [
        {
            "id": f"{n:012d}",
            "image": f"{n + 40:012d}.jpg",
            "conversations": [
                {"from": "human", "value": f"What is on the table, {n}?\n<image>"},
                {"from": "gpt", "value": "A cup."},
            ],
        }
        for n in range(count)
    ]
    return write(path, rows)


@pytest.fixture
def files(tmp_path):
    return {
        "vqa_v2": vqa_v2(tmp_path / "vqa"),
        "a_okvqa": a_okvqa(tmp_path / "aokvqa_v1p0_train.json"),
        "flickr30k": flickr30k(tmp_path / "results_20130124.token"),
        "llava": llava(tmp_path / "llava_instruct_158k.json"),
    }


def mixed(tmp_path, files, **changes):
    found = build_mix(tmp_path / "mix", MixSettings(hold_out=2, **files | changes))
    rows = read_records(tmp_path / "mix" / "conversations.jsonl", Conversation)
    return found, {name: [row for row in rows if part_of(row) == name] for name in found.parts}


def test_questions_of_a_picture_are_turns_of_one_conversation(tmp_path, files):
    found, parts = mixed(tmp_path, files)
    (picture, other) = sorted(parts["vqa-v2"], key=lambda row: row.id)[::-1]
    assert [picture.id, other.id] == ["vqa-v2/9", "vqa-v2/30"]
    texts = [turn.text for turn in picture.turns]
    assert {*zip(texts[::2], texts[1::2], strict=True)} == {
        (f"Is it raining?\n{SHORT_ANSWER}", "No"),
        (f"Is there a dog?\n{SHORT_ANSWER}", "Yes"),
    }
    assert picture.source == "human"
    assert picture.image.path == "coco/train2017/000000000009.jpg"
    left_out = found.parts["vqa-v2"]["left out"]
    assert left_out == {
        "question of another answer type, or without an answer": 1,
        "yes/no question whose answer is neither": 1,
        "picture of POPE": 1,
    }


def test_multiple_choice_is_answered_by_letter_or_by_a_rationale_and_the_option(tmp_path, files):
    _, parts = mixed(tmp_path, files, rationale_share=0.0)
    assert {row.turns[1].text for row in parts["a-okvqa"]} == {"B"}
    assert "A. bus\nB. rain\nC. food\nD. sleep" in parts["a-okvqa"][0].turns[0].text
    _, parts = mixed(tmp_path, files, rationale_share=1.0)
    for row in parts["a-okvqa"]:
        assert row.turns[1].text.endswith(". So the correct option is B. rain.")


def test_one_caption_for_each_picture_with_boxes_on_request(tmp_path, files):
    _, parts = mixed(tmp_path, files)
    assert len(parts["flickr30k"]) == 2
    entities = tmp_path / "entities"
    write(entities / "Sentences" / "7.txt", "[/EN#1/people Two men] sit on [/EN#2/other a bench] .")
    write(
        entities / "Annotations" / "7.xml",
        "<annotation><size><width>200</width><height>100</height></size><object><name>1</name>"
        "<bndbox><xmin>20</xmin><ymin>10</ymin><xmax>100</xmax><ymax>90</ymax></bndbox></object>"
        "<object><name>2</name><nobndbox>1</nobndbox></object></annotation>",
    )
    found, parts = mixed(tmp_path, files, boxes=entities)
    (row,) = parts["flickr30k"]
    assert row.turns[1].text == "Two men [0.100, 0.100, 0.500, 0.900] sit on a bench ."
    assert found.parts["flickr30k"]["left out"] == {"no caption with boxes": 1}


def test_prompts_of_later_stages_are_held_out(tmp_path, files):
    found, parts = mixed(tmp_path, files)
    held = read_records(tmp_path / "mix" / "held_out" / "prompts.jsonl", Prompt)
    assert (len(parts["llava-instruct"]), len(held), found.held_out) == (4, 2, 2)
    seen = {row.turns[0].text for row in parts["llava-instruct"]}
    assert not seen & {prompt.question for prompt in held}
    published = write(tmp_path / "ppo.json", json.loads(files["llava"].read_text())[:3])
    found, parts = mixed(tmp_path, files, held_out=(published,))
    assert (len(parts["llava-instruct"]), found.held_out) == (3, 3)


def test_a_seed_gives_one_mix_and_numbers_are_drawn(tmp_path, files):
    file = tmp_path / "mix" / "conversations.jsonl"
    mixed(tmp_path, files)
    first = file.read_bytes()
    mixed(tmp_path, files)
    assert file.read_bytes() == first
    mixed(tmp_path, files, seed=1)
    assert file.read_bytes() != first
    found, parts = mixed(tmp_path, files, counts={"llava-instruct": 1, "vqa-v2": 0})
    assert [len(rows) for rows in parts.values()] == [2, 2, 2, 1]
    assert found.parts["llava-instruct"]["left out"]["beyond the number wanted"] == 3


def test_a_picture_may_stand_in_one_part_alone(tmp_path, files):
    found, parts = mixed(tmp_path, files, one_part_per_picture=True)
    assert parts["vqa-v2"] == []
    assert found.parts["vqa-v2"]["left out"]["picture that stands in another part"] == 2


def test_pictures_are_taken_where_they_lie(tmp_path, files):
    folder = tmp_path / "coco"
    folder.mkdir()
    for name in ("000000000009.jpg", "COCO_train2014_000000000030.jpg"):
        (folder / name).write_bytes(b"")
    found, parts = mixed(tmp_path, files, coco=folder)
    assert {row.image.path for row in parts["vqa-v2"]} == {str(path) for path in folder.iterdir()}
    assert found.parts["llava-instruct"]["left out"]["picture not in the folder"] == 6


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("a_okvqa", {"questions": []}, "must be a list of objects, got dict"),
        ("a_okvqa", [{"image_id": "9"}], "`image_id` must be a whole number, got '9'"),
        ("llava", [{"image": "a.jpg", "conversations": [{"from": "gpt"}]}], "turn 1 must be"),
        ("llava", "[{", "not valid JSON"),
        ("flickr30k", "a caption\n", "a line must be NAME.jpg#0"),
    ],
)
def test_a_wrong_file_is_said_with_its_place(tmp_path, files, name, value, message):
    with pytest.raises(DataError, match=message):
        mixed(tmp_path, {**files, name: write(files[name], value)})


def test_what_cannot_be_mixed_is_said(tmp_path, files):
    with pytest.raises(ConfigError, match="at least one dataset"):
        build_mix(tmp_path, MixSettings())
    with pytest.raises(ConfigError, match="There is no part 'coco'"):
        mixed(tmp_path, files, counts={"coco": 1})
    with pytest.raises(ConfigError, match=r"must hold one file \*questions\*.json"):
        mixed(tmp_path, {"vqa_v2": tmp_path / "none"})


def test_the_command_writes_counts_by_source(tmp_path, files):
    out = tmp_path / "mix"
    options = [f"--{name.replace('_', '-')}={path}" for name, path in files.items()]
    words = ["mix", "llava-rlhf", str(out), *options, "--hold-out=2", "--count=vqa-v2=1"]
    result = CliRunner().invoke(app, words)
    assert "9 conversations" in result.output
    notes = json.loads((out / "manifest.json").read_text())["notes"]
    taken = {name: part["taken"] for name, part in notes["parts"].items()}
    assert taken == {"a-okvqa": 2, "vqa-v2": 1, "flickr30k": 2, "llava-instruct": 4}
    assert len(json.loads((out / "manifest.json").read_text())["inputs"]) == 5
    other = CliRunner().invoke(app, ["mix", "sharegpt4v", str(out)])
    assert "There is no mix 'sharegpt4v'" in str(other.exception)


@pytest.mark.parametrize(
    ("path", "benchmarks"),
    [
        ("COCO_val2014_000000310196.jpg", ("POPE",)),
        ("train2017/000000310196.jpg", ("POPE",)),
        ("aok_000000310196.jpg", ("POPE",)),
        ("AMBER_1004.jpg", ("AMBER",)),
        ("images/df62a56fdc1bb12b.jpg", ("MMHal-Bench",)),
        ("VG_100K/2405722.jpg", ("POPE (GQA)",)),
        ("2405722.jpg", ()),
        ("0123456789abcdef.png", ()),
        ("", ()),
    ],
)
def test_pictures_of_benchmarks_are_known_by_their_names(path, benchmarks):
    assert benchmarks_showing(path) == benchmarks
