"""Names, wrappers and packings that answers circulate in: siblings of those in `score_layouts`."""

import bz2
import json
import lzma
import zipfile

import pyarrow
import pytest
from pyarrow import feather, parquet

from official_data import write_lines
from veridical.errors import DataError
from veridical.scoring.files import score
from veridical.scoring.protocol import Files
from veridical.scoring.reading.names import may_hold_answer
from veridical.scoring.reading.wrappers import last_turn, said, unwrap

_ANSWER_NAMES = """pred predict predicted_answer llavaResponse Answer model_pred generated_text
gen_answer raw_output output_text hypothesis"""
SAID = ["Yes, there is.", "No", "No", "Yes", "no"]
ROWS = [{"question_id": number, "answer": text} for number, text in enumerate(SAID, start=1)]
TRUTH = ["yes", "no", "yes", "yes", "no"]


def pope(folder, responses):
    asked = [
        {"question_id": n, "image": f"{n}.jpg", "text": f"Is there a {n}?", "label": label}
        for n, label in enumerate(TRUTH, start=1)
    ]
    return score("pope", Files(responses, write_lines(folder / "q.jsonl", asked))).total


def named(name):
    return [{"question_id": row["question_id"], name: row["answer"]} for row in ROWS]


def completion(text):
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}


ROWS_OF_TOOLS = {
    "OpenAI batch": [
        {"id": f"b{n}", "custom_id": f"{n}", "response": {"body": completion(text)}}
        for n, text in enumerate(SAID, start=1)
    ],
    "chat completions": [{"id": f"c{n}", **completion(text)} for n, text in enumerate(SAID)],
    "a completion as response": [
        {"question_id": n, "response": completion(text)} for n, text in enumerate(SAID, start=1)
    ],
    "vLLM": [
        {"question_id": n, "prompt": "Is it?", "outputs": [{"text": text, "index": 0}]}
        for n, text in enumerate(SAID, start=1)
    ],
    "LLaMA-Factory": [{"prompt": "Is it?", "predict": text, "label": "yes"} for text in SAID],
    "ms-swift": [
        {
            "response": text,
            "labels": "yes",
            "messages": [{"role": "assistant", "content": text}],
            "images": [{"path": "1.jpg"}],
        }
        for text in SAID
    ],
    "Inspect": [
        {"id": n, "epoch": 1, "input": "Is it?", "target": "yes", "output": completion(text)}
        for n, text in enumerate(SAID, start=1)
    ],
    "chats": [
        {
            "question_id": n,
            "conversations": [
                {"from": "human", "value": "Is it?"},
                {"from": "gpt", "value": text},
            ],
        }
        for n, text in enumerate(SAID, start=1)
    ],
    "other ids": [{"qid": f"{n}", "ans": text} for n, text in enumerate(SAID, start=1)][::-1],
}
DOCUMENTS = {
    "an unknown key": {"my_model": ROWS, "note": "x"},
    "two levels": {"results": {"predictions": ROWS}, "config": {"seed": 1}},
    "rows of Hugging Face's server": {
        "features": [{"name": "answer"}],
        "rows": [{"row_idx": n, "row": row, "truncated_cells": []} for n, row in enumerate(ROWS)],
    },
    "a list in a list": [ROWS],
    "by id": {row["question_id"]: {"answer": row["answer"]} for row in ROWS},
    "answers by id": {row["question_id"]: row["answer"] for row in ROWS},
    "answers by id below a key": {"answers": {row["question_id"]: row["answer"] for row in ROWS}},
    "OpenCompass": {
        str(n): {"origin_prompt": "?", "prediction": text, "gold": "yes"}
        for n, text in enumerate(SAID)
    },
    "pandas' columns": {
        name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ROWS[0]
    },
    "pandas' split": {
        "columns": list(ROWS[0]),
        "index": list(range(5)),
        "data": [list(row.values()) for row in ROWS],
    },
    "columns of lists": {name: [row[name] for row in ROWS] for name in ROWS[0]},
}


@pytest.mark.parametrize("kind", ROWS_OF_TOOLS)
def test_rows_of_other_tools(tmp_path, kind):
    path = write_lines(tmp_path / "a.jsonl", ROWS_OF_TOOLS[kind])
    assert pope(tmp_path, path).metrics["accuracy"].value == 0.8


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_documents_that_hold_rows(tmp_path, kind):
    (tmp_path / "a.json").write_text(json.dumps(DOCUMENTS[kind]))
    assert pope(tmp_path, tmp_path / "a.json").metrics["accuracy"].value == 0.8


@pytest.mark.parametrize("name", _ANSWER_NAMES.split())
def test_an_answer_is_known_by_the_words_of_its_name(tmp_path, name):
    path = write_lines(tmp_path / "a.jsonl", named(name))
    assert pope(tmp_path, path).metrics["accuracy"].value == 0.8


