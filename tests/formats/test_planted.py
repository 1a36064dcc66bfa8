"""Faults planted between good rows, in the formats of several projects: each is found in its line.

A message says what is wrong and what to do; nothing else of the file is at fault.
"""

import json

import pytest

from foreign_data import image_bytes
from veridical.errors import ConfigError
from veridical.feedback.datasets import check_dataset, find_dataset
from veridical.formats.registry import detect_format

PICTURES = {f"{number}.png": image_bytes(number) for number in range(3)}
ASKED = "<image>What is in the picture?"


def said(role, content):
    return {"role": role, "content": content}


def chat(n, **changes):
    talk = [said("user", ASKED), said("assistant", f"A red car, number {n}.")]
    row = {"id": f"c{n}", "messages": talk, "rejected_response": f"A blue car, number {n}."}
    return row | {"images": [f"{n}.png"]} | changes


def llava(n, **changes):
    turns = [
        {"from": "human", "value": "<image>\nWhat?"},
        {"from": "gpt", "value": f"A car, number {n}."},
    ]
    return {"id": f"v{n}", "image": f"{n}.png", "conversations": turns} | changes


def plain(n, **changes):
    answers = {"chosen": f"A cat, number {n}.", "rejected": f"A dog, number {n}."}
    return {"id": f"p{n}", "image": f"{n}.png", "prompt": "What is it?"} | answers | changes


def preference(n, **changes):
    outputs = {f"output_{k}": {"from": "llava", "value": f"A {k}, number {n}."} for k in (1, 2)}
    row = llava(n, id=n) | outputs | {"preference": 1, "hallucination": True}
    return row | changes


def kto(n, **changes):
    talk = [said("user", ASKED), said("assistant", f"A car, number {n}.")]
    return {"messages": talk, "label": True, "images": [f"{n}.png"]} | changes


def alpaca(n, **changes):
    answer = {"output": f"A cat, number {n}.", "images": [f"{n}.png"]}
    return {"instruction": "What is it?", "input": ""} | answer | changes


def answer(n, rating):
    aspects = ("Helpfulness", "Visual Faithfulness", "Ethical Considerations")
    ratings = {name: {"Rating": str(rating), "Rationale": ""} for name in aspects}
    return {"model": f"m{rating}", "response": f"A {rating}, number {n}.", "annotations": ratings}


def vlfeedback(n, **changes):
    completions = [answer(n, 5), answer(n, 2)]
    row = {"id": f"f{n}", "prompt": "What?", "img_path": f"{n}.png", "models": ["m5", "m2"]}
    return row | {"completions": completions} | changes


def record(n, **changes):
    texts = {"question": "What?", "rejected": f"A dog {n}.", "chosen": f"A cat {n}."}
    row = {"id": f"k{n}", "prompt_id": f"q{n}", "source": "human", "image": {"path": f"{n}.png"}}
    return row | texts | changes


def label_studio(n, **changes):
    shown = {"image": f"{n}.png", "question": "What?", "response": f"A dog, number {n}."}
    area = {"from_name": "corrected", "to_name": "response", "type": "textarea"}
    value = {"value": {"text": [f"A cat, number {n}."]}}
    judged = [{"id": n, "completed_by": 1, "result": [area | value]}]
    return {"id": n, "data": shown, "annotations": judged} | changes


def argilla(n, **changes):
    fields = {"image": f"{n}.png", "prompt": "What?", "response": f"A dog, number {n}."}
    fix = [{"value": f"A cat, number {n}.", "status": "submitted", "user_id": "u"}]
    row = {"id": f"a{n}", "status": "completed", "fields": fields, "responses": {"fix": fix}}
    return row | changes


def mdpo(n, **changes):
    answers = {"chosen": f"A cat, number {n}.", "rejected": f"A dog, number {n}."}
    return {"img_path": f"{n}.png", "prompt": "USER: <image>\nWhat? ASSISTANT:"} | answers | changes


def without(row, name):
    return {key: value for key, value in row.items() if key != name}


