"""MMPR (arXiv 2411.10442): 3M pairs of InternVL's mixed preference optimization, JSON lines.

`OpenGVLab/MMPR`, a file per source: `image` (a path below the unpacked archive; a list of several;
none for questions without a picture), `question` with `<image>` where a picture goes, `chosen`,
`rejected`.
"""

from veridical.formats.format import Format, RowFields
from veridical.formats.pairs import PairFields, pair_reader
from veridical.records.texts import MISSING


def fields(row: RowFields) -> PairFields:
    """Find the fields of one row."""
    row.skip("question_orig", "answer_gt")  # what the question was made of
    image = row.get("image")
    return PairFields(
        id=row.get("id"),
        image=[] if image in (None, "", []) else image,
        question=row.get("question", MISSING),
        chosen=row.get("chosen", MISSING),
        rejected=row.get("rejected", MISSING),
        origin="MMPR",
    )


FORMAT = Format(
    describes="MMPR's pairs (InternVL), JSON lines", read=pair_reader(fields), judged_by="model"
)
"""The format; plain pairs have the same fields, so that it is never recognised."""
