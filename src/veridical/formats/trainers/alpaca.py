"""Alpaca's rows, as LLaMA-Factory reads them: `instruction`, `input`, and what was answered.

`output` alone is for fine-tuning; `chosen` and `rejected` are a preference; `output` with `kto_tag`
is an unpaired one. `history` holds earlier exchanges, `system` the system message, `images` the
pictures. Instruction and input are one question, a line each.
"""

from veridical.errors import RowError
from veridical.formats import chat
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.sources import Row
from veridical.records.folders import Contents
from veridical.records.texts import shown


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one row.

    Raises:
        RowError: All that is wrong with it.
    """
    asked = [row.get(name) or "" for name in ("instruction", "input")]
    if not all(isinstance(text, str) for text in asked):
        raise RowError(f"`instruction` must be text, got {shown(asked[0])}. Fix the row.")
    if not any(text.strip() for text in asked):
        raise RowError("`instruction` and `input` are empty. Give a question.")
    messages = _history(row.get("history"))
    messages.append({"role": "user", "content": "\n".join(text for text in asked if text)})
    row.skip("instruction", "input", "history", "output")
    values: dict[str, object] = {
        name: value
        for name, value in row.items()
        if name not in ("instruction", "input", "history", "output")
    }
    if "chosen" in row or "rejected" in row:
        values["prompt"] = messages
    else:
        answer = {"role": "assistant", "content": row.get("output") or ""}
        values["messages"] = [*messages, answer]
    inner = RowFields(values)
    try:
        return chat.read(inner, reader)
    finally:
        row.skip(*(name for name in row if name not in inner.unread))


def _history(value: object) -> list[Row]:
    if value in (None, []):
        return []
    if not isinstance(value, list) or not all(
        isinstance(exchange, list) and len(exchange) == 2 for exchange in value
    ):
        raise RowError(f"`history` must be a list of exchanges, got {shown(value)}. Fix the row.")
    return [
        {"role": role, "content": text}
        for exchange in value
        for role, text in zip(("user", "assistant"), exchange, strict=True)
    ]


def _detects(sample: Sample) -> bool:
    return "instruction" in sample.keys


FORMAT = Format(
    describes="Alpaca's rows (LLaMA-Factory): instruction, input, output or chosen and rejected",
    read=read,
    detects=_detects,
)
"""The format."""
