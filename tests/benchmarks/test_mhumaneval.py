import pytest

import score_layouts as layouts
from official_data import write_lines
from veridical.benchmarks.mhumaneval.benchmark import MHumanEval
from veridical.errors import DataError
from veridical.records import Correction, ImageRef, Prompt, Segment, write_records
from veridical.scoring.files import score
from veridical.scoring.protocol import Files


def correction(number, rejected, chosen, segments=()):
    image = ImageRef(path=f"{number}.png")
    shown = {
        "id": f"c{number}",
        "prompt_id": f"p{number}",
        "source": "human",
        "image": image,
        "question": "What?",
    }
    return Correction(**shown, rejected=rejected, chosen=chosen, segments=segments)


def test_rates_by_hand(tmp_path):
    rows = [
        {"id": 1, "segments": ["object", "object"]},
        {"id": 2, "segments": [{"kind": "Numbers"}, {"type": "attribute"}]},
        {"id": 3, "segments": []},
        {"id": 4, "segments": [], "text": " "},
    ]
    files = Files(responses=write_lines(tmp_path / "a.jsonl", rows))
    paper = score("mhumaneval", files)
    values = {name.split("/")[1]: metric.value for name, metric in paper.total.metrics.items()}
    assert values == {"object": 0.25, "position": 0, "number": 0.25, "other": 0.25, "all": 0.5}
    assert paper.total.metrics["hallucination/all"].n == 4
    assert paper.total.counts == {"items": 4, "empty": 1, "scored": 3}
    assert "1 of 4 answers are empty" in " ".join(paper.total.warnings)
    six = score("mhumaneval", files, variant="six-kinds").total.metrics
    assert six["hallucination/attribute"].value == 0.25
    assert six["hallucination/other"].value == 0.0


def test_every_published_rate_is_some_number_of_146():
    for reference in MHumanEval.card.references:
        for value in reference.values.values():
            assert min(abs(value - k / 146) for k in range(147)) < 0.0005


def test_the_studios_corrections_are_read(tmp_path):
    two = "Two dogs sit on a red mat."
    number = Segment(rejected_span=(0, 8), chosen_span=(0, 7), kind="number")
    records = [
        correction(0, two, "One dog sits on a red mat.", (number,)),
        correction(1, "A cat on a mat.", "A dog on a mat."),  # no segments: found and guessed
    ]
    responses = write_records(tmp_path / "c.jsonl", records, kind="Correction")
    prompts = [
        Prompt(id=f"p{n}", image=ImageRef(path=f"{n}.png"), question="What?") for n in range(4)
    ]
    questions = write_records(tmp_path / "p.jsonl", prompts, kind="Prompt")
    total = score("mhumaneval", Files(responses=responses, questions=questions)).total
    assert total.metrics["hallucination/number"].value == 0.25
    assert total.metrics["hallucination/object"].value == 0.25
    assert total.metrics["hallucination/all"].value == 0.5
    assert "kinds of 1 corrections were guessed" in " ".join(total.warnings)
    alone = score("mhumaneval", Files(responses=responses)).total
    assert alone.metrics["hallucination/all"].value == 1.0
    assert "give --questions" in " ".join(alone.warnings)


def test_faults_are_reported_with_their_lines(tmp_path):
    rows = [
        {"id": 1, "segments": ["colour"]},
        {"id": 1, "segments": []},
        {"id": 2},
        {"segments": []},
        {"id": 3, "segments": "object"},
        {"id": 4, "segments": [3]},
        {"id": 5, "rejected": "x"},
    ]
    with pytest.raises(DataError) as caught:
        score("mhumaneval", Files(responses=write_lines(tmp_path / "a.jsonl", rows)))
    assert {fault.line for fault in caught.value.faults} == {1, 2, 3, 4, 5, 6, 7}


def test_prompts_without_annotation_are_no_good_news(tmp_path):
    responses = write_lines(tmp_path / "a.jsonl", [{"id": 1, "segments": []}])
    questions = write_lines(tmp_path / "q.jsonl", [{"id": 1}, {"id": 2}])
    with pytest.raises(DataError, match="prompt '2' has no annotated answer"):
        score("mhumaneval", Files(responses=responses, questions=questions))
    with pytest.raises(DataError, match="prompt '1' is not among the questions"):
        score(
            "mhumaneval",
            Files(responses=responses, questions=write_lines(tmp_path / "q.jsonl", [{"id": 2}])),
        )


def test_no_answers_give_no_rate(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[]")
    metric = score("mhumaneval", Files(responses=path)).total.metrics["hallucination/all"]
    assert (metric.n, metric.low, metric.high) == (0, 0.0, 1.0)


def test_answers_that_nobody_marked_are_one_fault_that_says_how_to_mark_them(tmp_path):
    rows = [{"id": str(number), "text": "A dog."} for number in range(30)]
    folder = layouts.generated(tmp_path, rows, id_name="id", answer="text")
    with pytest.raises(DataError, match="nobody has marked yet") as caught:
        score("mhumaneval", Files(responses=folder))
    assert len(caught.value.faults) == 1
    assert f"veridical studio {folder} --task mark" in str(caught.value)
