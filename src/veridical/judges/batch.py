"""Judging by batch file: write the requests as an OpenAI batch, and take its output into the cache.

A batch costs about half, and nothing is asked from here. The `custom_id` of a line is the request's
key, so that an answer can only be taken for the request that it is of.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.errors import DataError
from veridical.files import write_text_atomically
from veridical.judges.cache import AnswerCache
from veridical.judges.completions import JsonObject, parse_reply
from veridical.judges.requests import ChatRequest
from veridical.scoring.rows import Faults, Row, field, read_rows

_ENDPOINT = "/v1/chat/completions"


class Imported(NamedTuple):
    """What a batch's output brought."""

    taken: int
    """Answers taken into the cache."""
    known: int
    """Answers to requests that were answered already; the first answer is kept."""
    failed: tuple[str, ...]
    """What is wrong with the lines that hold no answer."""


def write_batch(path: Path, requests: Sequence[ChatRequest]) -> Path:
    """Write requests as JSON lines for OpenAI's batch interface, each request once.

    Args:
        path: The file to write.
        requests: What is to be asked.
    """
    lines = [
        json.dumps({"custom_id": key, "method": "POST", "url": _ENDPOINT, "body": body})
        for key, body in {request.key: request.body for request in requests}.items()
    ]
    return write_text_atomically(path, "".join(f"{line}\n" for line in lines))


def read_batch(path: Path, requests: Sequence[ChatRequest], cache: AnswerCache) -> Imported:
    """Take the output of a batch into the cache.

    Args:
        path: Output (or error) file of the batch: JSON lines of `custom_id`, `response` and
            `error`.
        requests: What was asked.
        cache: Where the answers go.

    Raises:
        DataError: Lines are not of a batch's output, or answer what was not asked; nothing is taken
            then.
    """
    faults = Faults()
    asked = {request.key: request for request in requests}
    answers: dict[str, JsonObject] = {}
    failed: list[str] = []
    for row in read_rows(path, faults):
        key = field(row, "custom_id", str, faults, otherwise="")
        if key and key not in asked:
            faults.add(
                row,
                f"answers {key[:16]}…, which is not asked here. Give the responses, template and"
                " judge that the batch was written for.",
            )
        elif key in answers:
            faults.add(row, f"answers {key[:16]}… a second time. Keep one of the two lines.")
        elif key:
            body, problem = _body(row)
            if body is None:
                failed.append(f"{path}:{row.line}: {problem}")
            else:
                answers[key] = body
    if faults.found:
        raise DataError(
            faults.found, advice="Nothing was taken over. Fix these lines and import again."
        )
    with cache.lock():
        new = {key: body for key, body in answers.items() if cache.read(asked[key]) is None}
        for key, body in new.items():
            cache.write(asked[key], body)
    return Imported(len(new), len(answers) - len(new), tuple(failed))


def _body(row: Row) -> tuple[JsonObject | None, str]:
    """The completion of a line, or why there is none."""
    error, response = row.values.get("error"), row.values.get("response")
    if error:
        return None, f"the batch reports: {json.dumps(error)[:120]}"
    status = response.get("status_code") if isinstance(response, dict) else None
    body = response.get("body") if isinstance(response, dict) else None
    reply = parse_reply(json.dumps(body).encode())  # as strict as with a reply that comes directly
    if status != 200 or reply.body is None:
        return None, f"HTTP {status}: {reply.problem or json.dumps(body)[:120]}"
    return reply.body, ""