def test_names_of_the_truth_and_of_notes_hold_no_answer():
    names = "gt_answer true_answer answer_id answer_type output_tokens response_time prompt_text"
    others = "text_prompt reference_caption extracted_answer prediction_score response_model label"
    assert not [name for name in (names + " " + others).split() if may_hold_answer(name)]


@pytest.mark.parametrize("name", ["predict", "pred_answer", "llava_response", "reply"])
def test_the_truth_beside_an_answer_of_any_name_is_ambiguous(tmp_path, name):
    rows = [
        {"question_id": n, "answer": truth, name: text}
        for n, (truth, text) in enumerate(zip(TRUTH, SAID, strict=True), start=1)
    ]
    with pytest.raises(DataError, match=f"`answer` and `{name}` differ"):
        pope(tmp_path, write_lines(tmp_path / "a.jsonl", rows))


def test_of_several_lists_none_is_guessed(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"train": ROWS, "test": ROWS}))
    with pytest.raises(DataError, match="got `train`, `test`"):
        score("chair", Files(tmp_path / "a.json", reference=_truth(tmp_path)))


def _truth(folder):
    (folder / "truth.json").write_text(json.dumps({"42": ["cat"]}))
    return folder / "truth.json"


@pytest.mark.parametrize(
    "row",
    [
        {"img_path": "val2014/COCO_val2014_000000000042.jpg"},
        {"images": ["COCO_val2014_000000000042.jpg"]},
        {"filename": "000000000042.png"},
        {"image": {"path": "42.jpg"}},
        {"question_id": "COCO_val2014_000000000042"},
        {"id": 42},
    ],
)
def test_an_image_under_other_names(tmp_path, row):
    path = write_lines(tmp_path / "c.jsonl", [{**row, "description": "A cat."}])
    (item,) = score("chair", Files(path, reference=_truth(tmp_path)), variant="veridical").items
    assert (item.cluster, item.values["found"]) == ("42", 1)


def test_packed_files(tmp_path):
    text = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (tmp_path / "a.jsonl.bz2").write_bytes(bz2.compress(text))
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(text))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("answers/a.jsonl", text)
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    feather.write_feather(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.arrow")
    for name in ("a.jsonl.bz2", "a.jsonl.xz", "a.zip", "a.parquet", "a.arrow"):
        assert pope(tmp_path, tmp_path / name).metrics["accuracy"].value == 0.8, name


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.csv", "question_id;answer"),
        ("b.csv", "question_id\tanswer"),
        ("c.csv", ",question_id,answer"),
        ("d.txt", "question_id\tanswer"),
        ("E.CSV", "question_id,answer"),
    ],
)
def test_tables_as_spreadsheets_and_pandas_write_them(tmp_path, name, head):
    sign = next(sign for sign in ";\t," if sign in head)
    lines = [
        [*([str(n)] if head[0] == "," else []), str(n), f'"{text}"']
        for n, text in enumerate(SAID, start=1)
    ]
    (tmp_path / name).write_text("\n".join([head, *(sign.join(cells) for cells in lines)]))
    assert pope(tmp_path, tmp_path / name).metrics["accuracy"].value == 0.8


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\x80\x04\x95", "a pickle, which would run code"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel file"),
        (b"ARROW1\0\0", "not a readable Arrow file"),
        (b"PAR1 not", "not a readable Parquet file"),
        (b"BZh9 not", "broken bzip2"),
        (b"\xfd7zXZ\x00 not", "broken xz"),
        (b"PK\x03\x04 not", "not an archive that can be read"),
        ('[\n{"answer": "在图中有一只狗"}]'.encode("gbk"), "perhaps GBK"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, data, named):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(DataError) as caught:
        pope(tmp_path, tmp_path / "a.json")
    assert named in str(caught.value)
    assert len(caught.value.faults) == 1


def test_a_text_out_of_whatever_holds_it():
    assert said({"body": completion(["Yes"])}) == "Yes"
    assert said([{"type": "text", "text": "Ye"}, {"type": "text", "text": "s"}]) == "Yes"
    assert said([["Yes"]]) == "Yes"
    assert [said(value) for value in (None, 3, [], {}, ["a", "b"], {"choices": []})] == [None] * 6
    nested = "Yes"
    for _ in range(1000):
        nested = [nested]
    assert said(nested) is None
    assert last_turn([{"role": "user", "content": "Is it?"}]) is None


def test_a_row_is_not_taken_for_a_wrapper():
    for row in (
        {"question_id": 1, "objs": [{"a": 1}]},
        {"text": "Yes", "parts": [{"a": 1}]},
        {"messages": [{"role": "user"}], "images": ["1.jpg"]},
        completion("Yes"),
    ):
        assert unwrap(row).values == [row]
