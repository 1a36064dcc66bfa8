"""Preference data of published methods and tools, in the layouts of their own loaders."""

import json

import pyarrow
import pytest

from foreign_data import CHOSEN, QUESTION, REJECTED, image_bytes, write_jsonl, write_parquet
from veridical.feedback.registry import read_pairs
from veridical.formats.importing import check_data, import_dataset
from veridical.formats.registry import detect_format, find_format
from veridical.records import Comparison, Conversation, Correction, Prompt, Rating, read_records

VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives"
    " helpful, detailed, and polite answers to the user's questions."
)
ASKED = f"<image>\n{QUESTION}"


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(image_bytes(number, kind="JPEG"))
    (tmp_path / "VG_100K_2").mkdir()
    (tmp_path / "VG_100K_2" / "17.jpg").write_bytes(image_bytes(17, kind="JPEG"))
    return tmp_path


def talk(*texts, names=("human", "gpt"), keys=("from", "value")):
    return [{keys[0]: names[n % 2], keys[1]: text} for n, text in enumerate(texts)]


def chat(*texts):
    return talk(*texts, names=("user", "assistant"), keys=("role", "content"))


def brought_in(folder, rows, name=None, **options):
    source = folder / "a.json"
    source.write_text(json.dumps(rows if isinstance(rows, list) else [rows]))
    found = name or detect_format(source)
    options = {} if find_format(found).judged_by else {"judged_by": "human"}
    return import_dataset(source, folder / "out", format_name=found, **options)


def pair_of(folder, row, name=None):
    (found,) = read_records(brought_in(folder, row, name).path / "corrections.jsonl", Correction)
    return found


def faults(folder, row, name):
    source = write_jsonl(folder / "a.jsonl", [row])
    return [fault.message for fault in check_data(source, format_name=name)]


POVID = {
    "id": "1",
    "image": "0.jpg",
    "conversations": talk(ASKED, CHOSEN),
    "rejected_conversations": talk(ASKED, REJECTED),
}
TEMPLATED = f"{VICUNA} USER: <image>\n{QUESTION} ASSISTANT:"
ROWS = {
    "povid": POVID,
    "csr": POVID
    | {
        "conversations": talk(TEMPLATED, CHOSEN),
        "rejected_conversations": talk(TEMPLATED, REJECTED),
    },
    "mdpo": {"img_path": "0.jpg", "prompt": TEMPLATED, "chosen": CHOSEN, "rejected": REJECTED},
    "mmpr": {"image": "0.jpg", "question": ASKED, "chosen": CHOSEN, "rejected": REJECTED},
    "spa-vl": {
        "image": "0.jpg",
        "question": QUESTION,
        "chosen": CHOSEN,
        "rejected": REJECTED,
        "image_name": "0.jpg",
        "class1": "Toxicity Harms",
    },
    "vti": {
        "id": "000000103108",
        "image": "0.jpg",
        "question": QUESTION,
        "value": CHOSEN,
        "h_value": REJECTED,
        "co_objects": ["cat"],
    },
    "ha-dpo": {"image_id": "17", "question": QUESTION, "chosen": CHOSEN, "rejected": REJECTED},
}


@pytest.mark.parametrize("name", ROWS)
def test_published_pairs_are_read(folder, name):
    found = pair_of(folder, ROWS[name], name)
    assert (found.question, found.chosen, found.rejected) == (QUESTION, CHOSEN, REJECTED)
    assert (found.source, found.system) == ("model", "")


@pytest.mark.parametrize("name", ["mdpo", "spa-vl", "vti", "ha-dpo"])
def test_fields_that_no_other_format_has_show_the_format(folder, name):
    assert detect_format(write_jsonl(folder / "a.jsonl", [ROWS[name]])) == name


