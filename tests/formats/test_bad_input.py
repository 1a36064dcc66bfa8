"""Bad input: each fault told with file, row, what we got and what to do; all of them at once."""

import base64
import io
import json
import tracemalloc

import pytest
from PIL import Image

from foreign_data import (
    CHOSEN,
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
from veridical.errors import ConfigError, DataError
from veridical.formats.importing import check_data, import_dataset
from veridical.formats.registry import detect_format
from veridical.records import Correction, images, read_records


def plain_faults(folder, **changes):
    source = write_jsonl(
        folder / "a.jsonl", [plain_row(folder, 1), plain_row(folder, 2, **changes)]
    )
    return [
        str(fault).replace(f"{folder}/", "") for fault in check_data(source, format_name="plain")
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": "none.png"}, "the image 'none.png' is missing in"),
        ({"image": None}, "the image is missing: bytes or a path expected, got nothing"),
        ({"image": 7}, "the image is missing: bytes or a path expected, got 7"),
        (
            {"image": "../secret.png"},
            "the image path '../secret.png' leads out of the dataset's folder",
        ),
        (
            {"image": "/etc/hostname"},
            "the image path '/etc/hostname' leads out of the dataset's folder",
        ),
        ({"image": "a\0b"}, "cannot be read: "),
        (
            {"image": "https://example.org/a.png"},
            "the image is a URL, got 'https://example.org/a.png'",
        ),
        ({"image": "a.jsonl"}, "the image cannot be decoded: no known image format"),
        ({"chosen": ""}, "`chosen` is empty, got ''"),
        ({"rejected": " \n"}, "`rejected` is empty, got ' \\n'"),
        ({"prompt": ""}, "`prompt` is empty"),
        ({"prompt": None}, "`prompt` must be text, got None"),
        ({"prompt": "<image>"}, "`question` is empty but for the image placeholder"),
        ({"prompt": "<image><image> Same?"}, "the question asks about 2 images"),
        (
            {"chosen": REJECTED},
            "`chosen` equals `rejected`, got 'A cat sits on a red bench.' twice",
        ),
        ({"chosen": ["A dog."]}, "`chosen` must be text, got ['A dog.']"),
        ({"rejected": 3}, "`rejected` must be text, got 3"),
        ({"chosen": "A dog <image>."}, "`chosen` holds the image placeholder '<image>'"),
        (
            {"chosen": "A \ud800 dog."},
            "`chosen` is not valid Unicode: half of a surrogate pair at 2",
        ),
        ({"id": "1"}, "the id '1' stands in a.jsonl:1 already"),
        ({"id": True}, "the id must be a number or a text, got True"),
    ],
)
def test_each_fault_is_reported_with_its_line(tmp_path, changes, told):
    (fault,) = plain_faults(tmp_path, **changes)
    assert fault.startswith("a.jsonl:2: ")
    assert told in fault


def test_all_faults_of_a_row_and_of_a_file_are_reported_at_once(tmp_path):
    assert len(plain_faults(tmp_path, image="none.png", chosen="", rejected=3, id=[])) == 4
    rows = [
        plain_row(tmp_path, 1, chosen=""),
        "{broken",
        plain_row(tmp_path, 3),
        "[1]",
        plain_row(tmp_path, 1),
    ]
    source = write_jsonl(tmp_path / "b.jsonl", rows)
    assert [fault.line for fault in check_data(source, format_name="plain")] == [1, 2, 4]


