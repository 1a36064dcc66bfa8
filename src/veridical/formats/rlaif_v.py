"""The RLAIF-V data set: like RLHF-V's Parquet, with question, chosen and rejected as columns.

`openbmb/RLAIF-V-Dataset`, 83k pairs ranked by models (arXiv 2405.17220), so that corrections made
of them are of source "model". `idx` is a string there.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from veridical.formats.fields import Fields, join_origin
from veridical.formats.sources import SourceRow, table_rows

COLUMNS = ("image", "question", "chosen", "rejected")


def rows(source: Path) -> Iterator[SourceRow]:
    """Rows of the Parquet file, or of a folder of them."""
    return table_rows(source, columns=COLUMNS)


def fields(row: Mapping[str, Any]) -> Fields:
    """Read one row."""
    origin, own = join_origin(row.get("origin_dataset"), row.get("origin_split"))
    texts = {name: row.get(name) for name in ("question", "chosen", "rejected")}
    return Fields(id=row.get("idx"), image=row.get("image"), origin=origin, own=own, **texts)
