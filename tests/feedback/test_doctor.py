"""Forty planted faults are found with their line and what to do; a sound dataset is left alone."""

import pytest
from typer.testing import CliRunner

from foreign_data import image_bytes, write_jsonl
from veridical.cli.data import app
from veridical.feedback.datasets import check_dataset, find_dataset
from veridical.feedback.doctor.examples import examples_of
from veridical.feedback.doctor.rows import REMEDIES
from veridical.feedback.doctor.whole import examine
from veridical.formats.importing import import_dataset

QUESTION = "Describe the image."
LONG = " ".join(f"The {n}th man holds a small umbrella in the rain." for n in range(12))


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(image_bytes(number, kind="JPEG"))
    (tmp_path / "COCO_val2014_000000310196.jpg").write_bytes(image_bytes(9, kind="JPEG"))
    (tmp_path / "AMBER_3.jpg").write_bytes(image_bytes(8, kind="JPEG"))
    (tmp_path / "cut.jpg").write_bytes(image_bytes(7, kind="JPEG")[:-200])
    (tmp_path / "no.jpg").write_bytes(b"<html>404</html>")
    return tmp_path


def row(number, **changes):
    texts = {
        "chosen": f"Dog number {number} sits near tree {number} beside a red bench {number}.",
        "rejected": f"Cat number {number} sits near tree {number} beside a blue bench {number}.",
    }
    start = {"id": f"r{number}", "image": f"{number % 4}.jpg", "prompt": QUESTION}
    return {**start, **texts, **changes}


FAULTS = [
    ({"image": None}, "the image is missing"),
    ({"image": "none.jpg"}, "is missing in"),
    ({"image": "../0.jpg"}, "leads out of the dataset's folder"),
    ({"image": "cut.jpg"}, "cannot be decoded"),
    ({"image": "no.jpg"}, "no known image format"),
    ({"image": "https://a.b/c.jpg"}, "is a URL"),
    ({"prompt": ""}, "`prompt` is empty"),
    ({"prompt": 7}, "`prompt` must be text"),
    ({"prompt": "<image>"}, "empty but for the image placeholder"),
    ({"prompt": "<image><image> Same?"}, "asks about 2 images"),
    ({"prompt": "USER: a ASSISTANT: b USER: c"}, "chat template"),
    ({"chosen": ""}, "`chosen` is empty"),
    ({"chosen": None}, "`chosen` must be text"),
    ({"rejected": "  "}, "`rejected` is empty"),
    ({"rejected": ["a"]}, "`rejected` must be text"),
    ({"chosen": "A dog <image>."}, "image placeholder"),
    ({"chosen": "Same.", "rejected": "Same. "}, "equals"),
    ({"chosen": "\ud800"}, "not valid Unicode"),
    ({"id": True}, "must be a number or a text"),
    ({"id": "r0"}, "stands in a.jsonl:1 already"),
    ({"rejected_images": ["0.jpg"]}, "is another image"),
    ({"segments": [{"rejected_span": [5, 2], "chosen_span": [0, 1]}]}, "start <= end"),
    ({"history": "earlier"}, "must be a list of exchanges"),
    ({"image": ["0.jpg", "1.jpg"], "prompt": "Is <image> old?"}, "2 images and 1 image markers"),
    ("{broken", "not valid JSON"),
    ("[1]", "must be a JSON object"),
    ('{"id": "a", "id": "b"}', "stands twice"),
    ('{"seconds": NaN}', "NaN is not a JSON number"),
]


def test_faults_of_rows_are_found_with_line_and_remedy(folder):
    planted = [
        bad if isinstance(bad, str) else row(n, **bad) for n, (bad, _) in enumerate(FAULTS, start=1)
    ]
    source = write_jsonl(folder / "a.jsonl", [row(0), *planted])
    found = check_dataset(find_dataset(source, format_name="plain"))
    for line, (_, words) in enumerate(FAULTS, start=2):
        messages = [fault.message for fault in found if fault.line == line]
        assert any(words in message for message in messages), (line, words, messages)
        assert all(message.rstrip(".").count(".") for message in messages), messages
    assert {fault.line for fault in found} == set(range(2, len(FAULTS) + 2))


FINDINGS = [
    ({"image": "COCO_val2014_000000310196.jpg"}, "benchmark picture", "POPE"),
    ({"image": "AMBER_3.jpg"}, "benchmark picture", "AMBER"),
    ({"chosen": "A dog. USER: And now?"}, "chat template in a response", "chosen"),
    ({"chosen": "Un cafÃ© est ouvert au coin."}, "broken encoding", "Ã©"),
    ({"chosen": "As an AI language model, I see no dog."}, "answers as a machine", "AI"),
    ({"rejected": "A dog.<br>A cat."}, "markup in a response", "<br>"),
    ({"chosen": LONG[:-12] + " umbr"}, "cut off", "umbr"),
    ({"chosen": "The sky is blue and wide. " * 4}, "repeats itself", "4 times"),
    ({"prompt": "Say: a dog sits near a tree.", "chosen": "A dog sits near a tree."},
     "question gives the answer away", "A dog"),
    (row(0) | {"id": "again"}, "the same row again", "a.jsonl:1"),
    (row(0) | {"id": "swap", "chosen": row(0)["rejected"], "rejected": row(0)["chosen"]},
     "contradicting judgements", "a.jsonl:1"),
    ({"chosen": LONG, "rejected": "It rains."}, "nearly the same row", "a.jsonl:14"),
]  # fmt: skip


