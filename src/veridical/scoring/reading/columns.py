"""Rows of Parquet and Arrow files, bounded as datasets are."""

from pathlib import Path
from typing import Any

from veridical.errors import DataError, Fault
from veridical.formats.sources.tables import arrow_rows, parquet_rows

_PARQUET = b"PAR1"
COLUMNS = (_PARQUET, b"ARROW1", b"\xff\xff\xff\xff")
"""How Parquet files, Arrow files and Arrow streams begin."""


def read_columns(path: Path, data: bytes) -> list[tuple[int, Any]]:
    """All rows with their numbers, from 1.

    Raises:
        DataError: It is broken, or expands to more than it should.
    """
    rows = list(parquet_rows(path) if data.startswith(_PARQUET) else arrow_rows(path))
    faults = [Fault(path, row.line, row.fault) for row in rows if row.fault is not None]
    if faults:
        raise DataError(faults)
    return [(row.line or 0, row.values) for row in rows]
