"""Tasks of Label Studio ↔ corrections and comparisons.

Written are corrections: marked segments and the corrected text as annotations. A browser counts
UTF-16 units, so its offsets are those. The labelling configuration that the file fits (it takes
pictures from its local storage, under the path that `image` names):
    <View><Image name="image" value="$image"/><Text name="response" value="$response"/>
    <Labels name="kinds" toName="response"><Label value="object"/>…</Labels>
    <TextArea name="corrected" toName="response"/></View>
What annotations have no place for stands in the task's data under "veridical", and comes back.

Read are its JSON exports: `data` with `image`, `question` and `response` and a corrected text, or
`response_1` and `response_2` and a `Pairwise` choice. Pictures are looked for by the path after
"?d=", or by their name.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from veridical.errors import RowError
from veridical.files import JsonObject
from veridical.formats.export import Export
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.trainers.judged_rows import Judged, Shown, read_judged, shown_of
from veridical.records import Correction, Segment
from veridical.records.folders import Contents
from veridical.records.texts import shown as shown_value

_OWN = "veridical"
_SIDES = {"left": "first", "right": "second"}


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one task.

    Raises:
        RowError: All that is wrong with it.
    """
    data = row.get("data")
    if not isinstance(data, Mapping):
        raise RowError(f"`data` must be an object, got {shown_value(data)}. Export as JSON.")
    row.skip(*(name for name in row if name not in ("predictions",)))
    named = {**data, "image": _picture(data.get("image"))}
    shown = shown_of(named, reader.id(data.get("id", row.get("id"))))
    annotations = row.get("annotations")
    if not isinstance(annotations, list):
        raise RowError("`annotations` must be a list. Export as JSON, not as JSON-MIN.")
    judged = []
    for annotation in annotations:
        if not isinstance(annotation, Mapping):
            raise RowError(f"an annotation must be an object, got {shown_value(annotation)}.")
        said = _said(annotation, shown)
        if annotation.get("was_cancelled"):
            reader.leave_out("annotations that were cancelled")
        elif said is None:
            reader.leave_out("annotations without a corrected text or a choice")
        else:
            own = _own_fields(data, str(said)) if len(shown.responses) == 1 else {}
            judged.append(Judged(_annotator(annotation), annotation.get("lead_time"), said, own))
    return read_judged(shown, judged, reader)


def _picture(value: object) -> object:
    if not isinstance(value, str):
        return value
    _, local, path = value.partition("?d=")
    return unquote(path) if local else value


def _annotator(annotation: Mapping[str, Any]) -> str:
    who = annotation.get("completed_by")
    name = who.get("email") or who.get("id") if isinstance(who, Mapping) else who
    return "" if name is None else str(name)


def _said(annotation: Mapping[str, Any], shown: Shown) -> object:
    """A corrected text, or the side that was chosen; None where there is neither."""
    for item in annotation.get("result") or []:
        value = item.get("value") if isinstance(item, Mapping) else None
        if not isinstance(value, Mapping):
            continue
        if len(shown.responses) == 2 and "selected" in value:
            return _SIDES.get(str(value["selected"]))
        texts = value.get("text")
        if len(shown.responses) == 1 and item.get("type") == "textarea" and texts:
            return texts[0] if isinstance(texts, list) else texts
    return None


def _own_fields(data: Mapping[str, Any], chosen: str) -> Mapping[str, Any]:
    """Our own fields of the task, unless somebody corrected it otherwise since."""
    own = data.get(_OWN)
    if not isinstance(own, Mapping):
        return {}
    if own.get("chosen") != chosen:
        return {name: own[name] for name in own if name != "segments"}
    return own


def write(export: Export) -> None:
    """Write the corrections of a folder."""
    export.write_rows(_rows(export))


def _rows(export: Export) -> Iterator[JsonObject]:
    for number, row in enumerate(export.each(export.contents.corrections), start=1):
        with export.row(row.id):
            name = export.copy_image(export.only_image(row))
            held = {"id", "image", "question", "rejected", "annotator", "seconds", "type"}
            own = row.model_dump(mode="json", exclude_defaults=True, exclude=held)
            yield {
                "id": number,
                "data": {
                    "id": row.id,
                    "image": f"/data/local-files/?d=images/{name}",
                    "question": row.question,
                    "response": row.rejected,
                    _OWN: own,
                },
                "annotations": [_annotation(row)],
            }


def _annotation(row: Correction) -> JsonObject:
    results = [_label(row.rejected, segment) for segment in row.segments]
    corrected = {"text": [row.chosen]}
    results.append(_result("corrected", "textarea", corrected))
    return {
        "completed_by": {"email": row.annotator},
        "lead_time": row.seconds,
        "was_cancelled": False,
        "ground_truth": False,
        "result": results,
    }


def _label(text: str, segment: Segment) -> JsonObject:
    start, end = segment.rejected_span
    value = {
        "start": _units(text[:start]),
        "end": _units(text[:end]),
        "text": text[start:end],
        "labels": [segment.kind],
    }
    return _result("kinds", "labels", value)


def _result(name: str, kind: str, value: JsonObject) -> JsonObject:
    return {"from_name": name, "to_name": "response", "type": kind, "value": value}


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _detects(sample: Sample) -> bool:
    return {"data", "annotations"} <= sample.keys


FORMAT = Format(
    describes="tasks of Label Studio with corrections or choices as annotations, JSON",
    read=read,
    detects=_detects,
    judged_by="human",
    write=write,
    suffix=".json",
)
"""The format."""
