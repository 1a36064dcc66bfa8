"""One conversation or pair, in the spellings that other projects' files have, read as it is."""

import base64
import json

import pytest

from foreign_data import image_bytes, write_jsonl
from veridical.feedback.datasets import export_dataset
from veridical.formats.importing import check_data, import_dataset
from veridical.formats.registry import detect_format
from veridical.records import Conversation, Correction, read_records

ASKED, ANSWERED, AGAIN, LAST = "What is it?", "A cup.", "Which colour?", "Red."


PICTURE = image_bytes(0)
DATA = base64.b64encode(PICTURE).decode()


@pytest.fixture
def imported(tmp_path):
    """Import rows in the format that is recognised; gives the folder of records."""
    (tmp_path / "0.png").write_bytes(PICTURE)
    (tmp_path / "1.png").write_bytes(image_bytes(1))

    def read(*rows):
        source = write_jsonl(tmp_path / "rows.jsonl", list(rows))
        out = tmp_path / "out"
        import_dataset(source, out, format_name=detect_format(source), judged_by="human")
        return out

    return read


def message(role, *parts):
    return {"role": role, "content": list(parts)}


def text(said, name="text"):
    return {"type": "text", name: said}


TALKS = {
    "LLaVA": {
        "image": "0.png",
        "conversations": [
            {"from": "human", "value": f"<image>\n{ASKED}"},
            {"from": "gpt", "value": ANSWERED},
        ],
    },
    "LLaVA's turns under other names": {
        "image": "0.png",
        "conversations": [
            {"from": "user", "value": f"<image>\n{ASKED}"},
            {"from": "assistant", "value": ANSWERED},
        ],
    },
    "a list of one picture": {
        "image": ["0.png"],
        "conversations": [
            {"from": "human", "value": f"<image>\n{ASKED}"},
            {"from": "gpt", "value": ANSWERED},
        ],
    },
    "ShareGPT": {"images": ["0.png"], "conversation": [{"human": ASKED, "assistant": ANSWERED}]},
    "a picture inside the text (Qwen-VL)": {
        "query": f"Picture 1: <img>0.png</img>\n{ASKED}",
        "response": ANSWERED,
    },
    "ms-swift, base64": {
        "messages": [
            {"role": "user", "content": f"<image>{ASKED}"},
            {"role": "assistant", "content": ANSWERED},
        ],
        "images": [f"data:image/png;base64,{DATA}"],
    },
    "OpenAI": {
        "messages": [
            message(
                "user",
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
                text(ASKED),
            ),
            message("assistant", text(ANSWERED)),
        ]
    },
    "Anthropic": {
        "messages": [
            message(
                "user",
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": DATA},
                },
                text(ASKED),
            ),
            message("assistant", text(ANSWERED)),
        ]
    },
    "LLaMA-Factory's next version": {
        "messages": [
            message("user", {"type": "image_url", "value": "0.png"}, text(ASKED, "value")),
            message("assistant", text(ANSWERED, "value")),
        ]
    },
    "bytes as base64 beside a path": {
        "messages": [
            {"role": "user", "content": f"<image>{ASKED}"},
            {"role": "assistant", "content": ANSWERED},
        ],
        "images": [{"bytes": DATA, "path": "elsewhere.png"}],
    },
}


@pytest.mark.parametrize("row", TALKS.values(), ids=TALKS)
def test_a_conversation_in_any_spelling_is_the_same(imported, row):
    folder = imported(row)
    (talk,) = read_records(folder / "conversations.jsonl", Conversation)
    assert [turn.text for turn in talk.turns] == [ASKED, ANSWERED]
    assert (folder / talk.image.path).read_bytes() == PICTURE


def two_talks(chosen, rejected, **more):
    def turns(answers):
        names = ("human", "gpt")
        said = [f"<image>\n{ASKED}", answers[0], AGAIN, answers[1]]
        return [{"from": names[n % 2], "value": words} for n, words in enumerate(said)]

    sides = {"conversations": turns(chosen), "rejected_conversations": turns(rejected)}
    return {"id": "r1", "image": "0.png", **sides, **more}