def test_suspicious_rows_are_found_with_line_and_remedy(folder):
    planted = [row(n, **changes) for n, (changes, _, _) in enumerate(FINDINGS, start=1)]
    twin = {"chosen": LONG.replace("rain", "snow", 1), "rejected": "It rains."}
    planted.insert(len(planted) - 1, row(90, **twin))
    source = write_jsonl(folder / "a.jsonl", [row(0), *planted])
    out = import_dataset(source, folder / "out", format_name="plain", judged_by="human").path
    for place in (find_dataset(source, format_name="plain"), find_dataset(out)):
        found = {finding.kind: finding for finding in examine(examples_of(place)).findings()}
        for _, kind, words in FINDINGS:
            said = " ".join(str(fault) for fault in found[kind].places)
            said = said.replace("corrections.jsonl", "a.jsonl")
            if "a.jsonl" not in words:
                assert words in said, kind
            assert found[kind].remedy == REMEDIES[kind]
            assert all(fault.line for fault in found[kind].places)


def test_facts_and_references_that_give_the_answer_away_are_found(folder):
    told = {
        "facts": ["There: a dog sits near the old tree."],
        "chosen": "A dog sits near the old tree.",
    }
    rows = [row(0), row(1, images=["1.jpg"], **told)]
    rows[1].pop("image")
    source = write_jsonl(folder / "a.jsonl", rows)
    (finding,) = examine(examples_of(find_dataset(source, format_name="chat"))).findings()
    assert finding.kind == "fact gives the answer away"


def balanced(count):
    """Rows whose preferred response is as often the longer as the shorter one."""
    texts = ("Dog {}.", "A small dog {} sits here.")
    return [
        row(n, chosen=texts[n % 2].format(n), rejected=f"A cat {n} here.", prompt=f"Question {n}?")
        for n in range(count)
    ]


def kinds(folder, rows, name="plain"):
    source = write_jsonl(folder / "a.jsonl", rows)
    return [
        one.kind for one in examine(examples_of(find_dataset(source, format_name=name))).findings()
    ]


def test_a_balanced_data_set_is_left_alone(folder):
    assert kinds(folder, balanced(60)) == []


def test_biases_are_reported_with_their_intervals(folder):
    asked = balanced(60)
    longer = [r | {"chosen": r["chosen"] + " It stands by the tree."} for r in asked]
    assert kinds(folder, longer) == ["the longer response wins"]
    shorter = [r | {"chosen": f"Dog {n}."} for n, r in enumerate(asked)]
    assert kinds(folder, shorter) == ["the shorter response wins"]
    always = [r | {"chosen": f"Yes, {n}.", "rejected": f"No, {n}."} for n, r in enumerate(asked)]
    assert kinds(folder, always) == ["yes outweighs no"]
    same = [r | {"prompt": QUESTION} for r in asked[1:]]
    assert kinds(folder, [asked[0], *same]) == ["few questions"]
    letters = [r | {"chosen": "B", "rejected": "C"} for r in asked]
    assert "one letter outweighs" in kinds(folder, letters)
    one = [r | {"image": "0.jpg"} for r in asked]
    assert "one picture outweighs" not in kinds(folder, one)  # there is no other
    assert "one picture outweighs" in kinds(folder, [*one[:50], *asked[50:]])


def label_studio(n, side):
    data = {
        "image": f"{n % 4}.jpg",
        "question": f"Question {n}?",
        "response_1": f"Dog {n} here.",
        "response_2": f"Cat {n} here.",
    }
    result = [{"type": "pairwise", "value": {"selected": side}}]
    return {"id": n, "data": data, "annotations": [{"result": result, "completed_by": 1}]}


def test_the_side_that_wins_too_often_is_reported(folder):
    rows = [label_studio(n, "left") for n in range(40)]
    assert kinds(folder, rows, "label-studio") == ["the first response wins"]


def test_the_command_says_what_it_found_and_writes_a_page(folder):
    rows = [row(n) for n in range(3)] + [row(9, image="AMBER_3.jpg")]
    source = write_jsonl(folder / "a.jsonl", rows)

    def run(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    result = run("check", source)
    assert result.exit_code == 0
    assert "benchmark picture: 1 of 4 rows (1 of AMBER). Leave these rows out" in result.output
    assert "no fault, 1 finding (format plain)" in result.output
    assert run("check", source, "--strict").exit_code == 1
    assert "finding" not in run("check", source, "--no-findings").output
    page = folder / "page.html"
    assert run("report", source, "--out", page).exit_code == 0
    text = page.read_text()
    assert "4 rows, and 1 finding to look at." in text
    assert "Words of preferred and rejected responses" in text
    assert "<script" not in text


def test_what_a_model_would_not_read_is_found(folder, tiny_llava_path):
    source = write_jsonl(folder / "a.jsonl", [row(0), row(1, chosen=LONG * 3)])
    words = ["check", source, "--model", tiny_llava_path, "--max-response-tokens", "100"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert "too long for the model: 1 of 2 rows" in result.output
    assert "tokens, 100 are read" in result.output
