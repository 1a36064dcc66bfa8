"""The same answers give the same score in any layout, and what a layout adds is listed."""

import json
import zipfile

import pytest

import score_layouts as layouts
from official_data import write_lines
from veridical.errors import DataError
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

ROWS = [
    {"question_id": n, "answer": text}
    for n, text in enumerate(["Yes, there is.", "No", 'No, "none"', "Yes\nand more", "no"], start=1)
]
TRUTH = {"7": ["dog"], "42": ["cat", "chair"], "574769": []}
CAPTIONS = [
    {"image_id": int(image), "caption": text}
    for image, text in zip(TRUTH, ["A dog, a cat.", "A cat & a <dog>.", "Nothing"], strict=True)
]


def pope(folder, responses):
    asked = [
        {"question_id": n, "image": f"{n // 2}.jpg", "text": f"Is there a {n}?", "label": label}
        for n, label in enumerate(["yes", "no", "yes", "yes", "no"], start=1)
    ]
    questions = write_lines(folder / "q.jsonl", asked)
    return score("pope", Files(responses, questions)).total


def chair(folder, responses, *, variant="original"):
    (folder / "truth.json").write_text(json.dumps(TRUTH))
    return score("chair", Files(responses, reference=folder / "truth.json"), variant=variant).total


@pytest.mark.parametrize("wrap", [*layouts.WRAPPERS, *layouts.TABLES])
def test_the_same_score_in_every_wrapper(tmp_path, wrap):
    for benchmark, rows in ((pope, ROWS), (chair, CAPTIONS)):
        plain = benchmark(tmp_path, layouts.lines(tmp_path, rows))
        wrapped = benchmark(tmp_path, wrap(tmp_path, rows))
        assert wrapped.metrics == plain.metrics
        assert wrapped.counts == plain.counts


def test_what_a_wrapper_holds_besides_is_listed(tmp_path):
    total = chair(tmp_path, layouts.sentences(tmp_path, CAPTIONS))
    note = "opera.json: the rows under `sentences` were read; ignored: `overall_metrics`."
    assert note in total.warnings
    plain = chair(tmp_path, layouts.image_to_eval(tmp_path, CAPTIONS))
    assert not any("ignored" in warning for warning in plain.warnings)


@pytest.mark.parametrize("write", layouts.TABLES)
def test_vlmevalkits_table_holds_the_truth_as_answer(tmp_path, write):
    plain = pope(tmp_path, layouts.lines(tmp_path, ROWS))
    read = layouts.vlmevalkit(tmp_path, ROWS, id_name="question_id", answer="answer", write=write)
    asked = [
        {"index": n, "image_path": f"{n // 2}.jpg", "question": f"Is there a {n}?", "answer": label}
        for n, label in enumerate(["Yes", "No", "Yes", "Yes", "No"], start=1)
    ]
    total = score("pope", Files(read, write_lines(tmp_path / "index.jsonl", asked))).total
    assert total.metrics == plain.metrics
    assert any("read as VLMEvalKit output; ignored: `answer`" in note for note in total.warnings)


def test_lmms_evals_samples_hold_the_truth_as_target(tmp_path):
    plain = pope(tmp_path, layouts.lines(tmp_path, ROWS))
    path = layouts.lmms_eval(tmp_path, ROWS, id_name="question_id", answer="answer")
    total = pope(tmp_path, path)
    assert total.metrics == plain.metrics
    assert any("read as lmms-eval output" in note and "`target`" in note for note in total.warnings)
    captions = layouts.lmms_eval(tmp_path, CAPTIONS, id_name="image_id", answer="caption")
    assert chair(tmp_path, captions).metrics["chair_s"].value == pytest.approx(2 / 3)


def test_evalscopes_predictions_are_in_the_order_of_the_data_set(tmp_path):
    plain = pope(tmp_path, layouts.lines(tmp_path, ROWS))
    total = pope(tmp_path, layouts.evalscope(tmp_path, ROWS, answer="answer"))
    assert total.metrics == plain.metrics
    assert any("matched by order" in note for note in total.warnings)


def test_the_folder_that_generate_wrote_is_scored(tmp_path):
    plain = pope(tmp_path, layouts.lines(tmp_path, ROWS))
    folder = layouts.generated(tmp_path, ROWS, id_name="question_id", answer="answer")
    for path in (folder, folder / "responses.jsonl"):
        total = pope(tmp_path, path)
        assert total.metrics == plain.metrics
        assert total.inputs["responses"].rows == len(ROWS)  # the header line is not an answer
    images = [f"images/COCO_val2014_{int(image):012d}.jpg" for image in TRUTH]
    folder = layouts.generated(
        tmp_path, CAPTIONS, id_name="image_id", answer="caption", images=images
    )
    plain = chair(tmp_path, layouts.lines(tmp_path, CAPTIONS))
    assert chair(tmp_path, folder).metrics == plain.metrics


def test_several_samples_per_prompt_are_refused(tmp_path):
    rows = [
        {"prompt_id": "1", "text": "Yes", "model": "m", "sample": sample} for sample in range(2)
    ]
    with pytest.raises(DataError, match="several responses per prompt"):
        pope(tmp_path, write_lines(tmp_path / "r.jsonl", rows))


