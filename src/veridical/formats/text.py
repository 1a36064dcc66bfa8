"""Texts of public formats: image placeholders, prompt templates, JSON in cells, origins."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from veridical.errors import RowError
from veridical.files import JsonObject, describe_json_error
from veridical.records.texts import MISSING, count_images, shown, without_placeholders

_OWN_KEY = "veridical"
OWN_FIELDS = ("prompt_id", "source", "annotator", "seconds", "segments", "history", "system")
"""Fields of our own records that a written file carries along."""

_DEFAULT_SYSTEM = re.compile(
    r"(?:A chat between a curious (?:user|human) and an artificial intelligence assistant\."
    r"\s*(?:The assistant [^.]*\.)?|You are a helpful (?:language and vision )?assistant\."
    r"(?: You are able [^.]*\.)?)\s*",
    re.IGNORECASE,
)
"""What Vicuna's and LLaVA's templates say before every conversation: theirs, not the row's."""
_TEMPLATES = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"(?P<system>.*?)(?:^|\s|###\s*)(?:USER|Human|User):\s*(?P<question>.*?)"
        r"(?:</s>|###)?\s*(?:ASSISTANT|Assistant|GPT):\s*",
        r"(?P<system>.*?)(?:<s>)?\[INST\]\s*(?P<question>.*?)\s*\[/INST\]\s*",
        r"(?:<\|im_start\|>system\n(?P<system>.*?)<\|im_end\|>\s*)?<\|im_start\|>user\n"
        r"(?P<question>.*?)<\|im_end\|>\s*(?:<\|im_start\|>assistant\s*)?",
    )
)
_TEMPLATE_SIGNS = re.compile(
    r"(?:^|\s)(?:USER|ASSISTANT):\s|<\|im_start\|>|\[/?INST\]|<\|(?:user|assistant|eot_id)\|>"
    r"|<start_of_turn>|###\s*(?:Human|Assistant):"
)


def clean_question(question: str) -> str:
    r"""A question without image placeholder, prompt template and blanks at its ends.

    >>> clean_question("USER: <image>\\nWhat is there? ASSISTANT:")
    'What is there?'

    Raises:
        RowError: It asks about several images, is empty, or has a template that cannot be undone.
    """
    if count_images(question) > 1:
        raise RowError(
            f"the question asks about {count_images(question)} images, got {question[:60]!r}. One"
            " image per row is read."
        )
    bare = without_placeholders(unwrap_template(question)).strip()
    return stated(bare, question)


def stated(bare: str, text: str) -> str:
    """A question without its placeholders, which must leave something to ask.

    Raises:
        RowError: Nothing but placeholders stood in `text`.
    """
    if not bare and text.strip():
        raise RowError(
            f"`question` is empty but for the image placeholder, got {text[:60]!r}. Give a"
            " question."
        )
    return bare


def has_template(text: str) -> bool:
    """Whether a text holds signs of a chat template."""
    return _TEMPLATE_SIGNS.search(text) is not None


class Unwrapped(NamedTuple):
    """A prompt that was wrapped in a chat template."""

    system: str
    """What the template says before the question, unless it is the usual introduction."""
    question: str
    """The question."""


def split_template(text: str) -> Unwrapped:
    """System message and question inside a prompt template of one turn.

    Raises:
        RowError: Several turns in one text, or a template that is not known.
    """
    if _TEMPLATE_SIGNS.search(text) is None:
        return Unwrapped("", text)
    for template in _TEMPLATES:
        found = template.fullmatch(text)
        if found is not None and _TEMPLATE_SIGNS.search(found["question"]) is None:
            system = _DEFAULT_SYSTEM.sub("", found["system"] or "").strip()
            return Unwrapped(system, found["question"].strip())
    raise RowError(
        f"the question is wrapped in a chat template, got {text[:60]!r}. Give the bare question,"
        " and earlier turns as messages."
    )


def unwrap_template(text: str) -> str:
    """The question inside a prompt template of one turn; a text without template as it is.

    What the template says before the question is kept, unless it is the usual introduction.

    Raises:
        RowError: Several turns in one text, or a template that is not known.
    """
    return "\n\n".join(part for part in split_template(text) if part)


def first_of(row: Mapping[str, Any], *names: str) -> Any:
    """The first of several fields that has a value; null if one is there, else `MISSING`."""
    present = [name for name in names if name in row]
    found = next((row[name] for name in present if row[name] is not None), None)
    return found if present else MISSING


def parse_json_cell(text: Any, name: str, kind: type[JsonObject] | type[list[Any]]) -> Any:
    """The value of a cell that holds JSON as text.

    Raises:
        RowError: The cell is missing, not JSON, or JSON of another kind.
    """
    if isinstance(text, kind):
        return text  # some copies of a dataset store it parsed
    if text is MISSING:
        raise RowError(f"`{name}` is missing. Add it or leave the row out.")
    if not isinstance(text, str):
        raise RowError(f"`{name}` must be JSON as text, got {shown(text)}. Fix the row.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError(
            f"`{name}` is {describe_json_error(error)}, got {shown(text)}. Fix the row."
        ) from error
    if not isinstance(value, kind):
        noun = "object" if kind is dict else "array"
        raise RowError(f"`{name}` must be a JSON {noun}, got {shown(value)}. Fix the row.")
    return value


def join_origin(dataset: Any, meta: Any) -> tuple[str, Mapping[str, Any]]:
    """Origin of a row from its dataset and meta columns, and fields of our own in the meta.

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
    """Dataset and meta columns from an origin and fields of our own; undoes `join_origin`."""
    dataset, brace, rest = origin.partition("{")
    meta: Any = None
    if brace and (not dataset or dataset.endswith(" ")):
        try:
            meta = json.loads(brace + rest)
        except (ValueError, RecursionError):
            meta = None
    if not isinstance(meta, dict) or not meta:
        dataset, meta = origin, {}
    kept = {name: own[name] for name in ("id", *OWN_FIELDS) if name in own}
    return dataset.removesuffix(" "), json.dumps(
        meta | ({_OWN_KEY: kept} if kept else {}), ensure_ascii=False
    )
