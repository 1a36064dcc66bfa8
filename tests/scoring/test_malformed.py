"""Malformed files: each fault is reported with file, line and remedy; nothing is dropped."""

import gzip
import json

import pytest

from official_data import write_lines
from veridical.errors import DataError
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

QUESTIONS = [
    {
        "question_id": number,
        "image": f"{number // 2}.jpg",
        "text": "Is there a dog?",
        "label": label,
    }
    for number, label in enumerate(["yes", "no", "yes", "no"], start=1)
]
ANSWERS = [
    {"question_id": number, "answer": text}
    for number, text in enumerate(["Yes", "No", "No", "no"], start=1)
]


def text_of(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def changed(number, **fields):
    return [{**row, **(fields if row["question_id"] == number else {})} for row in ANSWERS]


def without(number, field):
    return [
        {key: value for key, value in row.items() if row["question_id"] != number or key != field}
        for row in ANSWERS
    ]


def score_text(folder, answers, *, questions=None, name="answers.jsonl"):
    (folder / name).write_bytes(answers if isinstance(answers, bytes) else answers.encode())
    asked = write_lines(folder / "questions.jsonl", QUESTIONS if questions is None else questions)
    return score("pope", Files(responses=folder / name, questions=asked), variant="strict")


TWO_ROWS = text_of(ANSWERS[:2])
BAD = {
    "an id that is not asked": (
        text_of(changed(4, question_id=9)),
        [
            "answers.jsonl:4: answer to question 9, which is not asked. Give the questions",
            "question 4 has no answer",
        ],
    ),
    "an answer that stands twice": (
        text_of([*ANSWERS, ANSWERS[1]]),
        ["answers.jsonl:5: id '2' stands in line 2 already. Keep one of the two."],
    ),
    "a missing row": (
        text_of(ANSWERS[:3]),
        ["questions.jsonl:4: question 4 has no answer. Answer it"],
    ),
    "an id that is null": (
        text_of(changed(3, question_id=None)),
        [
            "answers.jsonl:3: `question_id` must be a number or a text, got null. Give the row"
            " its id."
        ],
    ),
    "one row without id": (
        text_of(without(3, "question_id")),
        ["answers.jsonl:3: `question_id` is missing, got `answer`. Give the row its id."],
    ),
    "an id that is a list": (
        text_of(changed(3, question_id=[3])),
        ["answers.jsonl:3: `question_id`", "got [3]"],
    ),
    "a row without answer": (
        text_of(without(3, "answer")),
        [
            "answers.jsonl:3: the answer is missing (`answer`, `text`, `response`, `caption`,"
            " `prediction` …), got `question_id`. Name the field that holds it: --answer-field"
        ],
    ),
    "several answers for one": (
        text_of(changed(2, answer=["No", "Yes"])),
        ['answers.jsonl:2: `answer` must be text, got ["No", "Yes"]. Fix the row.'],
    ),
    "a number for a string": (
        text_of(changed(2, answer=0)),
        ["answers.jsonl:2:", "must be text, got 0"],
    ),
    "null for a string": (
        text_of(changed(2, answer=None)),
        ["answers.jsonl:2:", "must be text, got null"],
    ),
    "NaN": (
        TWO_ROWS + '{"question_id": 3, "answer": NaN}\n',
        ["answers.jsonl:3: not valid JSON: NaN is not a JSON number", " the line."],
    ),
    "a line cut off": (
        TWO_ROWS + '{"question_id": 3, "ans',
        ["answers.jsonl:3: not valid JSON", " the line."],
    ),
    "a row that is an array": (
        TWO_ROWS + '["3", "No"]\n',
        ['answers.jsonl:3: a row must be a JSON object, got ["3", "No"]. Fix the row.'],
    ),
    "a web page": (
        "<!DOCTYPE html>\n<html></html>\n",
        ["answers.jsonl:1: not valid JSON", "<!DOCTYPE html>"],
    ),
    "nothing": ("", ["answers.jsonl: the file is empty. Give the file that you mean."]),
    "blanks only": ("\n \n", ["answers.jsonl: the file is empty."]),
    "Latin-1": (
        TWO_ROWS.encode() + '{"question_id": 3, "answer": "fenêtre"}\n'.encode("latin-1"),
        ["answers.jsonl:3: not UTF-8 (byte 0xea). Save the file as UTF-8."],
    ),
    "UTF-16": (
        TWO_ROWS.encode("utf-16"),
        ["answers.jsonl: the file is UTF-16. Save it as UTF-8."],
    ),
    "nesting without end": (
        TWO_ROWS + '{"question_id": 3, "answer": ' + "[" * 100_000 + "\n",
        ["answers.jsonl:3: JSON nested too deeply"],
    ),
    "gzip cut off": (
        gzip.compress(text_of(ANSWERS * 50).encode())[:60],
        ["answers.jsonl: broken gzip", "Download it"],
    ),
}


def test_there_are_twenty_kinds():
    assert len(BAD) >= 20


@pytest.mark.parametrize("kind", BAD)
def test_malformed_answers_are_reported_with_their_place_and_remedy(kind, tmp_path):
    text, messages = BAD[kind]
    with pytest.raises(DataError) as caught:
        score_text(tmp_path, text)
    for message in messages:
        assert message in str(caught.value)
    assert str(caught.value).endswith("Nothing was scored. Fix these rows and score again.")


def test_gzip_by_name_only_is_reported(tmp_path):
    with pytest.raises(
        DataError,
        match=r"answers\.jsonl\.gz: named \.gz but not gzipped\. Rename it, or compress it",
    ):
        score_text(tmp_path, text_of(ANSWERS), name="answers.jsonl.gz")


def test_a_folder_and_a_missing_file_are_reported_together(tmp_path):
    with pytest.raises(DataError) as caught:
        score("pope", Files(responses=tmp_path, questions=tmp_path / "none.jsonl"))
    assert [fault.message for fault in caught.value.faults] == [
        "is a folder; name a file.",
        "there is no such file. Check the path.",
    ]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"label": "maybe"}, "`label` must be yes or no, got 'maybe'. Fix the row."),
        ({"label": True}, "`label` must be text, got true"),
        ({"image": 3}, "`image` or `image_source` must be text, got 3"),
    ],
)
def test_malformed_questions_are_reported_too(question, message, tmp_path):
    asked = [*QUESTIONS[:3], {**QUESTIONS[3], **question}]
    with pytest.raises(DataError) as caught:
        score_text(tmp_path, text_of(ANSWERS), questions=asked)
    assert f"questions.jsonl:4: {message}" in str(caught.value)


