"""VTI (arXiv 2410.15778): demonstrations with and without hallucination, JSON lines.

`experiments/data/hallucination_vti_demos.jsonl`: `image` (a COCO training picture), `question`,
`value` (the description), `h_value` (the same with things that usually occur together).
"""

from veridical.formats.format import Format, RowFields, Sample
from veridical.formats.pairs import PairFields, pair_reader
from veridical.formats.text import join_origin
from veridical.records.texts import MISSING


def fields(row: RowFields) -> PairFields:
    """Find the fields of one row."""
    made_of = {n: row[n] for n in ("co_objects", "uncertain_objects") if row.get(n)}
    return PairFields(
        id=row.get("id"),
        image=row.get("image"),
        question=row.get("question", MISSING),
        chosen=row.get("value", MISSING),
        rejected=row.get("h_value", MISSING),
        origin=join_origin("VTI", made_of)[0],
        names=("question", "value", "h_value"),
    )


def _detects(sample: Sample) -> bool:
    return {"value", "h_value"} <= sample.keys


FORMAT = Format(
    describes="VTI's demonstrations, JSON lines",
    read=pair_reader(fields),
    detects=_detects,
    judged_by="model",
)
"""The format."""
