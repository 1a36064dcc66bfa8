"""Rows out of JSON text: lines, an array, an object around them, or one value after another.

One broken place is one fault with its line. The first line decides whether a text is lines or one
document: where it is a whole value, the others are taken to be lines too.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from veridical.files import parse_jsonl, unique_keys
from veridical.scoring.reading.wrappers import Json, unwrap

_NOT_JSON = 20
"""Lines after which a file without a row is not taken for JSON lines any more."""
_BLANKS = re.compile(r"\s*")
_SURROGATES = range(0xD800, 0xE000)


class JsonFault(NamedTuple):
    """What is wrong with a place of the text."""

    line: int | None
    """Its line, from 1."""
    message: str
    """What is wrong · what to do."""


class JsonRows(NamedTuple):
    """What a text holds."""

    values: list[tuple[int, Json]]
    """Values with the line in JSON lines, or else their number from 1."""
    faults: list[JsonFault]
    """What could not be read."""
    note: str = ""
    """Where the rows were found, if they were wrapped, and what was ignored."""


def read_json_rows(text: str) -> JsonRows:
    """Read the rows of a text that is not blank."""
    first, _, rest = text.strip().partition("\n")
    if first[:14].lower().startswith(("<!doctype html", "<html")):
        message = f"not valid JSON: a web page ({first[:40]}). Download the file itself."
        return JsonRows([], [JsonFault(1, message)])
    if rest.strip() and _is_whole(first):
        return _lines(text)
    try:
        document = load_json(text)
    except (ValueError, RecursionError) as error:
        return _broken(text, first, error)
    found = unwrap(document)
    return JsonRows(list(enumerate(found.values, start=1)), [], found.note)


def load_json(text: str) -> Json:
    """Parse one JSON value; NaN, infinities and half surrogate pairs are refused.

    Raises:
        ValueError: The text is not valid JSON.
        RecursionError: It is nested too deeply.
    """
    value: Json = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique_keys)
    if "\\u" in text:
        refuse_surrogates(value)
    return value


def refuse_constant(name: str) -> None:
    """What `json` calls for NaN and the infinities."""
    raise ValueError(f"{name} is not a JSON number")


def refuse_surrogates(value: Json) -> None:
    """Look through a value for half surrogate pairs.

    Raises:
        ValueError: There is one.
    """
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and not one.isascii():
            half = next((sign for sign in one if ord(sign) in _SURROGATES), None)
            if half is not None:
                raise ValueError(f"\\u{ord(half):04x} is half a character (a lone surrogate)")


def json_fault(error: ValueError | RecursionError, what: str = "file") -> JsonFault:
    """An error of the parser, in our words."""
    if isinstance(error, RecursionError):
        return JsonFault(None, f"JSON nested too deeply. Fix the {what}.")
    if isinstance(error, json.JSONDecodeError):
        reason = f"{error.msg} at column {error.colno}"
        return JsonFault(error.lineno, f"not valid JSON: {reason}. Fix the {what}.")
    return JsonFault(None, f"not valid JSON: {str(error)[:200]}. Fix the {what}.")


def _is_whole(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _lines(text: str) -> JsonRows:
    values: list[tuple[int, Json]] = []
    faults: list[JsonFault] = []
    for row in parse_jsonl(text.split("\n")):
        if not values and len(faults) == _NOT_JSON:
            message = (
                f"none of the first {_NOT_JSON} lines is JSON, got {faults[0].message[-80:]!r}."
                " Give JSON lines, a JSON array, CSV, TSV or XLSX."
            )
            return JsonRows([], [JsonFault(None, message)])
        fault = row.fault
        if fault is None and "\\u" in row.raw:
            try:
                refuse_surrogates(row.value)
            except ValueError as error:
                fault = f"not valid text: {error}. Fix the row."
        if fault is None:
            values.append((row.line, row.value))
        else:
            faults.append(JsonFault(row.line, fault))
    return JsonRows(values, faults)


def _broken(text: str, first: str, error: ValueError | RecursionError) -> JsonRows:
    """A text that is not one JSON value: faulty lines, several values, or a broken one."""
    lines = [line.strip() for line in text.strip().split("\n")[1:50]]
    if not first.lstrip().startswith("[") and (
        any(line.startswith("{") and _is_whole(line) for line in lines)
        or first.lstrip()[:1] not in "{["
    ):
        return _lines(text)
    if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
        try:
            values = list(_one_after_the_other(text))
            refuse_surrogates(values)
            return JsonRows(list(enumerate(values, start=1)), [])
        except (ValueError, RecursionError) as second:
            return JsonRows([], [json_fault(second)])
    return JsonRows([], [json_fault(error)])


def _one_after_the_other(text: str) -> Iterator[Json]:
    decoder = json.JSONDecoder(parse_constant=refuse_constant, object_pairs_hook=unique_keys)
    place = _blanks(text, 0)
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        yield value
        place = _blanks(text, place)


def _blanks(text: str, place: int) -> int:
    match = _BLANKS.match(text, place)
    return match.end() if match else place
