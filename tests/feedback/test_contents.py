import pytest

from comparison_files import write_comparisons
from veridical.feedback.datasets import check_dataset, dataset_statistics, find_dataset
from veridical.feedback.statistics import content_statistics, statistics_of_comparisons
from veridical.records import (
    NO_IMAGE,
    Comparison,
    Conversation,
    ImageRef,
    Prompt,
    Response,
    Turn,
    write_records,
)
from veridical.records.folders import Contents, read_contents


def test_what_is_in_a_folder_is_read_and_counted(tmp_path):
    found = dataset_statistics(find_dataset(write_comparisons(tmp_path, count=6)))
    assert found.counts == {
        "prompts": 6,
        "responses": 12,
        "comparisons": 6,
        "facts": 6,
        "images": 6,
    }
    assert found.sections["preferred"] == {"first": 2, "second": 2, "tie": 2}
    assert found.sections["decided by"] == {"not noted": 6}
    assert found.sections["the preferred response is"] == {"shorter": 4}
    assert found.sections["facts of kind"] == {"caption": 6}
    assert found.words["facts"][2] == 8


def test_truths_and_length_bonuses_are_counted():
    image = ImageRef(path="a.png")
    prompts = [
        Prompt(
            id=str(n), image=image, question="Q", task="yes_no", reference=truth, length_bonus=bonus
        )
        for n, (truth, bonus) in enumerate(
            [("No", 1.0), ("No", -0.5), ("Yes", 1.0), ("No, there is none.", None)]
        )
    ]
    found = content_statistics(Contents(tuple(prompts)))
    assert found.sections["task"] == {"yes_no": 1, "yes_no, No": 2, "yes_no, Yes": 1}
    assert found.sections["length bonus"] == {"-0.5": 1, "1": 2}
    assert found.counts == {"prompts": 4, "images": 1}


@pytest.mark.parametrize(
    ("preferred", "hallucination", "expected"),
    [("first", True, ("longer", "hallucination")), ("second", False, ("shorter", "helpfulness"))],
)
def test_who_wins_by_length_and_by_what(preferred, hallucination, expected):
    responses = tuple(
        Response(id=n, prompt_id="p", text=t, model="m")
        for n, t in (("1", "a long text"), ("2", "short"))
    )
    judged = {"preferred": preferred, "hallucination": hallucination, "source": "human"}
    comparison = Comparison(id="c", prompt_id="p", response_ids=("1", "2"), **judged)
    found = statistics_of_comparisons([comparison], Contents(responses=responses)).sections
    assert found["the preferred response is"] == {expected[0]: 1}
    assert found["decided by"] == {expected[1]: 1}


def test_a_folder_of_prompts_or_conversations_is_checked_with_its_images(tmp_path):
    write_comparisons(tmp_path, count=3)
    for name in ("comparisons", "responses", "facts"):
        (tmp_path / f"{name}.jsonl").unlink()
    said = (Turn(role="user", text="Hi"), Turn(role="assistant", text="Hello."))
    rows = [
        Conversation(id="a", image=ImageRef(path="images/scene0.png"), turns=said, source="model"),
        Conversation(id="b", turns=said, source="model"),
        Conversation(id="c", image=ImageRef(path="images/none.png"), turns=said, source="model"),
    ]
    write_records(tmp_path / "conversations.jsonl", rows, kind="Conversation")
    assert [(fault.file.name, fault.line) for fault in check_dataset(find_dataset(tmp_path))] == [
        ("conversations.jsonl", 4)
    ]
    (tmp_path / "images" / "scene1.png").unlink()
    assert [(fault.file.name, fault.line) for fault in check_dataset(find_dataset(tmp_path))] == [
        ("prompts.jsonl", 3),
        ("conversations.jsonl", 4),
    ]


def test_a_folder_of_comparisons_is_checked_as_a_whole(tmp_path):
    folder = write_comparisons(tmp_path, count=3)
    assert check_dataset(find_dataset(folder)) == []
    path = folder / "responses.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    ((file, line, message),) = check_dataset(find_dataset(folder))
    assert (file.name, line) == ("comparisons.jsonl", 4)
    assert "there is no response 'p2#1'" in message


def test_a_prompt_without_an_image_is_sound_alone_and_in_a_comparison(tmp_path):
    write_comparisons(tmp_path, count=3)
    (tmp_path / "facts.jsonl").unlink()
    prompts = read_contents(tmp_path).prompts
    blind = [prompts[0].model_copy(update={"image": NO_IMAGE}), *prompts[1:]]
    write_records(tmp_path / "prompts.jsonl", blind, kind="Prompt")
    assert check_dataset(find_dataset(tmp_path)) == []
    assert content_statistics(read_contents(tmp_path)).counts["images"] == 2