def test_one_broken_place_in_a_long_array_is_one_fault_with_its_line(tmp_path):
    rows = [{"question_id": n, "answer": "Yes"} for n in range(1, 10_000)]
    text = json.dumps(rows, indent=2).split("\n")
    text[20_002] = text[20_002].replace('"', "", 1)
    (tmp_path / "a.json").write_text("\n".join(text))
    with pytest.raises(DataError) as caught:
        pope(tmp_path, tmp_path / "a.json")
    (fault,) = caught.value.faults
    assert fault.line == 20_003
    assert "not valid JSON" in fault.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question_id": 1, "answer": "Yes"', "a.json:1: not valid JSON: "),
        ("[\n{}\n", "a.json:3: not valid JSON"),
        ('[{"question_id": 1,\n "question_id": 2}]', "the key 'question_id' stands twice"),
        ('[{"answer": "\\ud800"}]', "half a character"),
        ('{"question_id": "1", "answer": NaN}', "NaN is not a JSON number"),
        ("[" * 100_000, "nested too deeply"),
        ("<html>\n<body>\n" + "<p>\n" * 500, "a web page"),
        ("3", "a row must be a JSON object, got 3"),
    ],
)
def test_each_broken_file_is_one_fault(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError) as caught:
        pope(tmp_path, tmp_path / "a.json")
    assert message in str(caught.value)
    assert len(caught.value.faults) == 1


def test_a_file_of_another_kind_is_three_examples_and_its_cause(tmp_path):
    rows = [{"question_id": n, "said": "Yes"} for n in range(1, 2001)]
    asked = [
        {"question_id": n, "image": "1.jpg", "text": "?", "label": "no"} for n in range(1, 2001)
    ]
    files = Files(write_lines(tmp_path / "a.jsonl", rows), write_lines(tmp_path / "q.jsonl", asked))
    with pytest.raises(DataError) as caught:
        score("pope", files)
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert "the answer is missing" in lines[1]
    assert lines[4] == "  … and 1,997 more like this, the last in line 2000"
    assert "Likely cause: 2000 of 2000 rows of a.jsonl are at fault" in lines[5]


def test_answers_to_other_questions_are_one_fault(tmp_path):
    rows = [{"question_id": n, "answer": "Yes"} for n in range(500, 900)]
    with pytest.raises(DataError) as caught:
        pope(tmp_path, write_lines(tmp_path / "a.jsonl", rows))
    assert len(caught.value.faults) == 1
    assert "none of the 400 answers belongs to one of the 5 questions" in str(caught.value)
    assert "500, 501, 502" in str(caught.value)


@pytest.mark.parametrize("same", [7, "7", " 7 ", 7.0, "7.0"])
def test_an_id_is_the_same_as_number_and_as_text(tmp_path, same):
    asked = write_lines(
        tmp_path / "q.jsonl", [{"question_id": 7, "image": "a", "text": "?", "label": "yes"}]
    )
    said = write_lines(tmp_path / "a.jsonl", [{"question_id": same, "answer": "Yes"}])
    assert score("pope", Files(said, asked)).items[0].id == "7"


@pytest.mark.parametrize(
    "image",
    [
        42,
        "42",
        42.0,
        "COCO_val2014_000000000042.jpg",
        "val2014/COCO_val2014_000000000042.jpg",
        "000000000042.jpg",
        "C:\\coco\\COCO_train2014_000000000042.JPG",
    ],
)
@pytest.mark.parametrize("name", ["image_id", "image", "image_path"])
def test_every_name_of_an_image_is_the_image(tmp_path, image, name):
    path = write_lines(tmp_path / "c.jsonl", [{name: image, "caption": "A cat."}])
    (item,) = score("chair", Files(path, reference=_truth(tmp_path)), variant="veridical").items
    assert (item.cluster, item.values["found"]) == ("42", 1)


def _truth(folder):
    (folder / "truth.json").write_text(json.dumps({"COCO_val2014_000000000042.jpg": ["cat"]}))
    return folder / "truth.json"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"question_id,question_id\n1,2\n", "the column 'question_id' stands twice"),
        ("a.csv", b"question_id,answer\n1,Yes,2\n", "a cell without a column"),
        ("a.tsv", b'question_id\tanswer\n1\t"Yes\n', "the answer is missing"),
        ("a.xlsx", b"PK\x03\x04 not a zip", "not an Excel workbook"),
    ],
)
def test_broken_tables_are_named(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        pope(tmp_path, tmp_path / name)
    assert "Traceback" not in str(caught.value)
    assert message in str(caught.value) or name == "a.tsv"


def test_a_workbook_that_declares_entities_or_unpacks_without_end_is_refused(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet/>'
    for text, message in ((bomb, "declares entities"), ("a" * 200_000_000, "unpacks to more")):
        with zipfile.ZipFile(tmp_path / "b.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet1.xml", text)
        with pytest.raises(DataError, match=message):
            pope(tmp_path, tmp_path / "b.xlsx")
