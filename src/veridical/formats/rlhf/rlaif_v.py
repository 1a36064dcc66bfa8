"""The RLAIF-V dataset: like RLHF-V's Parquet, with question, chosen and rejected as columns.

`openbmb/RLAIF-V-Dataset`, 83k pairs ranked by models (arXiv 2405.17220), so that corrections made
of them are of source "model". `idx` is a string there.
"""

from collections.abc import Iterator
from pathlib import Path

from veridical.formats.format import Format, RowFields, Sample
from veridical.formats.pairs import PairFields, pair_reader
from veridical.formats.sources import SourceRow, table_rows
from veridical.formats.text import join_origin
from veridical.records.texts import MISSING

COLUMNS = ("image", "question", "chosen", "rejected")
"""Columns that a file must have."""


def rows(source: Path) -> Iterator[SourceRow]:
    """Rows of the Parquet file, or of a folder of them."""
    return table_rows(source, columns=COLUMNS)


def fields(row: RowFields) -> PairFields:
    """Find the fields of one row."""
    row.skip("ds_name", "image_path")  # the dataset's own name, and that of the image
    origin, own = join_origin(row.get("origin_dataset"), row.get("origin_split"))
    return PairFields(
        id=row.get("idx"),
        image=row.get("image"),
        question=row.get("question", MISSING),
        chosen=row.get("chosen", MISSING),
        rejected=row.get("rejected", MISSING),
        origin=origin,
        own=own,
    )


def _detects(sample: Sample) -> bool:
    return {"image", "question"} <= sample.keys and bool(sample.keys & {"ds_name", "origin_split"})


FORMAT = Format(
    describes="RLAIF-V on the hub, Parquet",
    rows=rows,
    read=pair_reader(fields),
    detects=_detects,
    judged_by="model",
)
"""The format."""
