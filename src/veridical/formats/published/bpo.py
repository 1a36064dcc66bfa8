"""BPO (arXiv 2403.08730): answers of the dataset against weakened ones, JSON.

`renjiepi/BPO`: `prompt`, `image`, `completions`, each with `response` and `score`; every two with
different scores are a pair, as in the original's trainer.
"""

from collections.abc import Mapping

from veridical.errors import RowError
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.published.ranked import Scored, read_ranked
from veridical.records.folders import Contents
from veridical.records.texts import MISSING, shown


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one row.

    Raises:
        RowError: All that is wrong with it.
    """
    value = row.get("completions")
    if not isinstance(value, list) or not all(isinstance(answer, Mapping) for answer in value):
        raise RowError(f"`completions` must be a list of answers, got {shown(value)}. Fix the row.")
    answers = [
        Scored(answer.get("response", MISSING), str(answer.get("type") or ""), _score(answer))
        for answer in value
    ]
    question = row.get("prompt", MISSING)
    record_id = reader.id(row.get("id"))
    return read_ranked(record_id, row.get("image"), question, answers, reader, origin="BPO")


def _score(answer: Mapping[str, object]) -> float | None:
    score = answer.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return float(score)


def _detects(sample: Sample) -> bool:
    return {"completions", "prompt", "image"} <= sample.keys and "models" not in sample.keys


FORMAT = Format(
    describes="BPO's scored answers, JSON", read=read, detects=_detects, judged_by="model"
)
"""The format."""
