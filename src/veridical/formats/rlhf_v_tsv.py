"""The RLHF-V data set as first released in 2023: a tab-separated file without header.

Seven columns: name, image (base64), texts (base64 of the JSON list [question, chosen, rejected],
maybe with cached log-probabilities behind), data set, meta (base64 of JSON), index, image id. The
file's name ends in the number of its rows (`RLHF-V-Dataset-1401.tsv`), which tells a download that
broke off.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from veridical.formats.fields import Fields, join_origin, parse_json_cell
from veridical.formats.sources import SourceRow, tsv_rows
from veridical.records.images import RowFault

_COLUMNS = ("name", "image", "texts", "dataset", "meta", "index", "image_id")


def rows(source: Path) -> Iterator[SourceRow]:
    """Rows of the file."""
    return tsv_rows(source, columns=_COLUMNS, check=_check_count)


def fields(row: Mapping[str, Any]) -> Fields:
    """Read one row."""
    texts = parse_json_cell(_decode_text(row["texts"], "texts"), "texts", list)
    if len(texts) < 3:
        raise RowFault(
            f"`texts` must list question, chosen and rejected, got {len(texts)} items. Mend the"
            " row."
        )
    origin, own = join_origin(
        row["dataset"], _decode_text(row["meta"], "meta") if row["meta"] else None
    )
    image = _decode(row["image"], "image")
    return Fields(
        id=row["index"],
        image=image,
        question=texts[0],
        chosen=texts[1],
        rejected=texts[2],
        origin=origin,
        own=own,
    )


def _decode(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RowFault(
            f"`{name}` is not valid base64: {error}. Download the file again."
        ) from error


def _decode_text(text: str, name: str) -> str:
    try:
        return _decode(text, name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowFault(
            f"`{name}` is not UTF-8: {error.reason}. Download the file again."
        ) from error


def _check_count(file: Path, number: int) -> str | None:
    told = re.search(r"-(\d+)$", file.stem)
    if told is None or int(told[1]) == number:
        return None
    return (
        f"the file's name tells {told[1]} rows, got {number}. Download it again, or rename it if"
        " that is all there should be."
    )
