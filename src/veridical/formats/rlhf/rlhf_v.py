"""The RLHF-V dataset as it lies on the hub: Parquet with image bytes and one JSON text per row.

`HaoyeZhang/RLHF-V-Dataset` (equal to `openbmb/RLHF-V-Dataset`), about 5.7k corrections by people,
CC BY-NC 4.0. Columns: `ds_name`, `image` {bytes, path}, `text` (JSON object: question, chosen,
rejected), `origin_dataset`, `origin_split` (JSON: model that answered, type of question), `idx`
(int64), `image_path`. Cached log-probabilities (a fourth key of `text`) belong to one model and are
not read.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from veridical.files import JsonObject, atomic_path
from veridical.formats.export import Export
from veridical.formats.format import Format, RowFields, Sample
from veridical.formats.pairs import PairFields, pair_reader
from veridical.formats.sources import SourceRow, table_rows
from veridical.formats.text import join_origin, parse_json_cell, split_origin
from veridical.records import Correction
from veridical.records.texts import MISSING

COLUMNS = ("image", "text")
"""Columns that a file must have."""
_ROWS_PER_GROUP = 100


def rows(source: Path) -> Iterator[SourceRow]:
    """Rows of the Parquet file, or of a folder of them."""
    return table_rows(source, columns=COLUMNS)


def fields(row: RowFields) -> PairFields:
    """Find the fields of one row."""
    row.skip("ds_name", "image_path")  # the dataset's own name, and that of the image
    texts = parse_json_cell(row.get("text", MISSING), "text", dict)
    origin, own = join_origin(row.get("origin_dataset"), row.get("origin_split"))
    idx = row.get("idx")
    return PairFields(
        id=own.get("id", idx),
        image=row.get("image"),
        question=texts.get("question", MISSING),
        chosen=texts.get("chosen", MISSING),
        rejected=texts.get("rejected", MISSING),
        origin=origin,
        own=own,
    )


def write(export: Export) -> None:
    """Write corrections and their images.

    What the format has no column for (segments with kinds, annotator, ids that are not numbers)
    goes into the JSON of `origin_split` under the key "veridical", which other readers ignore;
    `fields` reads it back.
    """
    with atomic_path(export.out) as temporary:
        _write_parquet(temporary, export)
        export.refuse_faults()


def _write_parquet(path: Path, export: Export) -> None:
    from pyarrow import RecordBatch, parquet

    schema = _schema()
    with parquet.ParquetWriter(path, schema) as writer:
        group: list[JsonObject] = []
        for number, (correction, data) in enumerate(_with_images(export)):
            group.append(_row(number, correction, data))
            if len(group) == _ROWS_PER_GROUP:
                writer.write_batch(RecordBatch.from_pylist(group, schema=schema))
                group = []
        writer.write_batch(RecordBatch.from_pylist(group, schema=schema))


def _with_images(export: Export) -> Iterable[tuple[Correction, bytes]]:
    for correction in export.each(export.contents.corrections):
        with export.row(correction.id):
            yield correction, export.image_bytes(export.only_image(correction))


def _schema() -> Any:
    import pyarrow

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
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _row(number: int, correction: Correction, data: bytes) -> JsonObject:
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


def _detects(sample: Sample) -> bool:
    """An image and a text alone are a caption: in a file of lines it needs a sign of its own."""
    signs = {"ds_name", "idx", "origin_dataset", "origin_split", "image_path"}
    tables = sample.path.suffix not in (".json", ".jsonl", ".csv", ".tsv", ".xlsx")
    return {"image", "text"} <= sample.keys and (tables or bool(sample.keys & signs))


FORMAT = Format(
    describes="RLHF-V on the hub, Parquet",
    rows=rows,
    read=pair_reader(fields, already_right=True),
    detects=_detects,
    judged_by="human",
    write=write,
    suffix=".parquet",
)
"""The format."""
