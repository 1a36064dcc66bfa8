"""The RLHF-V data set as it lies on the hub: Parquet with image bytes and one JSON text a row.

`HaoyeZhang/RLHF-V-Dataset` (equal to `openbmb/RLHF-V-Dataset`), about 5.7k corrections by people,
CC BY-NC 4.0. Columns: `ds_name`, `image` {bytes, path}, `text` (JSON object: question, chosen,
rejected), `origin_dataset`, `origin_split` (JSON: model that answered, type of question), `idx`
(int64), `image_path`. Cached log-probabilities (a fourth key of `text`) belong to one model and are
not read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from veridical.files import atomic_path
from veridical.formats.fields import Fields, join_origin, parse_json_cell, split_origin
from veridical.formats.sources import SourceRow, table_rows
from veridical.records import Correction

COLUMNS = ("image", "text")
_ROWS_A_GROUP = 100


def rows(source: Path) -> Iterator[SourceRow]:
    """Rows of the Parquet file, or of a folder of them."""
    return table_rows(source, columns=COLUMNS)


def fields(row: Mapping[str, Any]) -> Fields:
    """Read one row."""
    texts = parse_json_cell(row.get("text"), "text", dict)
    origin, own = join_origin(row.get("origin_dataset"), row.get("origin_split"))
    return Fields(
        id=own.get("id", row.get("idx")),
        image=row.get("image"),
        question=texts.get("question"),
        chosen=texts.get("chosen"),
        rejected=texts.get("rejected"),
        origin=origin,
        own=own,
    )


def write(path: Path, corrections: Iterable[tuple[Correction, bytes]]) -> Path:
    """Write corrections and the bytes of their images in this format.

    What the format has no column for (segments with kinds, annotator, ids that are no numbers) goes
    into the JSON of `origin_split` under the key "veridical", which other readers pass over;
    `fields` reads it back.
    """
    import pyarrow
    from pyarrow import parquet

    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema(
        [
            ("ds_name", pyarrow.string()),
            ("image", image),
            ("text", pyarrow.string()),
            ("origin_dataset", pyarrow.string()),
            ("origin_split", pyarrow.string()),
            ("idx", pyarrow.int64()),
            ("image_path", pyarrow.string()),
        ]
    )
    # `datasets` decodes a column as images only where the file says so.
    features = {
        name: {"dtype": str(schema.field(name).type), "_type": "Value"} for name in schema.names
    }
    features["image"] = {"_type": "Image"}
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    with atomic_path(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        group: list[dict[str, Any]] = []
        for number, (correction, data) in enumerate(corrections):
            group.append(_row(number, correction, data))
            if len(group) == _ROWS_A_GROUP:
                writer.write_batch(pyarrow.RecordBatch.from_pylist(group, schema=schema))
                group = []
        writer.write_batch(pyarrow.RecordBatch.from_pylist(group, schema=schema))
    return path


def _row(number: int, correction: Correction, data: bytes) -> dict[str, Any]:
    own = correction.model_dump(mode="json", exclude_defaults=True)
    if (
        correction.id.isascii()
        and correction.id.isdecimal()
        and str(int(correction.id)) == correction.id
    ):
        number = int(own.pop("id"))
    dataset, meta = split_origin(correction.origin, own)
    texts = {
        "question": correction.question,
        "chosen": correction.chosen,
        "rejected": correction.rejected,
    }
    name = Path(correction.image.path).name
    return {
        "ds_name": "RLHF-V",
        "image": {"bytes": data, "path": name},
        "text": json.dumps(texts, ensure_ascii=False),
        "origin_dataset": dataset,
        "origin_split": meta,
        "idx": number,
        "image_path": name,
    }
