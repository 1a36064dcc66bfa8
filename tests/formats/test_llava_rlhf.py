import json

import pytest

from llava_rlhf_files import (
    captions,
    conversation_row,
    name_of,
    preference_row,
    prompt_row,
    rationales,
    turns,
    write_images,
    write_json,
)
from veridical.errors import ConfigError, DataError
from veridical.feedback.comparisons import read_compared_pairs
from veridical.feedback.datasets import export_dataset
from veridical.formats.importing import check_data, import_dataset
from veridical.formats.registry import detect_format
from veridical.records import Comparison, Conversation, Facts, Prompt, Response, read_records


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "coco", range(1, 5))


def read_in(folder, rows, kind, images, *, facts=None, **settings):
    source = write_json(folder / f"{kind}.json", rows)
    facts = None if facts is None else write_json(folder / "image_to_caption.json", facts)
    name = f"llava-rlhf-{kind}"
    assert detect_format(source) == name
    return import_dataset(
        source, folder / "out", format_name=name, facts=facts, images_root=images, **settings
    )


def faults_of(folder, rows, kind, images, *, facts=None):
    source = write_json(folder / "source.json", rows)
    facts = None if facts is None else write_json(folder / "facts.json", facts)
    found = check_data(source, format_name=f"llava-rlhf-{kind}", facts=facts, images_root=images)
    return [(fault.file.name, fault.line, fault.message) for fault in found]


def test_a_preference_becomes_a_prompt_two_responses_a_comparison_and_facts(tmp_path, images):
    rows = [preference_row(1), preference_row(2, preference=2, hallucination=False)]
    result = read_in(
        tmp_path, rows, "preference", images, facts={name_of(n): captions(n) for n in (1, 2, 3)}
    )
    assert result.counts == {
        "prompts": 2,
        "responses": 4,
        "comparisons": 2,
        "facts": 2,
        "images": 2,
    }
    one, two = read_compared_pairs(tmp_path / "out")
    assert one.prompt.question == "Which colour?"
    assert one.prompt.history == (("What is there?", "A bench."),)
    assert one.prompt.reference == "Red."
    assert (one.first.text, one.second.text) == ("It is red.", "It is blue, with a cat on it.")
    assert one.facts == (Facts(image_id=name_of(1), kind="caption", texts=tuple(captions(1))),)
    assert [(p.comparison.preferred, p.comparison.hallucination) for p in (one, two)] == [
        ("first", True),
        ("second", False),
    ]
    assert one.comparison.source == "human"


def test_a_prompt_tells_its_task_its_truth_and_its_length_bonus(tmp_path, images):
    rows = [
        prompt_row(1),
        prompt_row(2, caption_type=4, length_bonus=1.0),
        prompt_row(3, caption_type=6),
        prompt_row(4, caption_type=7),
    ]
    facts = {name_of(n): captions(n) for n in (1, 2, 3, 4)} | {f"aok_{name_of(2)}": rationales(2)}
    read_in(tmp_path, rows, "prompts", images, facts=facts)
    prompts = read_records(tmp_path / "out" / "prompts.jsonl", Prompt)
    assert [(prompt.task, prompt.reference, prompt.length_bonus) for prompt in prompts] == [
        ("general", None, -0.5),
        ("multiple_choice", "C", 1.0),
        ("yes_no", "No", -0.5),
        ("yes_no", "Yes", -0.5),
    ]
    assert {prompt.question for prompt in prompts} == {"Describe the picture."}
    found = read_records(tmp_path / "out" / "facts.jsonl", Facts)
    assert (
        Facts(image_id=name_of(2), prompt_id="2", kind="rationale", texts=tuple(rationales(2)))
        in found
    )


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (
            "preference",
            [
                preference_row(1),
                preference_row(2, preference=2, annotator_note="sure", id="000002"),
            ],
        ),
        (
            "preference",
            [preference_row(1), preference_row(1, preference=2)],
        ),  # LLaVA's ids are those of images
        ("prompts", [prompt_row(n, caption_type=n) for n in range(1, 5)]),
        ("prompts", [prompt_row(n, caption_type=n + 4, set="vqa") for n in (1, 2, 3)]),
        ("conversations", [conversation_row(1), conversation_row(2, task="qa", id=2)]),
        (
            "conversations",
            [
                {
                    "id": "t",
                    "conversations": [{"from": "human", "value": "Hi"}, *turns("", "Hello.")[1:]],
                }
            ],
        ),
    ],
)
def test_every_field_comes_back(tmp_path, images, kind, rows):
    facts = {name_of(n): captions(n) for n in range(1, 5)} if kind != "conversations" else None
    read_in(tmp_path, rows, kind, images, facts=facts)
    written = export_dataset(
        tmp_path / "out", tmp_path / "back" / "a.json", format_name=f"llava-rlhf-{kind}"
    )
    assert json.loads(written.read_text()) == rows
    for row in rows:
        if "image" in row:
            assert (written.parent / "images" / row["image"]).read_bytes() == (
                images / row["image"]
            ).read_bytes()


