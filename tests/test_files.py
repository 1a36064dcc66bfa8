import errno
import json
import os
from pathlib import Path

import pytest

from veridical import files
from veridical.errors import DataError, StorageError


def left_behind(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_write_replaces_the_whole_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.write_text_atomically(path, "one\n")
    assert files.write_text_atomically(path, "ä\n") == path
    assert path.read_bytes() == "ä\n".encode()
    assert left_behind(path.parent) == ["a.txt"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = files.write_text_atomically(tmp_path / "a.txt", "old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StorageError, match=r"Cannot write `.*a\.txt`: No space left on device\..*free space"
    ):
        files.write_text_atomically(path, "new")
    assert path.read_text() == "old"
    assert left_behind(tmp_path) == ["a.txt"]


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="only Linux has a device that is always full"
)
def test_a_write_that_the_disk_cuts_off_becomes_a_storage_error(tmp_path):
    with (
        pytest.raises(StorageError, match="No space left on device"),
        files.atomic_path(tmp_path / "a.bin"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert left_behind(tmp_path) == []


def write_half(path):
    with files.atomic_path(path) as temporary:
        assert temporary.suffix == path.suffix  # writers choose the format by it
        temporary.write_bytes(b"half")
        raise ZeroDivisionError


def test_a_failed_body_leaves_nothing_and_its_error_passes(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_half(tmp_path / "a.png")
    assert left_behind(tmp_path) == []


def test_an_error_about_another_file_names_that_file(tmp_path):
    with (
        pytest.raises(StorageError, match=r"No such file or directory \(`.*input\.png`\)"),
        files.atomic_path(tmp_path / "a.png"),
    ):
        (tmp_path / "input.png").read_bytes()


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write"):
        files.write_text_atomically(tmp_path / "file" / "a.txt", "x")


def test_permissions_follow_the_users_umask(tmp_path):
    old = os.umask(0o077)
    try:
        path = files.write_text_atomically(tmp_path / "secret", "x")
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json_atomically(tmp_path / "a.json", {"x": float("nan")})
    assert left_behind(tmp_path) == []
    files.write_json_atomically(tmp_path / "a.json", {"ä": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ä": [1, None]}


def test_hashes_depend_on_names_and_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = (  # sha256("abc"), FIPS 180-2
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert files.hash_bytes(b"abc") == files.hash_file(tmp_path / "a") == known
    before = files.hash_folder(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    after = files.hash_folder(tmp_path)
    assert before != after
    (tmp_path / "b").write_bytes(b"abd")
    assert files.hash_folder(tmp_path) != after


def test_jsonl_rows_keep_their_line_numbers(tmp_path):
    path = tmp_path / "a.jsonl"
    # byte order mark, CRLF, a blank line, a line separator inside a string, no newline at the end
    path.write_bytes('\ufeff{"a": 1}\r\n\r\n{"a": "x\u2028y"}\n{"a": 3}'.encode())
    rows = list(files.read_jsonl_rows(path))
    assert [(r.line, r.value, r.fault) for r in rows] == [
        (1, {"a": 1}, None),
        (3, {"a": "x\u2028y"}, None),
        (4, {"a": 3}, None),
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            '{"a": 1',
            "not valid JSON: Expecting ',' delimiter at column 8, got '{\"a\": 1'. Fix the line.",
        ),
        ('{"a": NaN}', "not valid JSON: NaN is not a JSON number"),
        ("[" * 100_000, "JSON nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON: Exceeds the limit"),
    ],
)
def test_a_bad_line_is_a_row_with_a_fault_and_the_next_is_read(tmp_path, line, fault):
    path = tmp_path / "a.jsonl"
    path.write_text(line + '\n{"b": 2}\n')
    bad, good = files.read_jsonl_rows(path)
    assert bad.line == 1
    assert bad.raw == line
    assert fault in bad.fault
    assert good.value == {"b": 2}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_is_not_utf8_names_line_and_byte(tmp_path, mark):
    path = tmp_path / "a.jsonl"
    path.write_bytes(mark + b'{"a": 1}\n{"a": "\xe4"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: not UTF-8 \(byte 0xe4\)"):
        list(files.read_jsonl_rows(path))


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        list(files.read_jsonl_rows(tmp_path / "a.jsonl"))
    with pytest.raises(StorageError, match="Cannot read"):
        files.read_bytes(tmp_path / "a.jsonl")


def test_bad_rows_are_kept_and_their_number_is_logged(tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    target = files.quarantine_rows(path, [(3, '{"ä"', "no JSON."), (5, "", "empty.")])
    assert target == tmp_path / "a.bad.jsonl"
    first = json.loads(target.read_text(encoding="utf-8").splitlines()[0])
    assert first == {"file": str(path), "line": 3, "fault": "no JSON.", "row": '{"ä"'}
    assert f"2 bad rows of {path} left out, kept in {target}" in capsys.readouterr().err