def test_all_faults_of_both_files_are_reported_at_once(tmp_path):
    answers = [
        {**ANSWERS[0], "answer": 1},
        ANSWERS[0],
        *ANSWERS[1:3],
        {"question_id": 8, "answer": "x"},
    ]
    with pytest.raises(DataError) as caught:
        score_text(
            tmp_path, text_of(answers), questions=[*QUESTIONS[:2], {"question_id": 3}, QUESTIONS[3]]
        )
    places = [(fault.file.name, fault.line) for fault in caught.value.faults]
    assert places == [
        ("answers.jsonl", 2),  # twice
        ("questions.jsonl", 4),  # no answer
        ("answers.jsonl", 5),  # not asked
        ("answers.jsonl", 1),  # a number for a text
        ("questions.jsonl", 3),  # no label
        ("questions.jsonl", 3),  # no image
    ]


GOOD = {
    "a byte order mark": b"\xef\xbb\xbf" + text_of(ANSWERS).encode(),
    "Windows line ends": text_of(ANSWERS).replace("\n", "\r\n"),
    "no last line end": text_of(ANSWERS).rstrip("\n"),
    "blank lines": text_of(ANSWERS).replace("\n", "\n\n"),
    "a JSON array": json.dumps(ANSWERS),
    "a JSON array over many lines": json.dumps(ANSWERS, indent=2),
    "gzip without its name": gzip.compress(text_of(ANSWERS).encode()),
    "ids as text": text_of([{**row, "question_id": str(row["question_id"])} for row in ANSWERS]),
    "another order": text_of(ANSWERS[::-1]),
    "fields nobody asked for": text_of(
        [{**row, "model_id": "m", "metadata": {}} for row in ANSWERS]
    ),
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_can_be_read_without_guessing_is_read(kind, tmp_path):
    total = score_text(tmp_path, GOOD[kind]).total
    assert (total.counts, total.metrics["accuracy"].value) == ({"items": 4, "scored": 4}, 0.75)
    assert total.warnings == ()


def test_another_language_is_unparsed_and_counted(tmp_path):
    answers = [
        {**row, "answer": text}
        for row, text in zip(ANSWERS, ["Ja", "いいえ", "Нет", "Oui, il y a un chien"], strict=True)
    ]
    total = score_text(tmp_path, text_of(answers)).total
    assert total.counts == {"items": 4, "unparsed": 4}
    assert (total.metrics["accuracy"].value, total.metrics["unknown_ratio"].value) == (0.0, 1.0)


def test_a_line_separator_within_a_text_is_no_new_row(tmp_path):
    answers = [{**row, "answer": row["answer"] + "\u2028\u0085 indeed"} for row in ANSWERS]
    assert score_text(tmp_path, text_of(answers)).total.counts["items"] == 4