def test_facts_come_back_too(tmp_path):
    facts = {name_of(1): captions(1), f"aok_{name_of(1)}": rationales(1), name_of(2): captions(2)}
    result = read_in(tmp_path, facts, "facts", None)
    assert result.counts == {"facts": 3}
    written = export_dataset(result.path, tmp_path / "b.json", format_name="llava-rlhf-facts")
    assert json.loads(written.read_text()) == facts


def test_facts_join_what_stands_in_the_folder(tmp_path, images):
    read_in(tmp_path, [preference_row(1)], "preference", images)
    read_in(tmp_path, {name_of(1): captions(1)}, "facts", images)
    assert len(read_compared_pairs(tmp_path / "out")) == 1


@pytest.mark.parametrize("label", [0, 3, "tie", "1", None, True])
def test_labels_that_the_format_does_not_know_are_reported(tmp_path, images, label):
    ((_, line, message),) = faults_of(
        tmp_path, [preference_row(1), preference_row(2, preference=label)], "preference", images
    )
    assert line == 2
    assert f"`preference` must be 1 or 2, got {label!r}" in message


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"output_1": {"from": "llava", "value": " "}}, "`output_1.value` is empty"),
        ({"output_2": "It is red."}, "`output_2.value` must be text"),
        ({"output_2": {"value": "It is red."}}, "`output_1` equals `output_2`"),
        ({"output_2": {"value": "An <image>."}}, "image placeholder '<image>'"),
        ({"hallucination": "yes"}, "`hallucination` must be true or false"),
        (
            {"conversations": turns("What?")},
            "must begin with human, alternate and end with gpt, got human",
        ),
        ({"conversations": turns("What?", "A.")[1:]}, "must begin with human"),
        ({"conversations": []}, "`conversations` must be a list of turns"),
        (
            {"conversations": [{"from": "system", "value": "x"}]},
            "turn 1 of `conversations` must be",
        ),
        (
            {"conversations": turns("What?", "", "And?", "B.")},
            "an earlier answer in `conversations` is empty",
        ),
        (
            {"conversations": turns("What?", "A.", "<image>\nAnd?", "B.")},
            "2 turns of `conversations` hold an image",
        ),
        ({"image": "none.jpg"}, "the image 'none.jpg' is missing"),
        ({"image": "../a.jpg"}, "leads out of the dataset's folder"),
        ({"image": None}, "`image` must be the name of a file"),
        ({"id": ""}, "the id must be a number or a text"),
    ],
)
def test_each_fault_of_a_preference_is_reported_with_its_row(tmp_path, images, changes, told):
    ((file, line, message),) = faults_of(
        tmp_path, [preference_row(1), preference_row(2, **changes)], "preference", images
    )
    assert (file, line) == ("source.json", 2)
    assert told in message


