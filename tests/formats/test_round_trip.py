"""RLHF-V Parquet → records → Parquet → records: nothing is lost."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from foreign_data import image_bytes, rlhf_v_row, write_parquet
from veridical.errors import ConfigError, DataError
from veridical.feedback.datasets import export_dataset
from veridical.formats.importing import import_dataset
from veridical.formats.text import join_origin, split_origin
from veridical.records import Correction, ImageRef, Segment, read_records, write_records


def test_an_exported_data_set_equals_the_imported_one(tmp_path):
    source = write_parquet(tmp_path / "a.parquet", [rlhf_v_row(n) for n in range(5)])
    first = import_dataset(source, tmp_path / "one", format_name="rlhf-v")
    exported = export_dataset(first.path, tmp_path / "b.parquet", format_name="rlhf-v")
    for old, new in zip(
        parquet.read_table(source).to_pylist(),
        parquet.read_table(exported).to_pylist(),
        strict=True,
    ):
        assert list(old) == list(new)  # the columns, in the hub's order
        assert json.loads(old["text"]) == json.loads(new["text"])
        assert old["image"]["bytes"] == new["image"]["bytes"]
        assert (old["idx"], old["origin_dataset"]) == (new["idx"], new["origin_dataset"])
        assert json.loads(old["origin_split"]).items() <= json.loads(new["origin_split"]).items()
    second = import_dataset(exported, tmp_path / "two", format_name="rlhf-v")
    assert (second.path / "corrections.jsonl").read_bytes() == (
        first.path / "corrections.jsonl"
    ).read_bytes()


def test_what_the_format_has_no_column_for_comes_back_too(tmp_path):
    (tmp_path / "a.png").write_bytes(image_bytes())
    rows = [
        Correction(
            id="007",
            prompt_id="p",
            source="simulated",
            annotator="ann",
            seconds=3.5,
            image=ImageRef(path="a.png"),
            question="What?",
            rejected="A cat.",
            chosen="A dog.",
            segments=(
                Segment(rejected_span=(2, 5), chosen_span=(2, 5), kind="object", note="sure"),
            ),
            origin="mine",
        )
    ]
    records = write_records(tmp_path / "r.jsonl", rows, kind="Correction")
    exported = export_dataset(records, tmp_path / "b.parquet", format_name="rlhf-v")
    result = import_dataset(exported, tmp_path / "out", format_name="rlhf-v")
    (row,) = read_records(result.path / "corrections.jsonl", Correction)
    assert row.model_copy(update={"image": rows[0].image}) == rows[0]


def test_the_file_says_that_its_images_are_images(tmp_path):
    source = write_parquet(tmp_path / "a.parquet", [rlhf_v_row(1)])
    records = import_dataset(source, tmp_path / "one", format_name="rlhf-v").path
    metadata = parquet.read_schema(
        export_dataset(records, tmp_path / "b.parquet", format_name="rlhf-v")
    ).metadata
    assert json.loads(metadata[b"huggingface"])["info"]["features"]["image"] == {"_type": "Image"}


def test_an_export_with_missing_images_writes_nothing(tmp_path):
    source = write_parquet(tmp_path / "a.parquet", [rlhf_v_row(1), rlhf_v_row(2)])
    records = import_dataset(source, tmp_path / "one", format_name="rlhf-v").path
    for image in (tmp_path / "one" / "images").iterdir():
        image.unlink()
    with pytest.raises(DataError, match="2 faults in the input") as caught:
        export_dataset(records, tmp_path / "b.parquet", format_name="rlhf-v")
    assert "row '1': the image" in str(caught.value)
    assert not (tmp_path / "b.parquet").exists()
    with pytest.raises(ConfigError, match=r"ends in \.parquet"):
        export_dataset(records, tmp_path / "folder", format_name="rlhf-v")


_JSON = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)


@settings(max_examples=200)
@given(
    st.text(max_size=12).filter(lambda text: "{" not in text and not text.endswith(" ")),
    _JSON,
    st.booleans(),
)
def test_origin_columns_come_back(dataset, meta, with_own):
    own = {"prompt_id": "p"} if with_own else {}
    origin, _ = join_origin(dataset, json.dumps(meta))
    columns = split_origin(origin, own)
    assert join_origin(*columns) == (origin, own)


@pytest.mark.parametrize(
    "origin", ["", "coco", "coco {not json", "{}", "a {1: 2}", "text only {", 'x{"a": 1}']
)
def test_any_origin_text_survives(origin):
    assert join_origin(*split_origin(origin, {}))[0] == origin