def test_a_question_without_picture_and_one_about_several_are_kept(folder):
    row = ROWS["mmpr"]
    plain = pair_of(folder, row | {"image": None, "question": "What is 2 + 2?"}, "mmpr")
    assert (plain.images, plain.question) == ((), "What is 2 + 2?")
    asked = "<image>\n<image>\nWhat differs?"
    both = pair_of(folder, row | {"image": ["0.jpg", "1.jpg"], "question": asked}, "mmpr")
    assert (len(both.images), both.question) == (2, "What differs?")
    asked = "Is <image> older than <image>?"
    both = pair_of(folder, row | {"image": ["0.jpg", "1.jpg"], "question": asked}, "mmpr")
    assert both.question == asked


def test_of_ha_dpo_the_first_descriptions_count_and_correct_answers_teach_nothing(folder, capsys):
    rows = [
        {"image_id": "17", "chosen": [CHOSEN, "A dog."], "rejected": [REJECTED]},
        ROWS["ha-dpo"] | {"correct": True},
    ]
    (found,) = read_records(brought_in(folder, rows).path / "corrections.jsonl", Correction)
    assert (found.id, found.chosen) == ("17", CHOSEN)
    assert found.question.startswith(("Describe", "Take", "Please", "Could"))
    printed = capsys.readouterr().err
    assert "No record of 1: further descriptions of `chosen`" in printed
    assert "No record of 1: the model's answer was correct" in printed


def answer(text, *ratings):
    aspects = ("Helpfulness", "Visual Faithfulness", "Ethical Considerations")
    told = {a: {"Rating": r, "Rationale": ""} for a, r in zip(aspects, ratings, strict=True)}
    return {"annotations": told, "model": "llava", "response": text}


def test_vlfeedback_gives_every_two_answers_whose_mean_ratings_differ(folder, capsys):
    answers = [
        answer("A dog.", "5", "5", "5"),
        answer("A cat.", "2", "1", "5"),
        answer("A red dog.", "5", "5", "5"),
        answer("A bird.", "N/A", "3", "5"),
    ]
    row = {"id": "v", "prompt": QUESTION, "img_path": "0.jpg", "models": [], "completions": answers}
    out = brought_in(folder, row).path
    found = [(pair.chosen, pair.rejected) for pair in read_pairs(out)]
    assert found == [("A dog.", "A cat."), ("A red dog.", "A cat.")]
    printed = capsys.readouterr().err
    assert "No record of 1: pairs of equal scores" in printed
    assert "No record of 3: pairs with an answer that has no score" in printed
    columns = {key: [one[key] for one in answers] for key in answers[0]}  # as `datasets` stores it
    out = brought_in(folder, row | {"completions": columns}).path
    assert len(read_pairs(out)) == 2
    equal = row | {"completions": answers[:1] + answers[2:3]}
    assert "no two of the 2 answers differ" in faults(folder, equal, "vlfeedback")[0]


def test_bpo_gives_pairs_by_score(folder):
    scores = [{"response": CHOSEN, "score": 1}, {"response": REJECTED, "score": 0}]
    row = {"image": "0.jpg", "prompt": f"<image>{QUESTION}", "completions": scores}
    (pair,) = read_pairs(brought_in(folder, row).path)
    assert (pair.question, pair.chosen, pair.rejected) == (QUESTION, CHOSEN, REJECTED)


@pytest.mark.parametrize(
    ("row", "history", "system", "images"),
    [
        (
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    *chat(ASKED, "Two men.", "And <image>?", CHOSEN),
                ],
                "rejected_response": REJECTED,
                "images": ["0.jpg", "1.jpg"],
            },
            ((f"<image>\n{QUESTION}", "Two men."),),
            "Be brief.",
            2,
        ),
        (
            {
                "query": "And now?",
                "history": [[ASKED, "Two men."]],
                "response": CHOSEN,
                "rejected_response": REJECTED,
                "images": ["0.jpg"],
            },
            ((QUESTION, "Two men."),),
            "",
            1,
        ),
        (
            {
                "instruction": "And now?",
                "input": "",
                "history": [[ASKED, "Two men."]],
                "system": "Be brief.",
                "chosen": CHOSEN,
                "rejected": REJECTED,
                "images": ["0.jpg"],
            },
            ((QUESTION, "Two men."),),
            "Be brief.",
            1,
        ),
        (
            {
                "image": "0.jpg",
                "prompt": "And now?",
                "history": [[QUESTION, "Two men."]],
                "system": "Be brief.",
                "chosen": CHOSEN,
                "rejected": REJECTED,
            },
            ((QUESTION, "Two men."),),
            "Be brief.",
            1,
        ),
    ],
)
def test_earlier_turns_system_messages_and_pictures_are_kept(folder, row, history, system, images):
    found = pair_of(folder, row, "plain" if "image" in row else None)
    assert (found.history, found.system, len(found.images)) == (history, system, images)
    assert (found.chosen, found.rejected) == (CHOSEN, REJECTED)