def test_answers_that_differ_in_several_turns_are_a_pair_each(imported):
    """The second stands after the preferred first."""
    row = two_talks((ANSWERED, LAST), ("A dog.", "Blue."))
    first, second = read_records(imported(row) / "corrections.jsonl", Correction)
    assert (first.id, first.question, first.chosen, first.rejected) == (
        "r1#1",
        ASKED,
        ANSWERED,
        "A dog.",
    )
    assert (second.id, second.question, second.chosen, second.rejected) == (
        "r1#2",
        AGAIN,
        LAST,
        "Blue.",
    )
    assert second.history == ((ASKED, ANSWERED),)


def test_one_answer_that_differs_is_one_pair(imported):
    row = two_talks((ANSWERED, LAST), (ANSWERED, "Blue."))
    (pair,) = read_records(imported(row) / "corrections.jsonl", Correction)
    assert (pair.id, pair.chosen, pair.rejected) == ("r1", LAST, "Blue.")


def test_whole_conversations_of_both_sides_share_their_head(imported):
    """As LLaMA-Factory's next version has them; usual weights of the loss say nothing."""

    def side(answer):
        asked = [{"type": "image_url", "value": "0.png"}, text(ASKED, "value")]
        return [
            {"role": "system", "content": [text("Be brief.", "value")], "loss_weight": 0.0},
            {"role": "user", "content": asked, "loss_weight": 0.0},
            {"role": "assistant", "content": [text(answer, "value")], "loss_weight": 1.0},
        ]

    row = {"chosen_messages": side(ANSWERED), "rejected_messages": side("A dog.")}
    (pair,) = read_records(imported(row) / "corrections.jsonl", Correction)
    assert (pair.system, pair.question, pair.chosen) == ("Be brief.", ASKED, ANSWERED)


def test_messages_without_any_sign_of_a_picture_are_about_text_and_counted(imported, capfd):
    said = [{"from": "human", "value": ASKED}]
    row = {
        "conversations": said,
        "chosen": {"from": "gpt", "value": ANSWERED},
        "rejected": {"from": "gpt", "value": "A dog."},
    }
    (pair,) = read_records(imported(row) / "corrections.jsonl", Correction)
    assert pair.images == ()
    assert "About no picture, text alone: 1 row" in capfd.readouterr().err


def test_what_messages_hold_besides_is_listed(imported, capfd):
    row = {
        "messages": [
            {"role": "user", "content": f"<image>{ASKED}"},
            {"role": "assistant", "content": ANSWERED, "loss": False},
        ],
        "images": ["0.png"],
    }
    imported(row)
    assert "`messages[].loss` (1 row)" in capfd.readouterr().err


def test_llava_rows_about_several_pictures_go_in_and_out(imported, tmp_path):
    row = {
        "id": "7",
        "image": ["0.png", "1.png"],
        "conversations": [
            {"from": "human", "value": f"{ASKED} <image> And this? <image>"},
            {"from": "gpt", "value": ANSWERED},
        ],
    }
    folder = imported(row)
    (before,) = read_records(folder / "conversations.jsonl", Conversation)
    written = tmp_path / "llava.json"
    export_dataset(folder, written, format_name="llava-rlhf-conversations")
    import_dataset(
        written,
        tmp_path / "again",
        format_name="llava-rlhf-conversations",
        images_root=tmp_path / "images",
    )
    (after,) = read_records(tmp_path / "again" / "conversations.jsonl", Conversation)
    assert after.turns == before.turns
    assert [image.sha256 for image in after.images] == [image.sha256 for image in before.images]


SAID = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"messages": SAID, "videos": ["a.mp4"]}, "`videos` holds a video or a sound"),
        ({"messages": SAID, "audios": ["a.wav"]}, "`audios` holds a video or a sound"),
        (
            {
                "messages": [SAID[0], {"role": "assistant", "content": "It is at <bbox>."}],
                "images": ["0.png"],
                "objects": {"ref": [], "bbox": [[1, 2, 3, 4]]},
            },
            "the texts hold <bbox>",
        ),
        ({"messages": SAID, "images": ["data:image/png;base64,%%"]}, "not valid base64"),
        ({"messages": SAID, "images": ["https://a.org/b.png"]}, "the image is a URL"),
    ],
)
def test_what_cannot_be_read_is_refused_and_not_dropped(tmp_path, row, fault):
    (tmp_path / "0.png").write_bytes(PICTURE)
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps(row) + "\n")
    (found,) = check_data(source, format_name="chat")
    assert fault in found.message
    assert found.line == 1