def test_all_faults_of_a_row_are_reported_at_once(tmp_path, images):
    row = preference_row(
        1, preference=3, image="none.jpg", output_1={"value": ""}, conversations=None
    )
    assert len(faults_of(tmp_path, [row], "preference", images)) == 4


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"caption_type": 0}, "`caption_type` must be a number from 1 to 7, got 0"),
        ({"caption_type": "1"}, "`caption_type` must be a number"),
        ({"length_bonus": "long"}, "`length_bonus` must be a number"),
        ({"length_bonus": float("nan")}, "NaN is not a JSON number"),
        ({"captions": "A bench."}, "`captions` must be a list of texts"),
        ({"captions": captions(1)}, "row and image do not belong together"),
    ],
)
def test_each_fault_of_a_prompt_is_reported_with_its_row(tmp_path, images, changes, told):
    facts = {name_of(n): captions(n) for n in (1, 2)}
    found = faults_of(
        tmp_path, [prompt_row(1), prompt_row(2, **changes)], "prompts", images, facts=facts
    )
    assert [(line, told in message) for _, line, message in found] == [(2, True)]


def test_rows_shifted_against_their_images_are_reported(tmp_path, images):
    """The released loader drops long prompts from one list only, so it mixes up the images."""
    shifted = [prompt_row(n) | {"image": name_of(n + 1)} for n in (1, 2, 3)]
    facts = {name_of(n): captions(n) for n in range(1, 5)}
    found = faults_of(tmp_path, shifted, "prompts", images, facts=facts)
    assert [line for _, line, _ in found] == [1, 2, 3]
    twice = [prompt_row(1), prompt_row(1, captions=captions(2))]
    ((_, line, message),) = faults_of(tmp_path, twice, "prompts", images)
    assert (line, "differ from those of row 1" in message) == (2, True)


def test_rationales_that_collide_are_reported_and_given_to_no_question(tmp_path, images):
    rows = [
        prompt_row(1, caption_type=2),
        prompt_row(1, caption_type=3),
        prompt_row(2, caption_type=2),
    ]
    key_of = [f"aok_{name_of(n)}" for n in range(5)]
    facts = {
        name_of(1): captions(1),
        name_of(2): captions(2),
        key_of[1]: rationales(1),
        key_of[2]: rationales(2),
    }
    (file, line, message), *others = faults_of(tmp_path, rows, "prompts", images, facts=facts)
    assert others == []
    assert (file, line) == ("facts.json", 3)
    assert "belong to one question, but 2 ask about it (prompts 1, 1#2)" in message
    result = read_in(tmp_path, rows, "prompts", images, facts=facts, skip_bad=True)
    assert result.bad_rows == 1
    found = read_records(result.path / "facts.jsonl", Facts)
    assert [item.prompt_id for item in found if item.kind == "rationale"] == ["2"]
    # Without captions to fall back on, the questions themselves are left without facts.
    del facts[name_of(1)]
    bare = [{name: value for name, value in row.items() if name != "captions"} for row in rows]
    found = faults_of(tmp_path, bare, "prompts", images, facts=facts)
    assert [(file, line) for file, line, _ in found] == [
        ("facts.json", 2),
        ("source.json", 1),
        ("source.json", 2),
    ]


def test_faults_of_the_facts_file(tmp_path):
    path = tmp_path / "facts.json"
    more = json.dumps(rationales(1) * 2)
    path.write_text(
        f'{{"1.jpg": ["A."], "2.jpg": [], "1.jpg": ["B."], "aok_3.jpg": {more}, "4.jpg": {{"a":'
        " 1}}"
    )
    found = check_data(path, format_name="llava-rlhf-facts")
    assert [
        (fault.line, told in fault.message)
        for fault, told in zip(
            found,
            (
                "must hold a list of texts",
                "stands in entry 1 already",
                "several questions collide",
                "must hold a list",
            ),
            strict=True,
        )
    ] == [(2, True), (3, True), (4, True), (5, True)]
    for text in ("[1]", "{"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"facts\.json"):
            check_data(path, format_name="llava-rlhf-facts")


