"""Every format gives the same correction for the same content."""

import json

import pytest

from foreign_data import (
    CHOSEN,
    QUESTION,
    REJECTED,
    chat_row,
    image_bytes,
    plain_row,
    rlaif_v_row,
    rlhf_v_row,
    tsv_line,
    write_jsonl,
    write_parquet,
)
from veridical.formats.importing import import_dataset
from veridical.formats.registry import detect_format, find_format
from veridical.records import Correction, read_records


def make_rlhf_v(folder):
    return write_parquet(folder / "a.parquet", [rlhf_v_row(n) for n in range(3)])


def make_rlhf_v_parsed_text(folder):
    texts = {"question": QUESTION, "chosen": CHOSEN, "rejected": REJECTED}
    return write_parquet(folder / "a.parquet", [rlhf_v_row(n) | {"text": texts} for n in range(3)])


def make_rlaif_v(folder):
    (folder / "data").mkdir()
    write_parquet(folder / "data" / "train-0.parquet", [rlaif_v_row(0), rlaif_v_row(1)])
    write_parquet(folder / "data" / "train-1.parquet", [rlaif_v_row(2)])
    return folder


def make_tsv(folder):
    path = folder / "RLHF-V-Dataset-3.tsv"
    path.write_text("\n".join(tsv_line(n) for n in range(3)) + "\n")
    return path


def make_trl(folder):
    return write_parquet(folder / "a.parquet", [chat_row(n) for n in range(3)])


def make_trl_plain_strings(folder):
    (folder / "0.jpg").write_bytes(image_bytes(kind="JPEG"))
    rows = [
        {
            "images": ["0.jpg"],
            "prompt": f"<image>\n{QUESTION}",
            "chosen": CHOSEN,
            "rejected": REJECTED,
        }
    ] * 3
    return write_jsonl(folder / "a.jsonl", rows)


def make_trl_implicit_prompt(folder):
    (folder / "0.jpg").write_bytes(image_bytes(kind="JPEG"))
    head = {"role": "user", "content": QUESTION}
    sides = {
        name: [head, {"role": "assistant", "content": text}]
        for name, text in (("chosen", CHOSEN), ("rejected", REJECTED))
    }
    return write_jsonl(folder / "a.jsonl", [{"images": ["0.jpg"], **sides}] * 3)


def make_llama_factory(folder):
    (folder / "0.jpg").write_bytes(image_bytes(kind="JPEG"))
    row = {
        "conversations": [{"from": "human", "value": f"<image>{QUESTION}"}],
        "chosen": {"from": "gpt", "value": CHOSEN},
        "rejected": {"from": "gpt", "value": REJECTED},
        "images": ["0.jpg"],
    }
    path = folder / "a.json"
    path.write_text(json.dumps([row] * 3))
    return path


def make_swift(folder):
    (folder / "0.jpg").write_bytes(image_bytes(kind="JPEG"))
    row = {
        "messages": [
            {"role": "user", "content": f"<image>{QUESTION}"},
            {"role": "assistant", "content": CHOSEN},
        ],
        "rejected_response": REJECTED,
        "images": ["0.jpg"],
    }
    return write_jsonl(folder / "a.jsonl", [row] * 3)


def make_plain_json(folder):
    path = folder / "a.json"
    path.write_text(json.dumps([plain_row(folder, n) for n in range(3)], indent=1))
    return path


def make_plain_jsonl(folder):
    return write_jsonl(folder / "a.jsonl", [plain_row(folder, n) for n in range(3)])


def make_plain_parquet(folder):
    rows = [
        {
            "prompt": QUESTION,
            "image": {"bytes": image_bytes(n), "path": None},
            "chosen": CHOSEN,
            "rejected": REJECTED,
        }
        for n in range(3)
    ]
    return write_parquet(folder / "a.parquet", rows)


@pytest.mark.parametrize(
    ("make", "format_name", "images", "origin"),
    [
        (make_rlhf_v, "rlhf-v", 3, 'coco {"model": "Muffin", "type": "detailed_description"}'),
        (
            make_rlhf_v_parsed_text,
            "rlhf-v",
            3,
            'coco {"model": "Muffin", "type": "detailed_description"}',
        ),
        (make_rlaif_v, "rlaif-v", 3, 'coco {"model": "Muffin", "type": "detailed_description"}'),
        (make_tsv, "rlhf-v-tsv", 3, 'coco {"model": "Muffin"}'),
        (make_trl, "chat", 3, ""),
        (make_trl_plain_strings, "chat", 1, ""),
        (make_trl_implicit_prompt, "chat", 1, ""),
        (make_llama_factory, "chat", 1, ""),
        (make_swift, "chat", 1, ""),
        (make_plain_json, "plain", 3, ""),
        (make_plain_jsonl, "plain", 3, ""),
        (make_plain_parquet, "plain", 3, ""),
    ],
)
def test_a_data_set_is_recognised_and_imported(tmp_path, make, format_name, images, origin):
    (tmp_path / "in").mkdir()
    source, out = make(tmp_path / "in"), tmp_path / "out"
    assert detect_format(source) == format_name
    judged_by = find_format(format_name).judged_by
    result = import_dataset(
        source, out, format_name=format_name, judged_by=None if judged_by else "model"
    )
    assert (result.counts, result.bad_rows) == ({"corrections": 3, "images": images}, 0)
    rows = read_records(result.path / "corrections.jsonl", Correction)
    assert len({row.id for row in rows}) == 3
    assert len({row.prompt_id for row in rows}) == images
    for row in rows:
        assert (row.question, row.chosen, row.rejected, row.origin) == (
            QUESTION,
            CHOSEN,
            REJECTED,
            origin,
        )
        assert row.source == ("human" if format_name.startswith("rlhf-v") else "model")
        assert (out / row.image.path).name.startswith(row.image.sha256)
    assert detect_format(out) == "records"


def test_image_bytes_are_kept_as_they_are(tmp_path):
    data = image_bytes(kind="JPEG")
    source = write_parquet(
        tmp_path / "a.parquet", [rlhf_v_row(image={"bytes": data, "path": "x.png"})]
    )
    (row,) = read_records(
        import_dataset(source, tmp_path / "out", format_name="rlhf-v").path / "corrections.jsonl",
        Correction,
    )
    assert (tmp_path / "out" / row.image.path).read_bytes() == data
    assert row.image.path.endswith(".jpg")  # what it is, not what it was called


def test_a_system_message_is_kept_as_one(tmp_path):
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}]
    (tmp_path / "0.jpg").write_bytes(image_bytes(kind="JPEG"))
    row = {"images": ["0.jpg"], "prompt": prompt, "chosen": CHOSEN, "rejected": REJECTED}
    source = write_jsonl(tmp_path / "a.jsonl", [row])
    path = (
        import_dataset(source, tmp_path / "out", format_name="chat", judged_by="human").path
        / "corrections.jsonl"
    )
    (found,) = read_records(path, Correction)
    assert (found.system, found.question) == ("Be brief.", "What?")