def test_pictures_may_stand_in_the_messages_themselves(folder):
    parts = [
        {"type": "image", "image": "0.jpg"},
        {"type": "image_url", "image_url": {"url": "1.jpg"}},
        {"type": "text", "text": "What differs?"},
    ]
    row = {"messages": [{"role": "user", "content": parts}, *chat("", CHOSEN)[1:]]}
    path = brought_in(folder, row).path / "conversations.jsonl"
    (found,) = read_records(path, Conversation)
    assert (len(found.images), found.turns[0].text) == (2, "What differs?")
    assert "Name them once" in faults(folder, row | {"images": ["0.jpg"]}, "chat")[0]


def test_a_prompt_that_stands_at_the_head_of_both_texts_is_found(folder):
    row = {
        "images": ["0.jpg"],
        "chosen": f"{QUESTION} {CHOSEN}",
        "rejected": f"{QUESTION} {REJECTED}",
    }
    found = pair_of(folder, row)
    assert found.question == f"{QUESTION} A"
    assert (found.chosen, found.rejected) == (CHOSEN[2:], REJECTED[2:])
    nothing = row | {"chosen": "Dog", "rejected": "Cat"}
    assert "begin with nothing alike" in faults(folder, nothing, "chat")[0]


@pytest.mark.parametrize(
    "rows",
    [
        [
            {"prompt": QUESTION, "completion": text, "label": good, "image": "0.jpg"}
            for text, good in ((CHOSEN, True), (REJECTED, False))
        ],
        [
            {"messages": chat(ASKED, text), "label": good, "images": ["0.jpg"]}
            for text, good in ((CHOSEN, True), (REJECTED, False))
        ],
        [
            {"conversations": talk(ASKED, text), "kto_tag": good, "images": ["0.jpg"]}
            for text, good in ((CHOSEN, True), (REJECTED, False))
        ],
        [
            {"instruction": QUESTION, "output": text, "kto_tag": good, "images": ["0.jpg"]}
            for text, good in ((CHOSEN, True), (REJECTED, False))
        ],
    ],
)
def test_yes_and_no_are_ratings_at_the_ends_and_say_so(folder, rows):
    out = brought_in(folder, rows).path
    ratings = read_records(out / "ratings.jsonl", Rating)
    assert [row.score for row in ratings] == [6, 0]
    assert {row.reason for row in ratings} == {"desirable (yes or no)", "undesirable (yes or no)"}
    assert len(read_records(out / "prompts.jsonl", Prompt)) == 1
    (pair,) = read_pairs(out)
    assert (pair.question, pair.chosen, pair.rejected) == (QUESTION, CHOSEN, REJECTED)


def test_a_label_that_is_neither_is_a_fault(folder):
    row = {"prompt": QUESTION, "completion": CHOSEN, "label": "good", "image": "0.jpg"}
    assert "`label` must be true or false, got 'good'" in faults(folder, row, "kto")[0]


def label_studio(data, *results, **changes):
    done = [
        {"result": [result], "completed_by": {"email": "ann"}, "lead_time": 3.5}
        for result in results
    ]
    return {"id": 7, "data": {"image": "/data/local-files/?d=0.jpg"} | data, "annotations": done}


