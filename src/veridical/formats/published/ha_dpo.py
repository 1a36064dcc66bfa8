"""HA-DPO (arXiv 2311.16839): descriptions and POPE-like questions about Visual Genome pictures.

`juliozhao/hadpo-data`: `desc_data.json` has `image_id` and lists of `chosen` and `rejected`
descriptions; the original draws one of each, under one of four questions. Here the first of both
lists is the pair, the picture's number picks the question, and further ones are listed as not
kept. `pope_data.json` has `question`, `chosen`, `rejected` and `correct`; where the model's
answer was correct the original learns nothing, and neither is a record made. Pictures lie in
`VG_100K` and `VG_100K_2` below the folder of images.
"""

from pathlib import Path

from veridical.errors import RowError
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.pairs import PairFields, read_pair
from veridical.records.folders import Contents
from veridical.records.texts import MISSING, shown

QUESTIONS = (
    "Describe this image in detail.",
    "Take a look at this image and describe what you notice.",
    "Please provide a detailed description of the picture.",
    "Could you describe the contents of this image for me?",
)
"""What the original's trainer asks."""
_FOLDERS = ("VG_100K", "VG_100K_2", ".")


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one row.

    Raises:
        RowError: All that is wrong with it.
    """
    number = row.get("image_id")
    if isinstance(number, bool) or not str(number).isdecimal():
        raise RowError(f"`image_id` must be a number of Visual Genome, got {number!r}. Fix it.")
    if row.get("correct") is True:
        reader.leave_out("the model's answer was correct: nothing to learn from")
        row.skip(*row)
        return Contents()
    described = "question" not in row
    question = QUESTIONS[int(str(number)) % len(QUESTIONS)] if described else row["question"]
    pair = PairFields(
        id=f"{number}" if described else None,
        image=_picture(reader.images_root, str(number)),
        question=question,
        chosen=_first(row, "chosen", reader),
        rejected=_first(row, "rejected", reader),
        origin="HA-DPO",
    )
    return read_pair(pair, reader)


def _first(row: RowFields, name: str, reader: RowReader) -> object:
    value = row.get(name, MISSING)
    if not isinstance(value, list):
        return value
    if not value:
        raise RowError(f"`{name}` must hold a description, got {shown(value)}. Fix the row.")
    if len(value) > 1:
        reader.leave_out(f"further descriptions of `{name}`", count=len(value) - 1)
    return value[0]


def _picture(root: Path, number: str) -> str:
    paths = [f"{folder}/{number}.jpg".removeprefix("./") for folder in _FOLDERS]
    return next((path for path in paths if (root / path).is_file()), paths[0])


def _detects(sample: Sample) -> bool:
    return {"image_id", "chosen", "rejected"} <= sample.keys and not sample.keys & {
        "image",
        "images",
        "prompt",
    }


FORMAT = Format(
    describes="HA-DPO's descriptions and questions, JSON",
    read=read,
    detects=_detects,
    judged_by="model",
)
"""The format."""
