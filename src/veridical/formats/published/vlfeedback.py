"""VLFeedback (arXiv 2312.10665), which Silkie was trained on: four answers, rated by GPT-4V.

`MMInstruction/VLFeedback`: `prompt`, `img_path` (or `image` with bytes), `completions`, each with
`model`, `response` and ratings 1 to 5 of helpfulness, visual faithfulness and ethical
considerations (texts; "N/A" where GPT-4V gave none). As in Silkie's trainer, an answer's score is
the mean of its ratings, and every two answers whose means differ are a pair. The ratings are on a
scale of their own, so that they do not become ours.
"""

from collections.abc import Mapping
from statistics import mean

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
    row.skip("models")  # they stand with the answers
    image = row.get("image") or row.get("img_path")
    answers = [_scored(answer) for answer in _answers(row.get("completions"))]
    question = row.get("prompt", MISSING)
    record_id = reader.id(row.get("id"))
    return read_ranked(record_id, image, question, answers, reader, origin="VLFeedback")


def _answers(value: object) -> list[Mapping[str, object]]:
    """Answers of a list, or of a table of columns, as `datasets` stores sequences."""
    if isinstance(value, Mapping):
        columns = {name: list(cells) for name, cells in value.items()}
        count = max(map(len, columns.values()), default=0)
        value = [{name: cells[n] for name, cells in columns.items()} for n in range(count)]
    if not isinstance(value, list) or not all(isinstance(answer, Mapping) for answer in value):
        raise RowError(f"`completions` must be a list of answers, got {shown(value)}. Fix the row.")
    return value


def _scored(answer: Mapping[str, object]) -> Scored:
    ratings = answer.get("annotations")
    found = []
    for aspect in ratings.values() if isinstance(ratings, Mapping) else ():
        value = aspect.get("Rating") if isinstance(aspect, Mapping) else None
        try:
            found.append(float(str(value)))
        except ValueError:
            return Scored(answer.get("response"), str(answer.get("model") or ""), None)
    score = mean(found) if found else None
    return Scored(answer.get("response"), str(answer.get("model") or ""), score)


def _detects(sample: Sample) -> bool:
    return {"completions", "prompt"} <= sample.keys and bool(sample.keys & {"models", "img_path"})


FORMAT = Format(
    describes="VLFeedback (Silkie): four answers rated by GPT-4V, JSON lines or Parquet",
    read=read,
    detects=_detects,
    judged_by="model",
)
"""The format."""
