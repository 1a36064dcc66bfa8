"""Datasets of the Hugging Face hub: their published files, fetched into the hub's own cache."""

import re
from pathlib import Path

from veridical.errors import ConfigError
from veridical.extras import missing_package_error
from veridical.formats.sources import table_files

_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<file>.+))?")
_FOLDER = "veridical-datasets"
"""Folder in the hub's cache."""
_ROWS = (".json", ".jsonl", ".csv", ".tsv", ".xlsx")


def is_hub_id(source: str) -> bool:
    """Whether a source names a dataset of the hub: `ORG/NAME`, or `ORG/NAME:FILE`.

    A file or folder of that name comes first.
    """
    return not Path(source).exists() and _ID.fullmatch(source) is not None


def fetch_dataset(source: str) -> Path:
    """Fetch a dataset of the hub, or find it where it was fetched before.

    Args:
        source: `ORG/NAME`, or `ORG/NAME:FILE` where it has several files of rows.

    Returns:
        The folder of its Parquet or Arrow files, or its one file of rows; pictures lie beside it.

    Raises:
        ConfigError: It cannot be fetched, or does not say which file is meant.
        MissingPackageError: `huggingface_hub` is not installed.
    """
    found = _ID.fullmatch(source)
    if found is None:
        raise ConfigError(f"A dataset of the hub is ORG/NAME or ORG/NAME:FILE, got {source!r}.")
    folder = _snapshot(found["repo"])
    if found["file"]:
        file = folder / found["file"]
        if not file.exists() or not file.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"`{found['repo']}` has no file {found['file']!r}: {_names(folder)}.")
        return file
    if table_files(folder):
        return folder
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in _ROWS]
    if len(files) != 1:
        raise ConfigError(
            f"`{found['repo']}` has {len(files)} files of rows: {_names(folder)}. Say which one is"
            f" meant: {found['repo']}:FILE."
        )
    return files[0]


def _names(folder: Path) -> str:
    files = (file for file in sorted(folder.rglob("*")) if file.suffix.lower() in _ROWS)
    return ", ".join(str(file.relative_to(folder)) for file in files) or "none"


def _snapshot(repo: str) -> Path:
    try:
        from huggingface_hub import constants, snapshot_download
    except ImportError as error:
        missing = missing_package_error("huggingface_hub", purpose="A dataset of the hub")
        raise missing or error from error
    # Files of their own, not links into the cache's blobs, which would lead out of the folder.
    folder = Path(constants.HF_HUB_CACHE) / _FOLDER / repo.replace("/", "--")
    try:
        return Path(snapshot_download(repo, repo_type="dataset", local_dir=folder))
    except Exception as error:  # its errors are those of several HTTP libraries
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(
            f"There is no file or folder `{repo}`, and the dataset of that name cannot be fetched"
            f" from the hub: {reason}. Check the name, the network and `hf auth login`."
        ) from error
