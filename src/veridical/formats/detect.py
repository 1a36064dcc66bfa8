"""Tell the format of a file or folder by looking at its first rows."""

import re
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

from veridical.errors import ConfigError
from veridical.formats.corrections import RECORDS_FILE
from veridical.formats.sources import table_rows
from veridical.records import folders

Detected = Literal[
    "records",
    "rlhf-v",
    "rlhf-v-tsv",
    "rlaif-v",
    "chat",
    "plain",
    "llava-rlhf-preference",
    "llava-rlhf-prompts",
    "llava-rlhf-conversations",
    "llava-rlhf-facts",
]
"""The name of a public format, or "records": a file or folder that Veridical wrote."""

_CHAT_KEYS = {"messages", "conversations", "images"}
_PAIR_KEYS = {"chosen", "rejected", "rejected_response", "messages", "images"}
_FACTS_START = re.compile(rb'\s*\{\s*"[^"\n]+\.(?:jpe?g|png|webp|gif|bmp)"\s*:\s*\[', re.IGNORECASE)
_HEAD_BYTES = 4096


def records_path(path: Path | str) -> Path:
    """The file of records that a path means: itself, or the one that an import wrote into a folder."""
    path = Path(path)
    return path / RECORDS_FILE if (path / RECORDS_FILE).is_file() else path


def folder_files(path: Path | str) -> list[Path]:
    """Files of records other than corrections in a folder that an import, a collection or the world wrote."""
    path = Path(path)
    return (
        [path / name for name in folders.ALL_FILES if (path / name).is_file()]
        if path.is_dir()
        else []
    )


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
    if path.is_file() and path.suffix == ".json" and _FACTS_START.match(_head(path)):
        return "llava-rlhf-facts"
    if folder_files(path):
        return "records"
    for row in islice(table_rows(path), 20):
        if row.values is not None:
            found = _by_keys(row.values.keys())
            if found is not None:
                return found
        elif row.raw and '"veridical"' in row.raw:
            return "records"
    formats = ", ".join(get_args(Detected)[1:])
    raise ConfigError(
        f"The first rows of `{path}` do not tell its format. Name it with --format; formats:"
        f" {formats}."
    )


def _by_keys(keys: Collection[str]) -> Detected | None:
    names = set(keys)
    if {"output_1", "output_2", "preference"} <= names:
        return "llava-rlhf-preference"
    if "conversations" in names and names & {"caption_type", "length_bonus"}:
        return "llava-rlhf-prompts"
    if "conversations" in names and not names & _PAIR_KEYS:
        return "llava-rlhf-conversations"
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


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)