def test_a_truncated_image_is_found(tmp_path):
    for kind in ("JPEG", "PNG", "WEBP"):
        data = image_bytes(size=64, kind=kind)
        for part in (data[: len(data) // 2], data[: -len(data) // 8], data[:20]):
            source = write_parquet(
                tmp_path / "a.parquet", [rlhf_v_row(image={"bytes": part, "path": None})]
            )
            (fault,) = check_data(source, format_name="rlhf-v")
            assert "the image cannot be decoded" in fault.message, kind


def test_an_image_of_too_many_bytes_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 1000)
    row = plain_row(tmp_path, 1)
    (tmp_path / "1.jpg").write_bytes(b"\xff" * 1001)
    (fault,) = check_data(write_jsonl(tmp_path / "a.jsonl", [row]), format_name="plain")
    assert "the image is too large: 1,001 bytes, at most 1,000 are read" in fault.message
    source = write_parquet(
        tmp_path / "a.parquet", [rlhf_v_row(image={"bytes": b"\xff" * 1001, "path": None})]
    )
    assert "too large: 1,001 bytes" in check_data(source, format_name="rlhf-v")[0].message


@pytest.mark.parametrize("side", [9_000, 20_000])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, side):
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")  # 50 kB that would take 400 MB
    source = write_parquet(
        tmp_path / "a.parquet", [rlhf_v_row(image={"bytes": file.getvalue(), "path": None})]
    )
    tracemalloc.start()
    (fault,) = check_data(source, format_name="rlhf-v")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert fault.message.startswith("the image has more than 67,108,864 pixels")


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret.png").write_bytes(image_bytes())
    folder = tmp_path / "data"
    folder.mkdir()
    row = plain_row(folder, 1, image="link.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (fault,) = check_data(write_jsonl(folder / "a.jsonl", [row]), format_name="plain")
    assert "leads out of the dataset's folder" in fault.message


def test_images_may_lie_in_a_named_folder(tmp_path):
    (tmp_path / "coco").mkdir()
    source = write_jsonl(tmp_path / "a.jsonl", [plain_row(tmp_path / "coco", 1)])
    assert "missing" in check_data(source, format_name="plain")[0].message
    assert check_data(source, format_name="plain", images_root=tmp_path / "coco") == []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"text": "{broken"}, "`text` is not valid JSON: Expecting property name"),
        ({"text": "[1]"}, "`text` must be a JSON object, got [1]"),
        ({"text": None}, "`text` must be JSON as text, got None"),
        ({"text": "{}"}, "`question` is missing"),
        ({"image": None}, "the image is missing"),
        ({"image": {"bytes": b"", "path": None}}, "the image is missing"),
        ({"origin_split": json.dumps({"veridical": {"source": "martian"}})}, "`source`: "),
        (
            {"origin_split": json.dumps({"veridical": {"id": {}}})},
            "the id must be a number or a text, got {}",
        ),
    ],
)
def test_faults_of_rlhf_v_rows(tmp_path, row, told):
    source = write_parquet(tmp_path / "a.parquet", [rlhf_v_row(1, **row)])
    faults = check_data(source, format_name="rlhf-v")
    assert {fault.line for fault in faults} == {1}
    assert told in faults[0].message


def test_faults_of_parquet_files(tmp_path):
    source = write_parquet(tmp_path / "a.parquet", [rlaif_v_row(1)])
    (fault,) = check_data(source, format_name="rlhf-v")
    assert fault.line is None
    assert "the column `text` missing, got `ds_name`" in fault.message
    source.write_bytes(source.read_bytes()[:-50])
    assert "not a readable Parquet file" in check_data(source, format_name="rlhf-v")[0].message
    assert "no such file" in check_data(tmp_path / "none.parquet", format_name="rlhf-v")[0].message
    (tmp_path / "empty").mkdir()
    assert (
        "holds no Parquet file" in check_data(tmp_path / "empty", format_name="rlhf-v")[0].message
    )


