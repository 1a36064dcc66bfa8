"""Datasets of the hub are read from its cache; nothing here asks the network."""

import json

import pytest

pytest.importorskip("huggingface_hub")

from huggingface_hub import constants

from foreign_data import plain_row, rlhf_v_row, write_parquet
from veridical.errors import ConfigError
from veridical.formats.importing import import_dataset
from veridical.formats.sources.hub import fetch_dataset, is_hub_id


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts a dataset into a cache of its own, as if it had been fetched."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(name):
        folder = tmp_path / "cache" / "veridical-datasets" / name.replace("/", "--")
        folder.mkdir(parents=True)
        return folder

    return put


def test_parquet_files_of_a_data_set_are_imported(tmp_path, cached):
    folder = cached("acme/feedback") / "data"
    folder.mkdir()
    write_parquet(folder / "train-00000-of-00001.parquet", [rlhf_v_row(n) for n in range(2)])
    found = import_dataset(fetch_dataset("acme/feedback"), tmp_path / "out", format_name="rlhf-v")
    assert found.counts == {"corrections": 2, "images": 2}


def test_of_several_files_one_is_named(tmp_path, cached):
    folder = cached("acme/pairs")
    for name in ("a.json", "b.json"):
        (folder / name).write_text(json.dumps([plain_row(folder, 0)]))
    with pytest.raises(ConfigError, match=r"has 2 files of rows: a\.json, b\.json"):
        fetch_dataset("acme/pairs")
    assert fetch_dataset("acme/pairs:b.json").name == "b.json"
    with pytest.raises(ConfigError, match=r"has no file 'c\.json'"):
        fetch_dataset("acme/pairs:c.json")
    (folder / "a.json").unlink()
    source = fetch_dataset("acme/pairs")
    found = import_dataset(source, tmp_path / "o", format_name="plain", judged_by="human")
    assert found.counts == {"corrections": 1, "images": 1}


def test_what_cannot_be_fetched_is_said(tmp_path, cached, monkeypatch):
    cached("acme/other")
    with pytest.raises(ConfigError, match=r"`acme/none`, and the dataset .* cannot be fetched"):
        fetch_dataset("acme/none")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme" / "none").mkdir(parents=True)
    assert not is_hub_id("acme/none")  # a folder of that name comes first
    assert is_hub_id("acme/other")
    assert not is_hub_id("a.parquet")
