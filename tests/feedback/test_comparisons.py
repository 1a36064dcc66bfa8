import json

import pytest

from comparison_files import write_comparisons
from veridical.errors import DataError
from veridical.feedback.comparisons import read_compared_pairs
from veridical.feedback.facts import FactsIndex
from veridical.records import Facts, ImageRef, Prompt


@pytest.fixture
def folder(tmp_path):
    return write_comparisons(tmp_path, count=3)


def change_row(path, number, **changes):
    """Change row `number`, from 0; the header is line 1."""
    lines = path.read_text().splitlines()
    lines[number + 1] = json.dumps(json.loads(lines[number + 1]) | changes)
    path.write_text("\n".join(lines) + "\n")


def test_each_pair_comes_with_its_prompt_its_responses_and_its_facts(folder):
    pairs = read_compared_pairs(folder)
    assert [pair.comparison.preferred for pair in pairs] == ["first", "second", "tie"]
    for number, pair in enumerate(pairs):
        assert pair.prompt.id == f"p{number}"
        assert (pair.first.id, pair.second.id) == pair.comparison.response_ids
        assert [item.image_id for item in pair.facts] == [f"scene{number}"]
        assert pair.prompt.image.path == str(folder / f"images/scene{number}.png")


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        ("comparisons", {"prompt_id": "p9"}, "there is no prompt 'p9' in prompts.jsonl"),
        (
            "comparisons",
            {"response_ids": ["p1#0", "p9#0"]},
            "there is no response 'p9#0' in responses.jsonl",
        ),
        (
            "comparisons",
            {"response_ids": ["p1#0", "p0#0"]},
            "answers prompt 'p0', the comparison is about 'p1'",
        ),
        ("comparisons", {"response_ids": ["p1#0", "p1#0"]}, "is compared with itself"),
        ("comparisons", {"preferred": 0}, "`preferred`: "),
        ("comparisons", {"preferred": 3}, "`preferred`: "),
        ("comparisons", {"preferred": "draw"}, "`preferred`: "),
        ("comparisons", {"id": "c0"}, "id 'c0' stands in line 2 already"),
        ("responses", {"id": "p0#1", "prompt_id": "p0"}, "id 'p0#1' stands in line 3 already"),
        ("facts", {"texts": []}, "`texts` holds no text"),
        ("facts", {"texts": ["A dog.", " "]}, "`texts` holds no text or an empty one"),
        ("facts", {"prompt_id": "p9"}, "there is no prompt 'p9'"),
        (
            "facts",
            {"prompt_id": "p0"},
            "of another image: 'scene1', the prompt asks about 'scene0'",
        ),
    ],
)
def test_each_fault_is_reported_with_its_file(folder, file, changes, told):
    change_row(folder / f"{file}.jsonl", 2 if file == "responses" else 1, **changes)
    with pytest.raises(DataError) as caught:
        read_compared_pairs(folder)
    (fault,) = [fault for fault in caught.value.faults if told in fault.message]
    assert fault.file == folder / f"{file}.jsonl"
    assert fault.line == (4 if file == "responses" else 3)


@pytest.mark.parametrize(
    ("text", "told"), [("  ", "response 'p1#0' is empty"), (None, "both responses say the same")]
)
def test_texts_that_teach_nothing_are_faults_of_the_comparison(folder, text, told):
    other = json.loads((folder / "responses.jsonl").read_text().splitlines()[4])["text"]
    change_row(folder / "responses.jsonl", 2, text=other if text is None else text)
    with pytest.raises(DataError) as caught:
        read_compared_pairs(folder)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line) == (folder / "comparisons.jsonl", 3)
    assert told in fault.message


def test_missing_facts_are_a_fault_unless_none_are_needed(folder):
    change_row(folder / "facts.jsonl", 1, image_id="elsewhere")
    faults = []
    pairs = read_compared_pairs(folder, faults=faults)
    assert [pair.prompt.id for pair in pairs] == ["p0", "p2"]
    assert ["no facts for prompt 'p1'" in fault.message for fault in faults] == [True]
    assert [len(pair.facts) for pair in read_compared_pairs(folder, need_facts=False)] == [1, 0, 1]
    (folder / "facts.jsonl").unlink()
    assert len(read_compared_pairs(folder, need_facts=False)) == 3
    with pytest.raises(DataError, match="there is no such file"):
        read_compared_pairs(folder, skip_bad=True)


def test_all_faults_of_all_files_are_reported_at_once_and_bad_rows_put_aside(folder):
    change_row(folder / "comparisons.jsonl", 0, preferred=3)
    change_row(folder / "prompts.jsonl", 1, question="")
    (folder / "images" / "scene2.png").write_bytes(b"no picture")
    with pytest.raises(DataError) as caught:
        read_compared_pairs(folder)
    assert {fault.file.name for fault in caught.value.faults} == {
        "comparisons.jsonl",
        "prompts.jsonl",
    }
    assert "cannot be decoded" in str(caught.value)
    (folder / "images" / "scene2.png").write_bytes((folder / "images" / "scene0.png").read_bytes())
    (pair,) = read_compared_pairs(folder, skip_bad=True, quarantine=folder / "aside")
    assert pair.prompt.id == "p2"
    assert sorted(path.name for path in (folder / "aside").iterdir()) == [
        "comparisons.bad.jsonl",
        "prompts.bad.jsonl",
    ]


def test_facts_of_one_prompt_are_never_those_of_another_about_the_same_image():
    image = ImageRef(path="images/1.png")
    one, two = (Prompt(id=name, image=image, question="Which?") for name in ("one", "two"))
    shared = Facts(image_id="1", kind="caption", texts=("A cat.",))
    own = [Facts(image_id="1", prompt_id=p.id, kind="rationale", texts=(p.id,)) for p in (one, two)]
    index = FactsIndex([shared, *own])
    assert index.of(one) == (own[0], shared)
    assert index.of(two) == (own[1], shared)
    assert index.of(one.model_copy(update={"image_id": "other"})) == ()
