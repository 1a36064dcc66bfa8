"""The RLHF-V dataset as first released in 2023: a tab-separated file without header.

Seven columns: name, image (base64), texts (base64 of the JSON list [question, chosen, rejected],
perhaps followed by cached log-probabilities), dataset, meta (base64 of JSON), index, image id. The
file's name ends in the number of its rows (`RLHF-V-Dataset-1401.tsv`), which shows a download that
broke off.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from veridical.errors import RowError
from veridical.formats.format import Format, RowFields, Sample
from veridical.formats.pairs import PairFields, pair_reader
from veridical.formats.sources import SourceRow, tsv_rows
from veridical.formats.sources.row_images import from_base64
from veridical.formats.text import join_origin, parse_json_cell

_FIRST_LINE = re.compile(rb"[^\t\n]*\t[A-Za-z0-9+/=]{40,}(\t|$)")
"""A name, then an image in base64: other tables begin with the names of their columns."""
_COLUMNS = ("name", "image", "texts", "dataset", "meta", "index", "image_id")


def rows(source: Path) -> Iterator[SourceRow]:
    """Rows of the file."""
    return tsv_rows(source, columns=_COLUMNS, check=_check_count)


def fields(row: RowFields) -> PairFields:
    """Find the fields of one row."""
    row.skip("name", "image_id")  # the dataset's own name, and that of the image
    texts = parse_json_cell(_decode_text(row["texts"], "texts"), "texts", list)
    if len(texts) < 3:
        raise RowError(
            f"`texts` must list question, chosen and rejected, got {len(texts)} items. Fix the row."
        )
    meta = _decode_text(row["meta"], "meta") if row["meta"] else None
    origin, own = join_origin(row["dataset"], meta)
    return PairFields(
        id=row["index"],
        image=_decode(row["image"], "image"),
        question=texts[0],
        chosen=texts[1],
        rejected=texts[2],
        origin=origin,
        own=own,
    )


def _decode(text: str, name: str) -> bytes:
    return from_base64(text, what=f"`{name}`", remedy="Download the file again.")


def _decode_text(text: str, name: str) -> str:
    try:
        return _decode(text, name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowError(
            f"`{name}` is not UTF-8: {error.reason}. Download the file again."
        ) from error


def _check_count(file: Path, number: int) -> str | None:
    named = re.search(r"-(\d+)$", file.stem)
    if named is None or int(named[1]) == number:
        return None
    return (
        f"the file's name says {named[1]} rows, got {number}. Download it again, or rename it if"
        " that is all there should be."
    )


def _detects(sample: Sample) -> bool:
    return sample.path.suffix == ".tsv" and _FIRST_LINE.match(sample.head) is not None


FORMAT = Format(
    describes="RLHF-V of 2023, tab-separated",
    rows=rows,
    read=pair_reader(fields, already_right=True),
    detects=_detects,
    judged_by="human",
)
"""The format."""
