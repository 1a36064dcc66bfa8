"""Marked segments are checked against the responses, counted, scored, and never trained on."""

import pytest
from pydantic import ValidationError

from comparison_files import write_comparisons
from veridical.errors import DataError
from veridical.feedback.datasets import check_dataset, dataset_statistics, find_dataset
from veridical.feedback.registry import find_judgements, read_pairs, read_preferences
from veridical.records import Mark, Marking, Response, read_records, write_records
from veridical.records.folders import MARKINGS_FILE
from veridical.scoring.files import score
from veridical.scoring.protocol import Files


def mark(response, words, kind="object"):
    start = response.text.index(words)
    return Mark(response_id=response.id, span=(start, start + len(words)), text=words, kind=kind)


@pytest.fixture
def folder(tmp_path):
    """Three responses that were read, with two marks, none and one."""
    write_comparisons(tmp_path, count=3, preferred=("second",))
    (tmp_path / "comparisons.jsonl").unlink()
    said = read_records(tmp_path / "responses.jsonl", Response)[::2]
    marks = (
        (mark(said[0], "blue", "attribute"), mark(said[0], "a dog")),
        (),
        (mark(said[2], "along the street", "position"),),
    )
    rows = [
        Marking(
            id=f"m{number}",
            prompt_id=response.prompt_id,
            source="human",
            response_ids=(response.id,),
            segments=segments,
        )
        for number, (response, segments) in enumerate(zip(said, marks, strict=True))
    ]
    write_records(tmp_path / MARKINGS_FILE, rows, kind="Marking")
    return tmp_path


def changed(folder, number, **changes):
    rows = read_records(folder / MARKINGS_FILE, Marking)
    rows[number] = rows[number].model_copy(update=changes)
    write_records(folder / MARKINGS_FILE, rows, kind="Marking")
    return [(fault.line, fault.message) for fault in check_dataset(find_dataset(folder))]


def test_a_folder_of_markings_is_sound_and_counted(folder):
    assert check_dataset(find_dataset(folder)) == []
    found = dataset_statistics(find_dataset(folder))
    assert (found.counts["markings"], found.counts["segments"]) == (3, 3)
    assert found.figures["responses with a marked segment"] == "2 of 3 (66.7%)"
    assert found.sections["kind"] == {"attribute": 1, "object": 1, "position": 1}
    assert found.sections["responses with segments"] == {"0": 1, "1": 1, "2": 1}


def test_what_a_marking_refers_to_must_be_there(folder):
    rows = read_records(folder / MARKINGS_FILE, Marking)
    (line, message), _ = changed(folder, 1, prompt_id="p9")
    assert (line, "no prompt 'p9'" in message) == (3, True)
    ((_, message),) = changed(folder, 1, prompt_id="p1", response_ids=("p9#0",))
    assert "no response 'p9#0'" in message
    ((_, message),) = changed(folder, 1, response_ids=("p0#0",))
    assert "answers prompt 'p0', the marking is about 'p1'" in message
    ((_, message),) = changed(folder, 1, response_ids=("p1#0",), segments=rows[0].segments[:1])
    assert "which `response_ids` does not list" in message


def test_a_mark_must_hold_what_stands_there(folder):
    (good, _) = read_records(folder / MARKINGS_FILE, Marking)[0].segments
    moved = good.model_copy(update={"span": (good.span[0] + 1, good.span[1] + 1)})
    ((line, message),) = changed(folder, 0, segments=(moved,))
    assert (line, message) == (
        2,
        f"'blue' is marked at [{moved.span[0]}, {moved.span[1]}] of response 'p0#0', where 'lue '"
        " stands. Fix the span.",
    )
    with pytest.raises(ValidationError, match="as long as the text, 4 from 0 on, got"):
        Mark(response_id="p0#0", span=(3, 5), text="blue")


def test_nothing_is_learnt_from_markings(folder):
    assert find_judgements(folder)[0].name == "marking"
    for read in (read_pairs, read_preferences):
        with pytest.raises(DataError, match="not what would be right"):
            read(folder)


def test_mhumaneval_makes_rates_of_them(folder):
    metrics = score("mhumaneval", Files(folder / MARKINGS_FILE)).total.metrics
    assert metrics["hallucination/all"].value == pytest.approx(2 / 3)
    assert metrics["hallucination/object"].value == pytest.approx(1 / 3)
    changed(folder, 1, response_ids=("p1#0", "p1#1"))
    with pytest.raises(DataError, match="must be of one answer, got marks of 2"):
        score("mhumaneval", Files(folder / MARKINGS_FILE))
