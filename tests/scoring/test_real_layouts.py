"""Real public files give the official numbers whatever fields and wrapper they come in."""

import json

import pytest

import score_layouts as layouts
from official_data import DATA, expected, needs_data, write_lines
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

pytestmark = needs_data


def rows_of(path):
    text = path.read_text(encoding="utf-8")
    return (
        json.loads(text)
        if text.startswith("[")
        else [json.loads(line) for line in text.splitlines()]
    )


def renamed(rows, *, answer, to, question=None):
    """Rows with the answer under another name, next to what misleads: the truth, the question."""
    kept = [{name: value for name, value in row.items() if name != answer} for row in rows]
    return [
        {**row, to: old[answer], **({"text": old[question]} if question else {})}
        for row, old in zip(kept, rows, strict=True)
    ]


def in_every_layout(folder, rows, *, id_name, answer):
    """The rows in wrappers, tables and other tools' outputs, each with a name."""
    for wrap in (*layouts.WRAPPERS, *layouts.TABLES):
        yield wrap.__name__, wrap(folder, rows)
    yield "lmms-eval", layouts.lmms_eval(folder, rows, id_name=id_name, answer=answer)
    for write in layouts.TABLES:
        path = layouts.vlmevalkit(folder, rows, id_name=id_name, answer=answer, write=write)
        yield f"VLMEvalKit {write.__name__}", path


def test_pope(tmp_path):
    want = expected("pope")["real/llava-v1.5-7b_coco_random_greedy"]
    rows = rows_of(DATA / want["answers"])
    questions = DATA / want["labels"]
    found = {}
    for name, path in in_every_layout(tmp_path, rows, id_name="question_id", answer="text"):
        asked = questions
        if name.startswith("VLMEvalKit"):
            asked = tmp_path / "index.jsonl"
            lines = [{**row, "index": row["question_id"]} for row in rows_of(questions)]
            write_lines(asked, [{k: v for k, v in r.items() if k != "question_id"} for r in lines])
        found[name] = score("pope", Files(path, asked)).total.metrics
    as_response = renamed(rows, answer="text", to="response", question="prompt")
    found["beside the question"] = score(
        "pope", Files(write_lines(tmp_path / "r.jsonl", as_response), questions)
    ).total.metrics
    folder = layouts.generated(tmp_path, rows, id_name="question_id", answer="text")
    found["generate"] = score("pope", Files(folder, questions)).total.metrics
    found["evalscope"] = score(
        "pope", Files(layouts.evalscope(tmp_path, rows, answer="text"), questions)
    ).total.metrics
    assert len(found) == 18
    for name, metrics in found.items():
        for metric in ("accuracy", "precision", "recall", "f1", "yes_ratio"):
            assert metrics[metric].value == pytest.approx(want["metrics"][metric], rel=1e-9), name


def test_pope_in_llavas_one_file(tmp_path):
    """The three question files of VCD, one random split's real answers put at each place of ids."""
    want = expected("pope")["real/llava-v1.5-7b_coco_random_greedy"]
    real = rows_of(DATA / want["answers"])
    folder = (DATA / want["labels"]).parent
    said = []
    for block, split in enumerate(("popular", "random", "adversarial")):
        texts = {r["question_id"]: r["text"] for r in rows_of(folder / f"coco_pope_{split}.json")}
        said += [
            {
                "question_id": row["question_id"] + block * 10_000_000,
                "prompt": texts[row["question_id"]],
                "text": row["text"],
            }
            for row in real
        ]
    answers = write_lines(tmp_path / "all.jsonl", said)
    metrics = score("pope", Files(answers, DATA / want["labels"])).total.metrics
    assert metrics["accuracy"].value == pytest.approx(want["metrics"]["accuracy"])
    (tmp_path / "coco").mkdir()
    for split in ("popular", "random", "adversarial"):
        source = folder / f"coco_pope_{split}.json"
        (tmp_path / "coco" / source.name).write_bytes(source.read_bytes())
    metrics = score("pope", Files(answers, tmp_path / "coco")).total.metrics
    assert metrics["accuracy/random"].value == pytest.approx(want["metrics"]["accuracy"])
    assert metrics["f1/random"].value == pytest.approx(want["metrics"]["f1"])


@pytest.mark.parametrize("corpus", ["llava-1.5_greedy", "instructblip_ours"])
def test_chair(tmp_path, corpus):
    want = expected("chair")["corpora"][f"opera/{corpus}"]
    title = "pattern (official singularize; CHAIR-metric-standalone chair.py)"
    rows = rows_of(DATA / want["captions"])
    truth = DATA / want["gt"]
    named = [{**row, "image_id": f"COCO_val2014_{row['image_id']:012d}.jpg"} for row in rows]
    prompt = "Please describe this image in detail."
    misleading = [{**row, "question": prompt, "text": prompt} for row in rows]
    paths = dict(in_every_layout(tmp_path, rows, id_name="image_id", answer="caption"))
    paths["file names"] = write_lines(tmp_path / "n.jsonl", named)
    paths["beside the prompt"] = write_lines(tmp_path / "m.jsonl", misleading)
    images = [f"val2014/COCO_val2014_{row['image_id']:012d}.jpg" for row in rows]
    paths["generate"] = layouts.generated(
        tmp_path, rows, id_name="image_id", answer="caption", images=images
    )
    for name, path in paths.items():
        metrics = score("chair", Files(path, reference=truth), variant="original").total.metrics
        for ours, theirs in (("chair_s", "CHAIRs"), ("chair_i", "CHAIRi"), ("recall", "Recall")):
            assert metrics[ours].value == pytest.approx(want[title][theirs], rel=1e-9), name


def test_mmhal(tmp_path):
    want = expected("mmhal")["mmhal_synthetic_judge_a"]
    reviews = rows_of(DATA / want["file"])
    for wrap in (layouts.array, layouts.pretty, layouts.lines, layouts.zipped, layouts.sentences):
        metrics = score("mmhal", Files(reviews=wrap(tmp_path, reviews))).total.metrics
        assert metrics["score"].value == pytest.approx(want["average_score"]), wrap.__name__
        assert metrics["hallucination_rate"].value == pytest.approx(want["hallucination_rate"])


def test_amber(tmp_path):
    want = expected("amber")["disc_a"]["official"]["Descriminative Task"]
    rows = rows_of(DATA / "amber" / "responses_synth" / "discriminative_a.json")
    options = {"task": "discriminative"}
    llava = [{"question_id": str(row["id"]), "text": row["response"]} for row in rows]
    wraps = (layouts.sentences, layouts.pretty, layouts.tabs, layouts.workbook)
    paths = {wrap.__name__: wrap(tmp_path, rows) for wrap in wraps}
    paths["question_id and text"] = write_lines(tmp_path / "l.jsonl", llava)
    paths["generate"] = layouts.generated(tmp_path, rows, id_name="id", answer="response")
    for name, path in paths.items():
        files = Files(path, reference=DATA / "amber")
        metrics = score("amber", files, options=options).total.metrics
        for metric in ("Accuracy", "Precision", "Recall", "F1"):
            value = round(100 * metrics[metric.lower()].value, 1)
            assert value == want[metric], name
