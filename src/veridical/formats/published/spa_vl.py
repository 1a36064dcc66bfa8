"""SPA-VL (arXiv 2406.12030): 93k pairs about safety, `sqrti/SPA-VL` on the hub, Parquet.

`image`, `question`, `chosen`, `rejected`, `image_name`; the validation split adds the classes of
harm `class1` to `class3`, which stand in the record's origin.
"""

from veridical.formats.format import Format, RowFields, Sample
from veridical.formats.pairs import PairFields, pair_reader
from veridical.formats.text import join_origin
from veridical.records.texts import MISSING

_CLASSES = ("class1", "class2", "class3")


def fields(row: RowFields) -> PairFields:
    """Find the fields of one row."""
    row.skip("image_name")  # the picture's own
    harm = {name: row[name] for name in _CLASSES if row.get(name)}
    return PairFields(
        id=row.get("id"),
        image=row.get("image"),
        question=row.get("question", MISSING),
        chosen=row.get("chosen", MISSING),
        rejected=row.get("rejected", MISSING),
        origin=join_origin("SPA-VL", harm)[0],
    )


def _detects(sample: Sample) -> bool:
    named = bool(sample.keys & {"image_name", *_CLASSES})
    return {"image", "question", "chosen", "rejected"} <= sample.keys and named


FORMAT = Format(
    describes="SPA-VL on the hub, Parquet",
    read=pair_reader(fields),
    detects=_detects,
    judged_by="model",
)
"""The format."""