def test_damage_inside_a_parquet_file_is_reported_with_the_last_good_row(tmp_path):
    source = write_parquet(
        tmp_path / "a.parquet",
        [rlhf_v_row(n) for n in range(64)],
        row_group_size=16,
        compression="gzip",
    )
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = b"\0" * 4000
    source.write_bytes(data)
    faults = check_data(source, format_name="rlhf-v")
    assert any("not a readable Parquet file after row" in fault.message for fault in faults)
    with pytest.raises(DataError):  # a broken file is no bad row: --skip-bad does not pass over it
        import_dataset(source, tmp_path / "out", format_name="rlhf-v", skip_bad=True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (tsv_line(1).rpartition("\t")[0], "7 tab-separated columns expected, got 6"),
        (tsv_line(1, image="§"), "`image` is not valid base64"),
        (
            tsv_line(1, texts=base64.b64encode(b'["a", "b"]').decode()),
            "must list question, chosen and rejected, got 2",
        ),
        (tsv_line(1, texts=base64.b64encode(b"\xff").decode()), "`texts` is not UTF-8"),
        ("\udcff\t" * 6, "not UTF-8"),
    ],
)
def test_faults_of_tsv_rows(tmp_path, line, told):
    source = tmp_path / "a.tsv"
    source.write_bytes(f"{tsv_line(0)}\n{line}\n".encode("utf-8", "surrogateescape"))
    (fault,) = check_data(source, format_name="rlhf-v-tsv")
    assert fault.line == 2
    assert told in fault.message


def test_a_tsv_that_broke_off_is_reported_by_its_name(tmp_path):
    source = tmp_path / "RLHF-V-Dataset-1401.tsv"
    source.write_text(tsv_line(0) + "\n")
    (fault,) = check_data(source, format_name="rlhf-v-tsv")
    assert fault.message.startswith("the file's name says 1401 rows, got 1.")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images": []}, "`images` must hold one image, got 0"),
        ({"images": None}, "`images` must hold one image, got 0"),
        (
            {"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            "must end with a question of the user",
        ),
        (
            {"prompt": "x", "chosen": [{"role": "user", "content": "a"}]},
            "`chosen` must be one answer of the assistant",
        ),
        (
            {"prompt": "x", "chosen": [{"role": "assistant", "content": [{"type": "video"}]}]},
            "neither text nor image",
        ),
        ({"prompt": "x", "chosen": [{"text": "a"}]}, "must hold messages with role and content"),
        ({"prompt": "x", "chosen": 3}, "`chosen` must be a list of messages, got 3"),
        (
            {"messages": [], "rejected_response": "x"},
            "`messages` must end with the assistant's answer",
        ),
    ],
)
def test_faults_of_chat_rows(tmp_path, changes, told):
    (tmp_path / "0.png").write_bytes(image_bytes())
    source = write_jsonl(tmp_path / "a.jsonl", [chat_row() | {"images": ["0.png"]} | changes])
    (fault,) = check_data(source, format_name="chat")
    assert told in fault.message


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'[{"image": 1},', "not valid JSON"),
        (b'["\xff"]', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'[1, {"image": 3}]', "a row must be a JSON object, got 1"),
    ],
)
def test_faults_of_json_files(tmp_path, data, told):
    source = tmp_path / "a.json"
    source.write_bytes(data)
    assert told in check_data(source, format_name="plain")[0].message


def test_a_failed_import_leaves_nothing_behind_and_an_old_one_in_place(tmp_path):
    good = write_jsonl(tmp_path / "good.jsonl", [plain_row(tmp_path, 1)])
    bad = write_jsonl(
        tmp_path / "bad.jsonl", [plain_row(tmp_path, 2), plain_row(tmp_path, 3, chosen="")]
    )
    with pytest.raises(DataError, match="1 fault in the input"):
        import_dataset(bad, tmp_path / "new", format_name="plain", judged_by="human")
    assert not list((tmp_path / "new").rglob("*.*"))
    import_dataset(good, tmp_path / "old", format_name="plain", judged_by="human")
    before = {path: path.read_bytes() for path in (tmp_path / "old").rglob("*.*")}
    with pytest.raises(DataError):
        import_dataset(bad, tmp_path / "old", format_name="plain", judged_by="human")
    assert {path: path.read_bytes() for path in (tmp_path / "old").rglob("*.*")} == before


