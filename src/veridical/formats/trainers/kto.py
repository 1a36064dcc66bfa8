"""Unpaired preferences (KTO): one answer and whether it is good → prompt, response, rating.

TRL has `prompt`, `completion` and `label`, ms-swift `messages` and `label`, LLaMA-Factory
`messages` and `kto_tag`. A yes or no is not a score: it becomes 6 or 0, the ends of our scale, and
the rating's reason says what it was. Two answers to one prompt, one good and one bad, then give a
comparison, as all ratings do.
"""

from veridical.errors import RowError
from veridical.files import hash_bytes
from veridical.formats import chat
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.messages import LABELS, last_answer
from veridical.records import Rating, Response
from veridical.records.folders import Contents
from veridical.records.texts import clean_text, text_fault

DESIRABLE = {True: (6, "desirable (yes or no)"), False: (0, "undesirable (yes or no)")}
"""Score and reason of a label."""


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one row.

    Raises:
        RowError: All that is wrong with it.
    """
    if "instruction" in row:
        return chat.read(row, reader)
    name = next((name for name in LABELS if name in row), LABELS[0])
    label = row.get(name)
    if not isinstance(label, bool):
        raise RowError(f"`{name}` must be true or false, got {label!r}. Fix the row.")
    record_id = reader.id(chat.row_id(row))
    messages = chat.find_messages(row) or []
    answer = last_answer(messages, "messages")
    talk = chat.asked_talk(messages[:-1], row)
    reader.check(
        text_fault(talk.turns[-1], "prompt", response=False),
        text_fault(answer, "completion", response=True),
    )
    asked = chat.asked_prompt(talk, record_id, reader)
    key = asked.model_copy(update={"id": ""}).model_dump_json().encode("utf-8", "surrogatepass")
    prompt = asked.model_copy(update={"id": f"prompt-{hash_bytes(key)[:16]}"})
    response = Response(id=record_id, prompt_id=prompt.id, text=clean_text(answer), model="")
    score, reason = DESIRABLE[label]
    rating = Rating(
        id=record_id,
        prompt_id=prompt.id,
        response_id=response.id,
        source=reader.judged_by,
        score=score,
        reason=reason,
    )
    return Contents(prompts=(prompt,), responses=(response,), ratings=(rating,))


def _detects(sample: Sample) -> bool:
    return "kto_tag" in sample.keys or {"completion", "label"} <= sample.keys


FORMAT = Format(
    describes="unpaired preferences (KTO): an answer and whether it is good",
    read=read,
    detects=_detects,
)
"""The format."""
