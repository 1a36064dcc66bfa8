"""What every format of corrections boils down to, and the checks that all of them share."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from veridical.records.images import RowFault

PLACEHOLDERS = (
    "<image>",
    "<|image|>",
    "<|image_pad|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<image_soft_token>",
    "<start_of_image>",
    "<end_of_image>",
    "<IMG_CONTEXT>",
    "<|image_1|>",
)
"""What models put where the image goes. A question loses it (the chat template sets it), a response
must have none."""

_ENDS = (
    "<|vision_start|>",
    "<|vision_end|>",
    "<end_of_image>",
)  # these come with another placeholder
_OWN_KEY = "veridical"
_OWN_FIELDS = ("prompt_id", "source", "annotator", "seconds", "segments")


class Fields(NamedTuple):
    """One row of any format, unchecked."""

    id: Any
    """Id of the row; None where the format has none."""
    image: Any
    """Bytes, or a path, or {"bytes": …, "path": …}."""
    question: Any
    """What was asked."""
    chosen: Any
    """The preferred response."""
    rejected: Any
    """The other one."""
    origin: str = ""
    """Data set and model that the row comes from."""
    own: Mapping[str, Any] = {}
    """Fields of our own records that a file which we exported carries along."""


def clean_question(question: str) -> str:
    """Take the image placeholder out of a question.

    Raises:
        RowFault: The question has more than one, so it asks about several images.
    """
    found = [sign for sign in PLACEHOLDERS for _ in range(question.count(sign))]
    starts = [sign for sign in found if sign not in _ENDS]
    if len(starts) > 1:
        raise RowFault(
            f"the question asks about {len(starts)} images, got {question[:60]!r}. One image a row"
            " is read."
        )
    if not found:
        return question
    bare = question
    for sign in found:
        bare = bare.replace(sign, "")
    if not bare.strip():
        raise RowFault(
            f"`question` is empty but for the image placeholder, got {question[:60]!r}. Give a"
            " question."
        )
    return bare.strip()


def text_faults(fields: Fields) -> list[str]:
    """Say what is wrong with the texts of a row."""
    faults = []
    for name in ("question", "chosen", "rejected"):
        fault = text_fault(getattr(fields, name), name, response=name != "question")
        faults += [fault] if fault is not None else []
    if not faults and fields.chosen == fields.rejected:
        faults.append(
            f"`chosen` equals `rejected`, got {_shown(fields.chosen)} twice: such a pair teaches"
            " nothing. Leave the row out."
        )
    return faults


def text_fault(text: Any, name: str, *, response: bool) -> str | None:
    """Say what is wrong with one text of a row; None where all is well.

    Args:
        text: The text.
        name: What the row calls it.
        response: Whether it is a response, which may hold no image placeholder.
    """
    if not isinstance(text, str):
        return f"`{name}` must be text, got {_shown(text)}. Mend the row."
    if not text.strip():
        return f"`{name}` is empty, got {_shown(text)}. Give a text or leave the row out."
    if (place := _lone_surrogate(text)) is not None:
        return f"`{name}` is no valid Unicode: half of a surrogate pair at {place}. Mend the text."
    if response and (found := [sign for sign in PLACEHOLDERS if sign in text]):
        return (
            f"`{name}` holds the image placeholder {found[0]!r}, which no response may. Take it"
            " out."
        )
    return None


def _lone_surrogate(text: str) -> int | None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None


def parse_json_cell(text: Any, name: str, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    """The value of a cell that holds JSON as text.

    Raises:
        RowFault: The cell is no text, no JSON, or JSON of another kind.
    """
    if isinstance(text, kind):
        return text  # some copies of a data set store it parsed
    if not isinstance(text, str):
        raise RowFault(f"`{name}` must be JSON as text, got {_shown(text)}. Mend the row.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = (
            f"{error.msg} at column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else str(error)
        )
        raise RowFault(
            f"`{name}` is not valid JSON: {reason}, got {_shown(text)}. Mend the row."
        ) from error
    if not isinstance(value, kind):
        noun = "object" if kind is dict else "array"
        raise RowFault(f"`{name}` must be a JSON {noun}, got {_shown(value)}. Mend the row.")
    return value


def join_origin(dataset: Any, meta: Any) -> tuple[str, Mapping[str, Any]]:
    """Origin of a row from its data set and meta columns, and the fields of our own that the meta carries.

    >>> join_origin("coco", '{"model": "muffin"}')
    ('coco {"model": "muffin"}', {})
    """
    own: Mapping[str, Any] = {}
    text = (
        meta
        if isinstance(meta, str)
        else ""
        if meta is None
        else json.dumps(meta, ensure_ascii=False)
    )
    try:
        parsed = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        parsed = None  # free text: kept as it stands
    if isinstance(parsed, dict):
        if isinstance(parsed.get(_OWN_KEY), dict):
            own = parsed.pop(_OWN_KEY)
        text = json.dumps(parsed, ensure_ascii=False)
    parts = (dataset if isinstance(dataset, str) else "", "" if text == "{}" else text)
    return " ".join(part for part in parts if part), own


def split_origin(origin: str, own: Mapping[str, Any]) -> tuple[str, str]:
    """Data set and meta columns of a row from its origin and fields of our own; undoes `join_origin`."""
    dataset, brace, rest = origin.partition("{")
    meta: Any = None
    if brace and (not dataset or dataset.endswith(" ")):
        try:
            meta = json.loads(brace + rest)
        except (ValueError, RecursionError):
            meta = None
    if not isinstance(meta, dict) or not meta:
        dataset, meta = origin, {}
    kept = {name: own[name] for name in ("id", *_OWN_FIELDS) if name in own}
    return dataset.removesuffix(" "), json.dumps(
        meta | ({_OWN_KEY: kept} if kept else {}), ensure_ascii=False
    )


def own_fields(own: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record that a row of ours carries along."""
    return {name: own[name] for name in _OWN_FIELDS if name in own}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
