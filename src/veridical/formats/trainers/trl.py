"""TRL's preference data: Parquet with `prompt`, `chosen`, `rejected` (messages) and `images`.

As `trl-lib/rlaif-v`: contents are lists of parts, an image part stands where the picture goes.
`datasets.load_dataset("parquet", data_files=…)` decodes the images by itself.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veridical.files import JsonObject, atomic_path
from veridical.formats import chat
from veridical.formats.export import Export
from veridical.formats.format import Format
from veridical.formats.trainers.turns import said_of
from veridical.records.texts import IMAGE_MARKER

_ROWS_PER_GROUP = 100

Message = JsonObject
"""Role and content, a list of parts."""


def write(export: Export) -> None:
    """Write the pairs of an export."""
    from pyarrow import RecordBatch, parquet

    schema = _schema()
    with atomic_path(export.out) as temporary:
        with parquet.ParquetWriter(temporary, schema) as writer:
            group: list[JsonObject] = []
            for row in _rows(export):
                group.append(row)
                if len(group) == _ROWS_PER_GROUP:
                    writer.write_batch(RecordBatch.from_pylist(group, schema=schema))
                    group = []
            writer.write_batch(RecordBatch.from_pylist(group, schema=schema))
        export.refuse_faults()


def _rows(export: Export) -> Iterator[JsonObject]:
    for pair in export.each(export.pairs):
        with export.row(pair.id):
            yield {
                "prompt": [_message(role, text) for role, text in said_of(pair)],
                "chosen": [_message("assistant", pair.chosen)],
                "rejected": [_message("assistant", pair.rejected)],
                "images": [
                    {"bytes": export.image_bytes(image), "path": Path(image.path).name}
                    for image in pair.images
                ],
            }


def _message(role: str, text: str) -> Message:
    """A message; the part of a picture stands where its marker was."""
    pieces = text.split(IMAGE_MARKER) if role == "user" else [text]
    parts: list[JsonObject] = []
    for number, piece in enumerate(pieces):
        parts += [{"type": "image", "text": None}] if number else []
        parts += [{"type": "text", "text": piece}] if piece else []
    return {"role": role, "content": parts}


def _schema() -> Any:
    import pyarrow

    part = pyarrow.struct([("type", pyarrow.string()), ("text", pyarrow.string())])
    message = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.list_(part))])
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = [(name, pyarrow.list_(message)) for name in ("prompt", "chosen", "rejected")]
    text = {"dtype": "string", "_type": "Value"}
    talk = [{"role": text, "content": [{"type": text, "text": text}]}]
    features = {name: talk for name, _ in columns} | {"images": [{"_type": "Image"}]}
    schema = pyarrow.schema([*columns, ("images", pyarrow.list_(image))])
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


FORMAT = Format(
    describes="TRL's preference data with images, Parquet",
    read=chat.read,
    write=write,
    suffix=".parquet",
    writes_pairs=True,
    cannot_hold=("segments", "source", "origin"),
)
"""The format."""