def test_a_row_without_facts_is_reported_where_facts_are_given(tmp_path, images):
    found = faults_of(
        tmp_path,
        [preference_row(1), preference_row(2)],
        "preference",
        images,
        facts={name_of(1): captions(1)},
    )
    assert [
        (line, "has none for image '000000000002.jpg'" in message) for _, line, message in found
    ] == [(2, True)]


def test_repeated_rows_are_reported_and_repeated_ids_made_unique(tmp_path, images):
    ((_, line, message),) = faults_of(
        tmp_path, [preference_row(1), preference_row(1)], "preference", images
    )
    assert (line, "the row repeats row 1" in message) == (2, True)
    read_in(tmp_path, [preference_row(1), preference_row(1, preference=2)], "preference", images)
    assert [row.id for row in read_records(tmp_path / "out" / "comparisons.jsonl", Comparison)] == [
        "1",
        "1#2",
    ]
    assert len(read_records(tmp_path / "out" / "responses.jsonl", Response)) == 4


def test_a_failed_import_leaves_nothing_behind_and_bad_rows_can_be_left_out(tmp_path, images):
    rows = [preference_row(1), preference_row(2, preference="tie")]
    with pytest.raises(DataError, match="--skip-bad"):
        read_in(tmp_path, rows, "preference", images)
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True
    result = read_in(tmp_path, rows, "preference", images, skip_bad=True)
    assert (result.counts["comparisons"], result.bad_rows) == (1, 1)
    (aside,) = (tmp_path / "out" / "preference.bad.jsonl").read_text().splitlines()
    assert json.loads(json.loads(aside)["row"])["preference"] == "tie"


def test_what_the_format_cannot_hold_is_reported_on_export(tmp_path, images):
    read_in(tmp_path, [preference_row(1), preference_row(2)], "preference", images)
    path = tmp_path / "out" / "comparisons.jsonl"
    path.write_text(path.read_text().replace('"preferred":"first"', '"preferred":"tie"', 1))
    with pytest.raises(DataError, match="comparison '1' is a tie"):
        export_dataset(tmp_path / "out", tmp_path / "b.json", format_name="llava-rlhf-preference")
    written = export_dataset(
        tmp_path / "out", tmp_path / "b.json", format_name="llava-rlhf-preference", skip_bad=True
    )
    assert [row["id"] for row in json.loads(written.read_text())] == [2]
    with pytest.raises(ConfigError, match=r"ends in \.json"):
        export_dataset(tmp_path / "out", tmp_path / "b.txt", format_name="llava-rlhf-preference")
    with pytest.raises(ConfigError, match="takes no facts"):
        import_dataset(path, tmp_path / "o", format_name="llava-rlhf-conversations", facts=path)


def test_conversations_are_records_of_fine_tuning(tmp_path, images):
    read_in(tmp_path, [conversation_row(1)], "conversations", images)
    (row,) = read_records(tmp_path / "out" / "conversations.jsonl", Conversation)
    assert [(turn.role, turn.text) for turn in row.turns] == [
        ("user", "What is there?"),
        ("assistant", "A bench."),
    ]
    assert row.source == "model"
    found = faults_of(
        tmp_path, [conversation_row(1, conversations=turns("What?", " "))], "conversations", images
    )
    assert "an answer, is empty" in found[0][2]


def test_a_speaker_that_is_not_a_name_is_a_fault_of_its_row():
    from veridical.errors import RowError
    from veridical.formats.llava_rlhf.turns import _turn

    with pytest.raises(RowError, match="turn 1 of `conversations` must be"):
        _turn({"from": ["human"], "value": "What is it?"}, 1)
