import json

import pytest

from foreign_data import image_bytes, rlhf_v_row, write_jsonl, write_parquet
from veridical.errors import DataError
from veridical.feedback.record_files import check_records, read_corrections
from veridical.formats.importing import import_dataset
from veridical.records import Correction


@pytest.fixture
def records(tmp_path):
    """Three good corrections on disk."""
    source = write_parquet(tmp_path / "a.parquet", [rlhf_v_row(n) for n in range(3)])
    return (
        import_dataset(source, tmp_path / "data", format_name="rlhf-v").path / "corrections.jsonl"
    )


def change_row(path, number, **changes):
    lines = path.read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    path.write_text("\n".join(lines) + "\n")


def test_an_import_has_no_fault(records):
    assert check_records(records, Correction) == []
    assert [row.id for row in read_corrections(records)] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"chosen": ""}, "`chosen` is empty"),
        ({"chosen": "A <image>."}, "`chosen` holds the image placeholder '<image>'"),
        ({"source": "martian"}, "`source`: "),
        ({"seconds": "3"}, "`seconds`: "),
        ({"id": "0"}, "id '0' stands in line 2 already"),
        ({"image": {"path": "images/none.png"}}, "the image 'images/none.png' is missing"),
        ({"image": {"path": "../../x.png"}}, "leads out of the dataset's folder"),
        ({"image": {"path": "corrections.jsonl"}}, "no known image format"),
        (
            {"segments": [{"rejected_span": [0, 900], "chosen_span": [0, 1]}]},
            "segment 1 ends at 900 of the rejected",
        ),
        (
            {"segments": [{"rejected_span": [3, 1], "chosen_span": [0, 1]}]},
            "rejected_span must be 0 <= start <= end",
        ),
        (
            {"segments": [{"rejected_span": [0, 1], "chosen_span": [0, 1]}]},
            "the text after the last segment differs",
        ),
    ],
)
def test_each_fault_is_reported_with_its_line(records, changes, told):
    change_row(records, 2, **changes)
    (fault,) = check_records(records, Correction)
    assert (fault.file, fault.line) == (records, 3)
    assert told in fault.message


def test_a_changed_or_broken_image_is_found(records):
    paths = [
        records.parent / json.loads(line)["image"]["path"]
        for line in records.read_text().splitlines()[1:]
    ]
    paths[0].write_bytes(image_bytes(77))
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    faults = check_records(records, Correction)
    assert [fault.line for fault in faults] == [2, 3]
    assert "is not the one that the record means" in faults[0].message
    assert "cannot be decoded" in faults[1].message
    assert check_records(records, Correction, images=False) == []


def test_images_outside_need_a_permission(records, tmp_path):
    (tmp_path / "x.png").write_bytes(image_bytes())
    for path in ("../x.png", str(tmp_path / "x.png")):
        change_row(records, 1, image={"path": path})
        assert "leads out" in check_records(records, Correction)[0].message
        assert check_records(records, Correction, outside=True) == []


def test_whole_files_that_cannot_be_read_are_faults_too(tmp_path):
    assert "no such file" in check_records(tmp_path / "none.jsonl", Correction)[0].message
    assert (
        "holds no record"
        in check_records(write_jsonl(tmp_path / "a.jsonl", []), Correction)[0].message
    )
    wrong = write_jsonl(tmp_path / "b.jsonl", [{"veridical": "Prompt", "schema_version": 1}])
    assert "kind 'Prompt'" in check_records(wrong, Correction)[0].message


def test_all_faults_are_raised_at_once_or_the_rows_put_aside(records, capsys):
    change_row(records, 1, chosen="", image={"path": "none.png"})
    change_row(records, 3, source="martian")
    with pytest.raises(DataError, match="3 faults in the input"):
        read_corrections(records)
    assert [row.id for row in read_corrections(records, skip_bad=True)] == ["1"]
    assert len(records.with_name("corrections.bad.jsonl").read_text().splitlines()) == 2
    assert "2 bad rows" in capsys.readouterr().err
    change_row(records, 2, chosen="")
    with pytest.raises(DataError, match="no usable row"):
        read_corrections(records, skip_bad=True)
