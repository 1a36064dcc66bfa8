"""Tasks of Label Studio with corrections as annotations: marked segments and the corrected text.

A browser counts UTF-16 units, so its offsets are those. The labelling configuration that the file
fits (it takes pictures from its local storage, under the path that `image` names):
    <View><Image name="image" value="$image"/><Text name="response" value="$response"/>
    <Labels name="kinds" toName="response"><Label value="object"/>…</Labels>
    <TextArea name="corrected" toName="response"/></View>
"""

from collections.abc import Iterator

from veridical.files import JsonObject
from veridical.formats.export import Export
from veridical.formats.format import Format
from veridical.records import Correction, Segment


def write(export: Export) -> None:
    """Write the corrections of a folder."""
    export.write_rows(_rows(export))


def _rows(export: Export) -> Iterator[JsonObject]:
    for number, row in enumerate(export.each(export.contents.corrections), start=1):
        with export.row(row.id):
            name = export.copy_image(row.image)
            yield {
                "id": number,
                "data": {
                    "id": row.id,
                    "image": f"/data/local-files/?d=images/{name}",
                    "question": row.question,
                    "response": row.rejected,
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


FORMAT = Format(
    describes="tasks of Label Studio with corrections as annotations, JSON",
    write=write,
    suffix=".json",
)
"""The format."""