ENDS_WITH_QUESTION = [{"from": "human", "value": "<image>\nWhat?"}]
SEGMENT = {"rejected_span": [2, 5], "chosen_span": [2, 5], "kind": "object"}
PLANTED = [
    (chat, chat(1, images=["none.png"]), "the image 'none.png' is missing"),
    (chat, chat(1, images=["half.png"]), "the image cannot be decoded"),
    (chat, chat(1, images=["text.png"]), "no known image format"),
    (chat, chat(1, images=["../../secret"]), "leads out of"),
    (chat, chat(1, images=["http://a.org/1.png"]), "is a URL"),
    (chat, chat(1, images=[]), "`images` must hold one image"),
    (chat, chat(1, images=["0.png", "1.png"]), "2 images and 1 image markers"),
    (chat, chat(1, rejected_response="A red car, number 1."), "equals `rejected`"),
    (chat, chat(1, rejected_response="  "), "`rejected` is empty"),
    (chat, chat(1, rejected_response=None), "must be a list of messages"),
    (chat, chat(1, messages=[said("assistant", "a"), said("user", "b")]), "must end with"),
    (
        chat,
        chat(1, messages=[said("user", "a"), said("user", "b"), said("assistant", "c")]),
        "must take turns",
    ),
    (
        chat,
        chat(1, messages=[said("user", ASKED), said("tool", "{}"), said("assistant", "c")]),
        "neither user nor assistant",
    ),
    (chat, chat(1, rejected_response="See <|image_pad|> there."), "image placeholder"),
    (chat, chat(1, rejected_images=["2.png"]), "is another image"),
    (chat, chat(0, rejected_response="Another."), "the id 'c0' stands in"),
    (chat, chat(1, messages=[said("user", "<image>"), said("assistant", "c")]), "empty but for"),
    (chat, chat(1, rejected_response="a \ud83d b"), "not valid Unicode"),
    (chat, '{"id": "c1", "messages": [', "not valid JSON"),
    (chat, '{"id": 1, "id": 2}', "the key 'id' stands twice"),
    (chat, '{"score": NaN}', "NaN is not a JSON number"),
    (chat, '["a", "b"]', "must be a JSON object"),
    (chat, chat(1, videos=["a.mp4"]), "`videos` holds a video"),
    (llava, llava(1, conversations=ENDS_WITH_QUESTION), "end with gpt"),
    (llava, without(llava(1), "image"), "the row has none"),
    (llava, llava(0), "repeats row 1"),
    (plain, without(plain(1), "chosen"), "`chosen` is missing"),
    (plain, plain(1, prompt=""), "`prompt` is empty"),
    (plain, plain(1, chosen=["A"]), "`chosen` must be text"),
    (plain, plain(1, history=[["only"]]), "`history` must be a list of exchanges"),
    (plain, plain(1, id=True), "the id must be"),
    (preference, preference(1, preference=0), "`preference` must be 1 or 2"),
    (preference, preference(1, output_1={"from": "llava"}), "`output_1.value` must be text"),
    (preference, preference(1, hallucination="yes"), "must be true or false"),
    (kto, kto(1, label="yes"), "`label` must be true or false"),
    (kto, kto(1, label=None), "`label` must be true or false"),
    (alpaca, alpaca(1, instruction=4), "`instruction` must be text"),
    (vlfeedback, vlfeedback(1, completions=[answer(1, 5)]), "nothing to compare"),
    (vlfeedback, vlfeedback(1, completions=[answer(1, 5), {"response": None}]), "must be text"),
    (record, record(1, segments=[SEGMENT | {"rejected_span": [2, 99]}]), "ends at 99"),
    (record, record(1, segments=[SEGMENT | {"kind": "animal"}]), "got 'animal'. Fix"),
    (record, record(1, colour="red"), "unknown key. Fix"),
    (record, record(1, image={"path": "1.png", "sha256": "0" * 64}), "is not the one"),
    (label_studio, label_studio(1, data={"response": "A dog."}), "the image is missing"),
    (argilla, argilla(1, fields="x"), "`fields` must be an object"),
    (mdpo, without(mdpo(1), "img_path"), "the image is missing"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    for name, data in PICTURES.items():
        (folder / name).write_bytes(data)
    (folder / "half.png").write_bytes(image_bytes(9, size=200)[:300])
    (folder / "text.png").write_text("hello")
    return folder


@pytest.mark.parametrize(("make", "bad", "message"), PLANTED)
def test_a_planted_fault_is_found_in_its_line_with_a_remedy(pictures, make, bad, message):
    rows = [make(0), bad, make(2)]
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file = pictures / ("corrections.jsonl" if make is record else "rows.jsonl")
    file.write_text("\n".join(lines) + "\n")
    faults = check_dataset(find_dataset(file))
    assert {(fault.file, fault.line) for fault in faults} == {(file, 2)}
    assert message in " ".join(fault.message for fault in faults)
    assert all(fault.message.count(".") for fault in faults)  # a sentence with what to do


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "the file is empty. Give another file."),
        ("a.csv", b"id,image,prompt,chosen,rejected\n", "the file holds no row. Give another"),
        ("a.csv", b"id,prompt,chosen\n1,a,b,c\n", "a.csv:2: a cell without a column"),
        ("a.csv", "id,prompt\n1,Caf\u00e9\n".encode("latin-1"), "a.csv:2: not UTF-8"),
        ("a.jsonl", '{"id": 1}'.encode("utf-16"), "the file is UTF-16. Save it as UTF-8."),
        ("a.json", b'[{"id": 1},]', "a.json:1: not valid JSON"),
        ("a.parquet", b"no parquet", "not a readable Parquet file"),
        ("a.xlsx", b"PK\x03\x04no workbook", "not an Excel workbook"),
        ("a.jsonl", b'{"foo": 1}\n', "their fields are foo. Name it with --format"),
    ],
)
def test_why_a_whole_file_is_not_recognised_is_said(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        detect_format(tmp_path / name)
    assert message in str(caught.value)
