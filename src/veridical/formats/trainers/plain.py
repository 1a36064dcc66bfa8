"""Plain pairs: one JSON object (or Parquet row) with image, prompt, chosen and rejected.

The customised-data format of VL-RLHF and of many hub copies. `question` is read as `prompt`, `idx`
as `id`; `annotator`, `seconds`, `segments`, `prompt_id` and `source` are kept where a row has them.
The image is a path inside the dataset's folder (JSON, CSV, TSV, Excel) or bytes (Parquet);
`images` may list several, `history` earlier exchanges, `system` the system message.
"""

from collections.abc import Iterator
from pathlib import Path

from veridical.errors import RowError
from veridical.formats.format import Format, RowFields, Sample
from veridical.formats.pairs import PairFields, own_fields, pair_reader
from veridical.formats.sources import SourceRow, table_rows
from veridical.formats.text import first_of, join_origin
from veridical.records.texts import MISSING, shown


def rows(source: Path) -> Iterator[SourceRow]:
    """Rows of a JSON array, JSON lines or Parquet."""
    return table_rows(source, columns=("image", "chosen", "rejected"))


def fields(row: RowFields) -> PairFields:
    """Find the fields of one row."""
    origin, own = join_origin(row.get("origin"), None)
    named = "prompt" if "prompt" in row or "question" not in row else "question"
    return PairFields(
        id=row["id"] if "id" in row else row.get("idx"),
        image=_images(row),
        question=first_of(row, "prompt", "question"),
        chosen=row.get("chosen", MISSING),
        rejected=row.get("rejected", MISSING),
        origin=origin,
        own={**own, **own_fields(row)},
        names=(named, "chosen", "rejected"),
        history=_history(row),
        system=str(row.get("system") or ""),
    )


def _images(row: RowFields) -> object:
    """The picture, or a list of several; cells of a sheet separate paths by "|"."""
    value = row["images"] if row.peek().get("images") else row.get("image")
    return value.split("|") if isinstance(value, str) and "|" in value else value


def _history(row: RowFields) -> list[tuple[str, str]]:
    value = row.get("history") or []
    if not isinstance(value, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        for pair in value
    ):
        raise RowError(f"`history` must be a list of exchanges, got {shown(value)}. Fix the row.")
    return [(asked, answered) for asked, answered in value]


def _detects(sample: Sample) -> bool:
    return bool(sample.keys & {"image", "chosen", "rejected", "prompt"})


FORMAT = Format(
    describes="image, prompt, chosen, rejected; JSON, JSON lines or Parquet",
    rows=rows,
    read=pair_reader(fields),
    detects=_detects,
)
"""The format."""
