"""Prompts of several pictures and turns: what records say of them, and which row is at fault."""

import json
from pathlib import Path

import pytest

from veridical.feedback.pairs import pairs_from_corrections, split_by_image
from veridical.records import (
    NO_IMAGE,
    Conversation,
    Correction,
    ImageRef,
    Prompt,
    Turn,
    scan_records,
    write_records,
)

ONE, TWO = ImageRef(path="one.png"), ImageRef(path="two.png")
PROMPT = Prompt(
    id="p",
    image=ONE,
    more_images=(TWO,),
    question="And here? <image> What is gone?",
    history=(("<image> What is this?", "A kitchen."),),
    system="Be brief.",
)


def test_a_row_of_one_picture_and_one_question_reads_as_before(tmp_path):
    row = {"id": "p", "image": {"path": "one.png"}, "question": "What?", "history": [["A?", "B."]]}
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (found,) = [row.record for row in scan_records(path, Prompt)]
    assert (found.images, found.turns) == ((ONE,), ("A?", "B.", "What?"))
    assert (found.more_images, found.system) == ((), "")


def test_a_prompt_of_two_pictures_and_two_turns_is_written_and_read_again(tmp_path):
    write_records(tmp_path / "p.jsonl", [PROMPT], kind="Prompt")
    (found,) = [row.record for row in scan_records(tmp_path / "p.jsonl", Prompt)]
    assert found == PROMPT
    assert found.images == (ONE, TWO)
    assert found.turns == ("<image> What is this?", "A kitchen.", PROMPT.question)
    assert found.said[0] == "Be brief."
    assert not any("<image>" in text for text in found.said)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"question": "<image> What?"}, "1 <image> markers in the user turns for 2 images"),
        ({"question": "<image><image><image>"}, "3 <image> markers in the user turns for 2"),
        (
            {"image": {"path": ""}, "more_images": [], "question": "<image> What?"},
            "1 <image> markers in the user turns for 0",
        ),
        ({"history": [["A?", "<image> B."]]}, "turn 2 holds the marker <image>"),
        ({"system": "See <image>."}, "the system message holds the marker <image>"),
        ({"image": {"path": ""}}, "`more_images` follow a first `image`"),
    ],
)
def test_markers_that_do_not_fit_the_pictures_are_a_fault_of_their_row(tmp_path, fields, fault):
    good = {
        "id": "good",
        "image": {"path": "one.png"},
        "more_images": [{"path": "two.png"}],
        "question": "What?",
    }
    bad = good | {"id": "bad"} | fields
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps(good) + "\n" + json.dumps(bad) + "\n")
    first, second = scan_records(path, Prompt)
    assert first.fault is None
    assert second.line == 2
    assert fault in second.fault


def test_a_conversation_keeps_the_same_rule():
    said = ("Which? <image>", "A.", "And <image>?", "B.")
    turns = tuple(
        Turn(role=("user", "assistant")[number % 2], text=text) for number, text in enumerate(said)
    )
    talk = Conversation(id="t", image=ONE, more_images=(TWO,), turns=turns, source="human")
    assert talk.images == (ONE, TWO)
    with pytest.raises(ValueError, match="2 <image> markers in the user turns for 1 images"):
        Conversation(id="t", image=ONE, turns=turns, source="human")


def test_a_correction_hands_all_that_was_asked_to_its_pair():
    asked = {name: getattr(PROMPT, name) for name in ("image", "more_images", "history", "system")}
    correction = Correction(
        **asked, **TEXTS, id="c", prompt_id="p", source="human", question=PROMPT.question
    )
    (pair,) = pairs_from_corrections([correction], file=Path("/data/corrections.jsonl"))
    assert pair.turns == PROMPT.turns
    assert pair.system == "Be brief."
    assert [ref.path for ref in pair.images] == ["/data/one.png", "/data/two.png"]
    without = {"image": NO_IMAGE, "more_images": (), "history": (), "question": "What?"}
    (blind,) = pairs_from_corrections(
        [correction.model_copy(update=without)], file=Path("/data/corrections.jsonl")
    )
    assert blind.images == ()


TEXTS = {"rejected": "A red cat.", "chosen": "A cat."}


def test_rows_that_share_a_picture_through_a_third_stay_together():
    def row(name, *paths):
        refs = [ImageRef(path=path) for path in paths]
        fields = {"prompt_id": name, "source": "human", "question": "What?"}
        one = Correction(id=name, image=NO_IMAGE, **fields, **TEXTS)
        return one.with_images(refs)

    rows = [
        row("a", "1"),
        row("b", "2"),
        row("both", "1", "2"),
        row("other", "3"),
        row("blind"),
        row("also blind"),
    ]
    for seed in range(6):
        parts = split_by_image(rows, {"train": 0.5, "test": 0.5}, seed=seed)
        sides = [{one.id for one in part} for part in parts.values()]
        assert all({"a", "b", "both"} <= side or not {"a", "b", "both"} & side for side in sides)
        assert sum(map(len, sides)) == 6
    assert len({tuple(sorted(s)) for s in sides}) == 2
