"""Rows of two responses to one question about one image, in any format → `Correction`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from veridical.errors import RowError, gather_row_errors
from veridical.files import JsonObject, hash_bytes
from veridical.formats.format import RowFields, RowReader
from veridical.formats.markers import place_markers
from veridical.formats.text import OWN_FIELDS, split_template
from veridical.records import NO_IMAGE, Correction, ImageRef, Source
from veridical.records.folders import Contents
from veridical.records.storage import describe_validation
from veridical.records.texts import clean_text, same_text, shown, text_fault

OTHER_IMAGES = ("rejected_images", "rejected_image", "image_rejected", "chosen_images")
"""Fields with a separate image for one of the responses."""


class PairFields(NamedTuple):
    """One row of any format, unchecked; each value is as in the file, or `MISSING`."""

    id: object
    """Id of the row; None where the format has none."""
    image: object
    """Bytes, a path, or {"bytes": …, "path": …}; a list where there may be several."""
    question: object
    """What was asked."""
    chosen: object
    """The preferred response."""
    rejected: object
    """The other one."""
    origin: str = ""
    """Dataset and model that the row comes from."""
    own: Mapping[str, Any] = {}
    """Fields of our own records that the row has."""
    names: tuple[str, str, str] = ("question", "chosen", "rejected")
    """What the row calls question and responses."""
    history: Sequence[tuple[str, str]] = ()
    """Earlier turns; their markers of images are placed already."""
    system: str = ""
    """The system message."""
    placed: bool = False
    """Whether the question's markers of images are placed already."""


def pair_reader(
    fields: Callable[[RowFields], PairFields], *, already_right: bool = False
) -> Callable[[RowFields, RowReader], Contents]:
    """Make the reader of a format of pairs.

    Args:
        fields: Finds the fields of a row; raises RowError.
        already_right: Equal responses are corrections of what was right already, and are kept;
            otherwise they are a fault, since a preference between equals teaches nothing.
    """

    def read(row: RowFields, reader: RowReader) -> Contents:
        pair = fields(row)
        reader.check(_other_image_fault(row))
        return read_pair(pair, reader, already_right=already_right)

    return read


def read_pair(pair: PairFields, reader: RowReader, *, already_right: bool = False) -> Contents:
    """Check one pair wholly, so that all its faults are found at once, and make its record.

    Raises:
        RowError: All that is wrong with it.
    """
    record_id = reader.id(pair.id)
    reader.check(*_text_faults(pair, already_right=already_right))
    asked = _Asked("", pair.system)
    if isinstance(pair.question, str):
        with gather_row_errors(reader.faults):
            asked = _asked(pair)
    images = [reader.image(image) for image in _as_list(pair.image)]
    reader.stop_on_faults()
    own = {name: pair.own[name] for name in OWN_FIELDS if name in pair.own}
    texts = {"chosen": str(pair.chosen), "rejected": str(pair.rejected)}
    if not own.get("segments"):  # their offsets are those of the texts as they stand
        texts = {name: clean_text(text) for name, text in texts.items()}
    first, *more = images or [NO_IMAGE]
    settings: JsonObject = {
        "id": record_id,
        "source": reader.judged_by,
        "image": first,
        "question": asked.question,
        "origin": pair.origin,
    }
    further = {"more_images": more, "history": tuple(pair.history), "system": asked.system}
    settings |= {name: value for name, value in further.items() if value}
    settings["prompt_id"] = _prompt_id(images, asked.question, pair.history, asked.system)
    judged = {"source": reader.judged_by} if reader.overrule else {}
    try:
        return Contents(corrections=(Correction.model_validate(settings | texts | own | judged),))
    except ValidationError as error:
        raise RowError(f"{describe_validation(error)}. Fix the row.") from error


class _Asked(NamedTuple):
    question: str
    system: str


def _asked(pair: PairFields) -> _Asked:
    """Question and system message, out of a template where they stand in one."""
    if pair.placed or pair.own.get("history"):
        return _Asked(str(pair.question), pair.system)
    split = split_template(str(pair.question))
    (question,) = place_markers([split.question], len(_as_list(pair.image)))
    return _Asked(question, pair.system or split.system)


def _prompt_id(
    images: Sequence[ImageRef], question: str, history: Sequence[tuple[str, str]], system: str
) -> str:
    names = " ".join(image.sha256 or image.path for image in images)
    said = [system, *(text for exchange in history for text in exchange)]
    key = " ".join([names, *filter(None, said), question]).encode("utf-8", "surrogatepass")
    return f"prompt-{hash_bytes(key)[:16]}"


def own_fields(row: RowFields) -> JsonObject:
    """Fields of our own records that a row of plain JSON has under the same names."""
    found: JsonObject = {}
    values = row.peek()
    if isinstance(values.get("annotator"), str | int):
        found["annotator"] = str(row["annotator"])
    for name in ("seconds", "segments", "prompt_id"):
        if values.get(name) is not None:
            found[name] = row[name]
    if values.get("source") in get_args(Source):  # elsewhere "source" names a dataset
        found["source"] = row["source"]
    return found


def _other_image_fault(row: RowFields) -> str | None:
    """Fields of another image for one response: equal ones repeat the row's, others change it."""
    values = row.peek()
    one = values.get("images", values.get("image"))
    for name in OTHER_IMAGES:
        other = values.get(name)
        if other in (None, [], ""):
            continue
        row.skip(name)
        if _as_list(other) != _as_list(one):
            return (
                f"`{name}` is another image than that of the row, got {shown(other)}: the two"
                " responses are about different pictures, which is not a pair of responses to one"
                " prompt. Leave the row out."
            )
    return None


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _text_faults(pair: PairFields, *, already_right: bool) -> list[str]:
    texts = (pair.question, pair.chosen, pair.rejected)
    faults = [
        fault
        for name, text, response in zip(pair.names, texts, (False, True, True), strict=True)
        if (fault := text_fault(text, name, response=response)) is not None
    ]
    equal = not faults and same_text(str(pair.chosen), str(pair.rejected))
    if equal and not already_right:
        faults.append(
            f"`{pair.names[1]}` equals `{pair.names[2]}`, got {shown(pair.chosen)} twice: such a"
            " pair teaches nothing. Leave the row out."
        )
    return faults
