"""Which field is the answer: never guessed, never the question or the truth; named if unclear."""

import json

import pytest

from official_data import write_lines
from veridical.errors import ConfigError, DataError
from veridical.scoring.answers import ANSWER_NAMES
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

QUESTION = "Is there a dog in the image?"


def pope(folder, rows, *, answer_field="", labels=("yes", "no")):
    asked = [
        {"question_id": n, "image": f"{n}.jpg", "text": QUESTION, "label": label}
        for n, label in enumerate(labels, start=1)
    ]
    said = [{"question_id": n, **row} for n, row in enumerate(rows, start=1)]
    files = Files(
        write_lines(folder / "a.jsonl", said),
        write_lines(folder / "q.jsonl", asked),
        answer_field=answer_field,
    )
    return score("pope", files)


def accuracy(scored):
    return scored.total.metrics["accuracy"].value


def test_the_truth_next_to_the_answer_is_a_fault_that_names_both(tmp_path):
    rows = [{"answer": "yes", "response": "No"}, {"answer": "no", "response": "Yes"}]
    with pytest.raises(DataError) as caught:
        pope(tmp_path, rows)
    assert (
        'a.jsonl:1: `answer` and `response` differ, "yes" and "No", and either may be the answer.'
        " Name the one that is: --answer-field NAME." in str(caught.value)
    )
    assert accuracy(pope(tmp_path, rows, answer_field="response")) == 0
    assert accuracy(pope(tmp_path, rows, answer_field="answer")) == 1


@pytest.mark.parametrize("one", ANSWER_NAMES)
@pytest.mark.parametrize("other", ["answer", "response", "caption"])
def test_any_two_names_that_differ_are_a_fault_and_two_that_agree_are_none(tmp_path, one, other):
    if one == other:
        return
    with pytest.raises(DataError, match=r"differ, .* --answer-field"):
        pope(tmp_path, [{one: "Yes", other: "No"}] * 2)
    assert accuracy(pope(tmp_path, [{one: "Yes", other: "Yes "}] * 2)) == 0.5


@pytest.mark.parametrize("asked", [QUESTION, f" {QUESTION}\n"])
def test_the_questions_own_text_is_never_the_answer(tmp_path, asked):
    rows = [{"text": asked, "response": text} for text in ("Yes", "No")]
    assert accuracy(pope(tmp_path, rows)) == 1
    with pytest.raises(DataError, match="the answer is missing: `text` is the question"):
        pope(tmp_path, [{"text": asked}] * 2)


def test_a_prompt_in_the_row_tells_the_question_too(tmp_path):
    prompt = f"{QUESTION}\nAnswer the question using a single word or phrase."
    rows = [{"prompt": prompt, "text": QUESTION, "output": text} for text in ("Yes", "No")]
    assert accuracy(pope(tmp_path, rows)) == 1


def test_a_model_that_echoes_the_question_has_answered(tmp_path):
    scored = pope(tmp_path, [{"answer": QUESTION}, {"answer": "No"}])
    assert [item.status for item in scored.items] == ["unparsed", "scored"]


def test_a_name_that_is_not_there_is_missing_and_not_null(tmp_path):
    with pytest.raises(DataError, match="`said` is missing, got `question_id`, `answer`"):
        pope(tmp_path, [{"answer": "Yes"}] * 2, answer_field="said")
    with pytest.raises(DataError, match=r"a.jsonl:1: the answer is missing \(`answer`, `text`"):
        pope(tmp_path, [{"said": "Yes"}] * 2)
    with pytest.raises(DataError, match="`answer` must be text, got null"):
        pope(tmp_path, [{"answer": None}, {"answer": "No"}])
    assert accuracy(pope(tmp_path, [{"answer": None, "text": t} for t in ("Yes", "No")])) == 1


def test_captions_whose_text_is_the_prompt(tmp_path):
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"1": ["dog"], "2": []}))
    prompt = "Please describe this image in detail."
    rows = [
        {"image_id": n, "text": prompt, "caption": text}
        for n, text in ((1, "A dog."), (2, "A cat."))
    ]
    files = Files(write_lines(tmp_path / "c.jsonl", rows), reference=truth)
    with pytest.raises(DataError, match="`text` and `caption` differ"):
        score("chair", files)
    named = score("chair", files._replace(answer_field="caption")).total.metrics
    assert (named["chair_s"].value, named["chair_i"].value) == (0.5, 0.5)
    asked = [{**row, "question": prompt} for row in rows]
    known = files._replace(responses=write_lines(tmp_path / "d.jsonl", asked))
    assert score("chair", known).total.metrics == named


@pytest.mark.parametrize("name", ["pope", "vqa", "multiple-choice", "hallusionbench", "amber"])
def test_it_holds_for_every_benchmark_that_reads_answers(tmp_path, name):
    from miniature_benchmarks import MINIATURES, OPTIONS

    files = MINIATURES[name](tmp_path, lambda question: "Yes")
    text = files.responses.read_text()
    rows = (
        json.loads(text)
        if text.startswith("[")
        else [json.loads(line) for line in text.splitlines()]
    )
    write_lines(files.responses, [{**row, "pred": "Certainly not."} for row in rows])
    with pytest.raises(DataError, match="and `pred` differ"):
        score(name, files, options=OPTIONS.get(name))
    decided = score(name, files._replace(answer_field="pred"), options=OPTIONS.get(name))
    assert decided.total.counts["items"] > 0


def test_an_answer_field_without_responses_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--answer-field names a field of --responses"):
        score("mmhal", Files(reviews=tmp_path / "r.json", answer_field="text"))
