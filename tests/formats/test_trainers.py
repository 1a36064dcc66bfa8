"""What other trainers are given: their own layout, and the same pairs when it is read back."""

import json

import pytest
from pyarrow import parquet

from comparison_files import write_comparisons
from correction_files import write_corrections
from veridical.errors import ConfigError
from veridical.feedback.datasets import export_dataset
from veridical.feedback.registry import read_pairs
from veridical.formats.importing import import_dataset
from veridical.formats.registry import find_format
from veridical.records import Correction, read_records

TRAINERS = ["trl", "llama-factory", "ms-swift"]


def texts(rows):
    return [(row.question, row.chosen, row.rejected) for row in rows]


def shown(folder, rows):
    return [(folder / row.image.path).read_bytes() for row in rows]


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("write", [write_corrections, write_comparisons])
def test_pairs_come_back_as_they_were(tmp_path, capsys, name, write):
    source = write(tmp_path / "records")
    pairs = read_pairs(source)
    out = tmp_path / "out" / f"a{find_format(name).suffix}"
    export_dataset(source, out, format_name=name)
    told = capsys.readouterr().err  # what is lost is listed, once for each judgement
    judgements = 12 if write is write_corrections else 6  # ties, too
    assert f"`source` ({judgements} records)" in told
    back = import_dataset(out, tmp_path / "back", format_name=name, judged_by="human")
    rows = read_records(back.path / "corrections.jsonl", Correction)
    assert texts(rows) == texts(pairs)
    assert shown(back.path, rows) == shown(tmp_path, pairs)


def test_trl_gets_messages_with_one_image_part(tmp_path):
    source = write_corrections(tmp_path / "records", count=1)
    out = export_dataset(source, tmp_path / "a.parquet", format_name="trl")
    (row,) = parquet.read_table(out).to_pylist()
    (message,) = row["prompt"]
    assert message["role"] == "user"
    assert [part["type"] for part in message["content"]] == ["image", "text"]
    assert row["chosen"][0]["role"] == row["rejected"][0]["role"] == "assistant"
    assert len(row["images"]) == 1
    features = json.loads(parquet.read_schema(out).metadata[b"huggingface"])["info"]["features"]
    assert features["images"] == [{"_type": "Image"}]


def test_llama_factory_finds_the_file_through_its_dataset_info(tmp_path):
    source = write_corrections(tmp_path / "records", count=1)
    info = tmp_path / "out" / "dataset_info.json"
    info.parent.mkdir()
    info.write_text('{"other": {"file_name": "other.json"}}')
    out = export_dataset(source, tmp_path / "out" / "mine.json", format_name="llama-factory")
    (row,) = json.loads(out.read_text())
    assert row["conversations"][0]["value"].startswith("<image>")
    assert (out.parent / row["images"][0]).is_file()
    entries = json.loads(info.read_text())
    assert list(entries) == ["other", "mine"]
    assert entries["mine"]["ranking"] is True
    assert set(entries["mine"]["columns"].values()) <= row.keys()
    info.write_text("[1]")
    with pytest.raises(ConfigError, match="must be a JSON object"):
        export_dataset(source, tmp_path / "out" / "b.json", format_name="llama-factory")


def test_ms_swift_gets_the_preferred_answer_as_the_last_message(tmp_path):
    source = write_corrections(tmp_path / "records", count=1)
    out = export_dataset(source, tmp_path / "out" / "a.jsonl", format_name="ms-swift")
    row = json.loads(out.read_text())
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
    assert row["messages"][0]["content"].count("<image>") == len(row["images"]) == 1
    assert row["messages"][1]["content"] != row["rejected_response"]
