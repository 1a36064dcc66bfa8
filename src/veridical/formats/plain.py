"""Plain pairs: one JSON object (or Parquet row) with image, prompt, chosen and rejected.

The customised-data format of VL-RLHF and of many hub copies. `question` is taken for `prompt`,
`idx` for `id`. The image is a path inside the data set's folder (JSON) or bytes (Parquet).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from veridical.formats.fields import Fields, join_origin
from veridical.formats.sources import SourceRow, table_rows


def rows(source: Path) -> Iterator[SourceRow]:
    """Rows of a JSON array, JSON lines or Parquet."""
    return table_rows(source, columns=("image", "chosen", "rejected"))


def fields(row: Mapping[str, Any]) -> Fields:
    """Read one row."""
    origin, own = join_origin(row.get("origin"), None)
    return Fields(
        id=_first(row, ("id", "idx")),
        image=row.get("image"),
        question=_first(row, ("prompt", "question")),
        chosen=row.get("chosen"),
        rejected=row.get("rejected"),
        origin=origin,
        own=own,
    )


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
