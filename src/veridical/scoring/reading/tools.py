"""Per-sample outputs of other evaluation tools as plain rows: lmms-eval, VLMEvalKit, evalscope.

In all of them the truth stands next to the answer, under names that elsewhere mean the answer; what
is left out is noted.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from veridical.scoring.rows import Faults, Row, Values, id_text

_QUESTIONS = ("question", "text", "query", "prompt")
_DOC_IDS = ("question_id", "id", "index")
_DOC_FIELDS = ("image_id", "image_source", "image_path", "image", "category")


class Tool(NamedTuple):
    """How a tool keeps an answer."""

    name: str
    """What it is called."""
    writes: Callable[[Values], bool]
    """Whether a row looks like one of it."""
    read: Callable[[Values], dict[str, Any]]
    """The plain row."""
    order: str
    """The field that gives the order of the rows."""


def from_tools(rows: Sequence[Row], faults: Faults) -> list[Row]:
    """Plain rows, in the order of the tool's data set; rows of no known tool stay as they are."""
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


def _lmms_eval(values: Values) -> dict[str, Any]:
    doc = values.get("doc")
    row = _about(doc if isinstance(doc, Mapping) else {})
    answer = values.get("filtered_resps") or values.get("resps")
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return {**row, "answer": answer}


def _vlmevalkit(values: Values) -> dict[str, Any]:
    truth = {"answer", "hit", "log", "extracted", "score"}
    kept = {name: value for name, value in values.items() if name not in truth}
    return {**kept, "answer": kept.pop("prediction")}


def _evalscope(values: Values) -> dict[str, Any]:
    output = values["model_output"]
    choices = output.get("choices") or [{}]
    message = choices[0].get("message") if isinstance(choices[0], Mapping) else None
    asked = [m for m in values.get("messages") or () if _is_from(m, "user")]
    row = {"answer": _content(message.get("content") if isinstance(message, Mapping) else None)}
    return {**row, **({"question": _content(asked[-1].get("content"))} if asked else {})}


def _evalscope_review(values: Values) -> dict[str, Any]:
    sample = values["sample_score"]
    score = sample.get("score")
    about = sample.get("sample_metadata")
    row = _about(about if isinstance(about, Mapping) else {})
    return {**row, "answer": score.get("prediction") if isinstance(score, Mapping) else None}


def _about(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What a data set's own row says of the question; its answer is the truth and is left out."""
    name = next((name for name in _DOC_IDS if id_text(doc.get(name)) is not None), None)
    row: dict[str, Any] = {} if name is None else {"question_id": doc[name]}
    row |= {field: doc[field] for field in _DOC_FIELDS if isinstance(doc.get(field), str | int)}
    asked = next((doc[field] for field in _QUESTIONS if isinstance(doc.get(field), str)), None)
    return row if asked is None else {**row, "question": asked}


def _is_from(message: object, role: str) -> bool:
    return isinstance(message, Mapping) and message.get("role") == role


def _content(content: object) -> object:
    """The text of a chat message, whose content may be a list of parts."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "".join(text for text in texts if isinstance(text, str))


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
)
"""The tools that are known, each with what its rows look like."""
_USED = frozenset(
    {"doc_id", "doc", "filtered_resps", "index", "prediction", "question", "model_output"}
    | {"messages", "sample_score", *_DOC_IDS, *_DOC_FIELDS}
)