def test_label_studio_gives_corrections_and_choices(folder):
    text = {"type": "textarea", "value": {"text": [CHOSEN]}}
    found = pair_of(folder, label_studio({"question": QUESTION, "response": REJECTED}, text))
    assert (found.chosen, found.rejected) == (CHOSEN, REJECTED)
    assert (found.source, found.annotator, found.seconds) == ("human", "ann", 3.5)
    left, right = ({"type": "pairwise", "value": {"selected": s}} for s in ("left", "right"))
    data = {"prompt": QUESTION, "response_1": CHOSEN, "response_2": REJECTED}
    out = brought_in(folder, label_studio(data, left, right)).path
    rows = read_records(out / "comparisons.jsonl", Comparison)
    assert [(row.id, row.preferred) for row in rows] == [("7/1", "first"), ("7/2", "second")]


def test_argilla_gives_corrections_and_choices(folder):
    fields = {"image": "0.jpg", "prompt": QUESTION, "response1": CHOSEN, "response2": REJECTED}
    said = {
        "preference": [
            {"value": "response1", "user_id": "u"},
            {
                "value": [{"value": "response1", "rank": 2}, {"value": "response2", "rank": 1}],
                "user_id": "v",
                "status": "submitted",
            },
            {"value": "response2", "user_id": "w", "status": "draft"},
        ],
        "stars": [{"value": 4, "user_id": "u"}],
    }
    row = {"id": "r", "fields": fields, "responses": said, "suggestions": {}, "status": "completed"}
    rows = read_records(brought_in(folder, row).path / "comparisons.jsonl", Comparison)
    assert [(one.annotator, one.preferred) for one in rows] == [("u", "first"), ("v", "second")]
    fields = {"image": "0.jpg", "question": QUESTION, "response": REJECTED}
    row |= {"fields": fields, "responses": {"fix": [{"value": CHOSEN, "user_id": "u"}]}}
    assert pair_of(folder, row).chosen == CHOSEN


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_sheet_is_a_table_of_plain_pairs(folder, suffix):
    mark = "," if suffix == ".csv" else "\t"
    lines = [
        mark.join(["id", "image", "prompt", "chosen", "rejected"]),
        mark.join(["1", "0.jpg", QUESTION, CHOSEN, REJECTED]),
        mark.join(["2", "0.jpg|1.jpg", "What differs?", CHOSEN, REJECTED]),
    ]
    source = folder / f"pairs{suffix}"
    source.write_text("\n".join(lines) + "\n")
    assert detect_format(source) == "plain"
    out = import_dataset(source, folder / "out", format_name="plain", judged_by="human").path
    rows = read_records(out / "corrections.jsonl", Correction)
    assert [(row.id, len(row.images)) for row in rows] == [("1", 1), ("2", 2)]


def test_folders_that_datasets_saved_are_read(folder):
    rows = [{"image": {"bytes": image_bytes(n), "path": None}, "prompt": QUESTION} for n in (1, 2)]
    table = pyarrow.Table.from_pylist(
        [row | {"chosen": CHOSEN, "rejected": REJECTED} for row in rows]
    )
    saved = folder / "saved"
    saved.mkdir()
    (saved / "state.json").write_text("{}")
    with (
        pyarrow.OSFile(str(saved / "data-00000-of-00001.arrow"), "wb") as file,
        pyarrow.ipc.new_stream(file, table.schema) as writer,
    ):
        writer.write_table(table)
    assert len(list(find_format("plain").rows(saved))) == 2
    indexed = folder / "one.arrow"
    with (
        pyarrow.OSFile(str(indexed), "wb") as file,
        pyarrow.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)
    for source in (saved, indexed, write_parquet(folder / "a.parquet", table.to_pylist())):
        found = import_dataset(source, folder / "out", format_name="plain", judged_by="human")
        assert found.counts == {"corrections": 2, "images": 2}
    indexed.write_bytes(indexed.read_bytes()[:40])
    assert "not a readable Arrow file" in check_data(indexed, format_name="plain")[0].message
