"""mDPO (arXiv 2406.11839): 10k pairs, of VLFeedback's, as its trainer reads them.

`img_path`, `prompt` (in LLaVA's template), `chosen`, `rejected`. The cropped picture that mDPO also
learns from is made while training and does not stand in the data.
"""

from veridical.formats.format import Format, RowFields, Sample
from veridical.formats.pairs import PairFields, pair_reader
from veridical.records.texts import MISSING


def fields(row: RowFields) -> PairFields:
    """Find the fields of one row."""
    return PairFields(
        id=row.get("id"),
        image=row.get("img_path"),
        question=row.get("prompt", MISSING),
        chosen=row.get("chosen", MISSING),
        rejected=row.get("rejected", MISSING),
        names=("prompt", "chosen", "rejected"),
    )


def _detects(sample: Sample) -> bool:
    return {"img_path", "chosen", "rejected"} <= sample.keys


FORMAT = Format(
    describes="mDPO's pairs, JSON", read=pair_reader(fields), detects=_detects, judged_by="model"
)
"""The format."""
