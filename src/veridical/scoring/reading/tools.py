"""Per-sample outputs of other tools as plain rows: lmms-eval, VLMEvalKit, evalscope and more.

In all of them the truth stands next to the answer, under names that elsewhere mean the answer; what
is left out is noted.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from veridical.files import JsonObject
from veridical.scoring.reading.wrappers import said
from veridical.scoring.rows import Faults, Row, Values, id_text

_QUESTIONS = ("question", "text", "query", "prompt")
_DOC_IDS = ("question_id", "id", "index")
_DOC_NAMES = frozenset({"question_id", "image_id", "image"})
_DOC_FIELDS = ("image_id", "image_source", "image_path", "image", "category")


class Tool(NamedTuple):
    """How a tool keeps an answer."""

    name: str
    """What it is called."""
    writes: Callable[[Values], bool]
    """Whether a row looks like one of it."""
    read: Callable[[Values], JsonObject]
    """The plain row."""
    order: str
    """The field that gives the order of the rows."""


def from_tools(rows: Sequence[Row], faults: Faults) -> list[Row]:
    """Plain rows, in the order of the tool's dataset; rows of no known tool stay as they are."""
    tool = next((tool for tool in TOOLS if rows and all(tool.writes(r.values) for r in rows)), None)
    if tool is None:
        return list(rows)
    read = [row._replace(values=tool.read(row.values)) for row in rows]
    ignored = dict.fromkeys(name for row in rows for name in row.values)
    names = ", ".join(f"`{name}`" for name in ignored if name not in _USED)
    faults.notes.append(
        f"{rows[0].file.name}: read as {tool.name} output; ignored: {names or 'nothing'}."
    )
    places = [id_text(row.values.get(tool.order)) for row in rows]
    if all(place is not None and place.isdecimal() for place in places):
        order = sorted(range(len(rows)), key=lambda number: int(places[number] or 0))
        return [read[number] for number in order]
    return read


def _lmms_eval(values: Values) -> JsonObject:
    doc = values.get("doc")
    row = _about(doc if isinstance(doc, Mapping) else {})
    answer = values.get("filtered_resps") or values.get("resps")
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return {**row, "answer": answer}


def _vlmevalkit(values: Values) -> JsonObject:
    truth = {"answer", "hit", "log", "extracted", "score"}
    kept = {name: value for name, value in values.items() if name not in truth}
    return {**kept, "answer": kept.pop("prediction")}


def _evalscope(values: Values) -> JsonObject:
    asked = [m for m in values.get("messages") or () if _is_from(m, "user")]
    row = {"answer": said(values["model_output"])}
    return {**row, **({"question": said(asked[-1].get("content"))} if asked else {})}


def _openai_batch(values: Values) -> JsonObject:
    return {"question_id": values["custom_id"], "answer": said(values["response"])}


def _chat_completion(values: Values) -> JsonObject:
    return {"answer": said(values["choices"])}


def _opencompass(values: Values) -> JsonObject:
    return {"answer": values["prediction"]}


def _inspect(values: Values) -> JsonObject:
    return {"id": values["id"], "answer": said(values["output"])}


def _ms_swift(values: Values) -> JsonObject:
    kept = {name: value for name, value in values.items() if name not in ("messages", "labels")}
    images = values.get("images")
    first = images[0] if isinstance(images, list) and len(images) == 1 else None
    return kept if first is None else {**kept, "image": first}


def _evalscope_review(values: Values) -> JsonObject:
    sample = values["sample_score"]
    score = sample.get("score")
    about = sample.get("sample_metadata")
    row = _about(about if isinstance(about, Mapping) else {})
    return {**row, "answer": score.get("prediction") if isinstance(score, Mapping) else None}


def _about(doc: Mapping[str, Any]) -> JsonObject:
    """What a dataset's own row says of the question; its answer is the truth and is left out."""
    name = next((name for name in _DOC_IDS if id_text(doc.get(name)) is not None), None)
    row: JsonObject = {} if name is None else {"question_id": doc[name]}
    row |= {field: doc[field] for field in _DOC_FIELDS if isinstance(doc.get(field), str | int)}
    asked = next((doc[field] for field in _QUESTIONS if isinstance(doc.get(field), str)), None)
    return row if asked is None else {**row, "question": asked}


def _is_from(message: object, role: str) -> bool:
    return isinstance(message, Mapping) and message.get("role") == role


TOOLS = (
    Tool(
        "lmms-eval",
        lambda row: "doc_id" in row and ("filtered_resps" in row or "resps" in row),
        _lmms_eval,
        "doc_id",
    ),
    Tool(
        "VLMEvalKit", lambda row: {"index", "prediction", "question"} <= row.keys(), _vlmevalkit, ""
    ),
    Tool(
        "evalscope",
        lambda row: isinstance(row.get("model_output"), Mapping) and "index" in row,
        _evalscope,
        "index",
    ),
    Tool(
        "evalscope (reviews)",
        lambda row: isinstance(row.get("sample_score"), Mapping) and "index" in row,
        _evalscope_review,
        "index",
    ),
    Tool(
        "OpenAI batch",
        lambda row: "custom_id" in row and isinstance(row.get("response"), Mapping),
        _openai_batch,
        "",
    ),
    Tool(
        "chat completions",
        lambda row: isinstance(row.get("choices"), list) and not _DOC_NAMES & row.keys(),
        _chat_completion,
        "",
    ),
    Tool(
        "OpenCompass", lambda row: {"origin_prompt", "prediction"} <= row.keys(), _opencompass, ""
    ),
    Tool(
        "Inspect",
        lambda row: isinstance(row.get("output"), Mapping) and {"id", "epoch"} <= row.keys(),
        _inspect,
        "",
    ),
    Tool("ms-swift", lambda row: {"response", "labels", "messages"} <= row.keys(), _ms_swift, ""),
)
"""The tools that are known, each with what its rows look like."""
_USED = frozenset(
    {"doc_id", "doc", "filtered_resps", "index", "prediction", "question", "model_output"}
    | {"messages", "sample_score", *_DOC_IDS, *_DOC_FIELDS}
)
