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
from veridical.formats.registry import find_format
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


_SAID = st.text(st.sampled_from("ab é.\U0001f600 "), min_size=1, max_size=8).map(str.strip)
_WORDS = _SAID.filter(bool)


@st.composite
def _asked(draw, *, images):
    """What may be asked: earlier turns, a system message, pictures before the first turn."""
    turns = draw(st.lists(st.tuples(_WORDS, _WORDS), max_size=2))
    return {
        "history": tuple(turns),
        "system": draw(st.just("") | _WORDS),
        "question": draw(_WORDS),
        "image": ImageRef(path="0.png"),
        "more_images": tuple(ImageRef(path="1.png") for _ in range(draw(st.integers(0, images)))),
    }


@pytest.mark.parametrize(
    ("name", "images"),
    [("rlhf-v", 0), ("label-studio", 0), ("trl", 1), ("llama-factory", 1), ("ms-swift", 1)],
)
def test_every_written_format_gives_back_what_it_can_hold(tmp_path_factory, name, images):
    folder = tmp_path_factory.mktemp("round")
    for number in range(2):
        (folder / f"{number}.png").write_bytes(image_bytes(number))

    @settings(max_examples=15, deadline=None)
    @given(_asked(images=images), _WORDS, _WORDS)
    def check(asked, rejected, chosen):
        if chosen.split() == rejected.split():
            return
        made = {"id": "7", "prompt_id": "p", "source": "human"}
        row = Correction(**made, **asked, rejected=rejected, chosen=chosen)
        records = write_records(folder / "corrections.jsonl", [row], kind="Correction")
        out = folder / "out" / f"a{find_format(name).suffix}"
        export_dataset(records, out, format_name=name)
        back = import_dataset(out, folder / "back", format_name=name, judged_by="human").path
        (found,) = read_records(back / "corrections.jsonl", Correction)
        for field in ("history", "system", "question", "rejected", "chosen"):
            assert getattr(found, field) == getattr(row, field), field
        assert len(found.images) == len(row.images)

    check()


def test_what_a_row_cannot_say_is_a_fault(tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(image_bytes(number))
    images = {"image": ImageRef(path="0.png"), "more_images": (ImageRef(path="1.png"),)}
    made = {"id": "7", "prompt_id": "p", "source": "human", "question": "What differs?"}
    row = Correction(**made, **images, rejected="A.", chosen="B.")
    records = write_records(tmp_path / "corrections.jsonl", [row], kind="Correction")
    for name in ("rlhf-v", "label-studio"):
        with pytest.raises(DataError, match="it is about 2 images"):
            export_dataset(records, tmp_path / f"a{find_format(name).suffix}", format_name=name)