def test_skip_bad_keeps_the_bad_rows_beside_the_output_and_counts_them(tmp_path, capsys):
    rows = [
        rlhf_v_row(0),
        rlhf_v_row(1, image=None),
        rlhf_v_row(2, texts={"chosen": ""}),
        rlhf_v_row(3),
    ]
    source = write_parquet(tmp_path / "a.parquet", rows)
    result = import_dataset(source, tmp_path / "out", format_name="rlhf-v", skip_bad=True)
    assert (result.counts["corrections"], result.bad_rows) == (2, 2)
    assert [row.id for row in read_records(result.path / "corrections.jsonl", Correction)] == [
        "0",
        "3",
    ]
    kept = [
        json.loads(line) for line in (tmp_path / "out" / "a.bad.jsonl").read_text().splitlines()
    ]
    assert [(row["line"], row["file"]) for row in kept] == [(2, str(source)), (3, str(source))]
    assert "`chosen` is empty" in kept[1]["fault"]
    assert "<bytes, " in kept[1]["row"]  # the row is there to look at, without its image
    assert "2 bad rows" in capsys.readouterr().err


def test_a_source_without_any_good_row_is_a_fault_even_with_skip_bad(tmp_path):
    source = write_jsonl(tmp_path / "a.jsonl", [plain_row(tmp_path, 1, chosen="")])
    with pytest.raises(DataError, match="no usable row"):
        import_dataset(
            source, tmp_path / "out", format_name="plain", judged_by="human", skip_bad=True
        )


def test_who_judged_must_be_known(tmp_path):
    source = write_jsonl(tmp_path / "a.jsonl", [plain_row(tmp_path, 1)])
    with pytest.raises(ConfigError, match="does not say who judged"):
        import_dataset(source, tmp_path / "out", format_name="plain")
    source = write_parquet(tmp_path / "a.parquet", [rlhf_v_row(1)])
    path = (
        import_dataset(source, tmp_path / "out", format_name="rlhf-v", judged_by="simulated").path
        / "corrections.jsonl"
    )
    assert read_records(path, Correction)[0].source == "simulated"


def test_unknown_formats_and_unrecognised_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no format 'coco'\. Formats: rlhf-v, "):
        import_dataset(tmp_path, tmp_path / "out", format_name="coco")
    with pytest.raises(ConfigError, match="There is no file or folder"):
        detect_format(tmp_path / "none")
    with pytest.raises(ConfigError, match="do not show its format"):
        detect_format(write_jsonl(tmp_path / "a.jsonl", [{"x": CHOSEN}]))


def test_a_large_data_set_is_read_a_row_group_at_a_time(tmp_path):
    noise = [image_bytes(n, size=160) for n in range(4)]  # 75 kB each
    rows = [
        rlhf_v_row(n, image={"bytes": noise[n % 4] + n.to_bytes(4, "big"), "path": None})
        for n in range(400)
    ]
    source = write_parquet(tmp_path / "a.parquet", rows, row_group_size=20, use_dictionary=False)
    del rows
    import pyarrow

    pyarrow.default_memory_pool().release_unused()
    before = pyarrow.total_allocated_bytes()
    tracemalloc.start()
    largest = 0
    from veridical.formats.rlhf import rlhf_v

    for _ in rlhf_v.rows(source):
        largest = max(largest, pyarrow.total_allocated_bytes() - before)
    python = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert source.stat().st_size > 25e6
    assert largest + python < 12e6


def test_a_row_of_thousands_of_fields_is_named_in_short(tmp_path):
    path = tmp_path / "wide.json"
    path.write_text(json.dumps([{f"column {n}" + "x" * 500: 1 for n in range(5_000)}]))
    with pytest.raises(ConfigError, match=r"do not show its format.*and 4,970 more") as raised:
        detect_format(path)
    assert len(str(raised.value)) < 4_000
