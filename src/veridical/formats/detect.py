"""Tell the format of a file or folder by looking at its first rows."""

from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import Literal

from veridical.errors import ConfigError
from veridical.formats.corrections import FORMATS, RECORDS_FILE
from veridical.formats.sources import table_rows

Detected = Literal["records", "rlhf-v", "rlhf-v-tsv", "rlaif-v", "chat", "plain"]
"""A key of `FORMATS`, or "records": a file that Veridical wrote."""

_CHAT_KEYS = {"messages", "conversations", "images"}


def records_path(path: Path | str) -> Path:
    """The file of records that a path means: itself, or the one that an import wrote into a folder."""
    path = Path(path)
    return path / RECORDS_FILE if (path / RECORDS_FILE).is_file() else path


def detect_format(path: Path | str) -> Detected:
    """Tell the format of a source.

    Raises:
        ConfigError: There is no such file, or no row tells its format.
    """
    path = records_path(path)
    if not path.exists():
        raise ConfigError(f"There is no file or folder `{path}`. Check the path.")
    if path.suffix == ".tsv":
        return "rlhf-v-tsv"
    for row in islice(table_rows(path), 20):
        if row.values is not None:
            found = _by_keys(row.values.keys())
            if found is not None:
                return found
        elif row.raw and '"veridical"' in row.raw:
            return "records"
    raise ConfigError(
        f"The first rows of `{path}` do not tell its format. Name it with --format; formats: {', '.join(FORMATS)}."
    )


def _by_keys(keys: Collection[str]) -> Detected | None:
    names = set(keys)
    if names & {"veridical", "prompt_id"}:
        return "records"
    if names & _CHAT_KEYS:
        return "chat"
    if {"image", "text"} <= names:
        return "rlhf-v"
    if {"image", "question", "ds_name"} <= names or {"image", "question", "origin_split"} <= names:
        return "rlaif-v"
    if names & {"image", "chosen", "rejected", "prompt"}:
        return "plain"
    return None
