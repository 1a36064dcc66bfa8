"""A filled sheet as records, in a folder of its own that training takes as it is.

Rows that nobody filled and rows that were skipped are left out and counted. A judgement that was in
the folder already and that nobody changed comes back as it was, to the byte.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError, DataError, Fault, RowError
from veridical.feedback.segments import segment_texts
from veridical.feedback.sheets.items import Judged, SheetItem, SheetItems, find_items
from veridical.feedback.sheets.keeping import write_judged
from veridical.feedback.sheets.marks import read_marks
from veridical.feedback.sheets.rows import (
    NEEDED,
    SheetTask,
    read_kinds,
    read_preferred,
    read_score,
    read_who,
    read_yes,
)
from veridical.feedback.sheets.tables import TableRow, read_table
from veridical.feedback.sheets.writing import kinds_cell, marked_cells
from veridical.feedback.texts.line_ends import RestoredCorrection, changes, shown_text
from veridical.files import hash_file, write_json_atomically
from veridical.progress import counted
from veridical.records import (
    Comparison,
    Correction,
    Mark,
    Marking,
    Rating,
    Segment,
    SegmentKind,
    Source,
)
from veridical.records.manifests import build_manifest
from veridical.records.prompts import asked_fields


class SheetRead(NamedTuple):
    """What a sheet gave."""

    path: Path
    """The folder that was written."""
    judgements: int
    """Records of judgements in it."""
    left_out: dict[str, int]
    """Rows that gave none, by reason."""


class _Reading(NamedTuple):
    found: SheetItems
    annotator: str
    source: Source
    left_out: Counter[str]


def read_sheet(
    folder: Path,
    table: Path,
    out: Path,
    *,
    task: SheetTask | None = None,
    prompts: Path | None = None,
    annotator: str = "",
    source: Source = "human",
) -> SheetRead:
    """Read a filled sheet.

    Args:
        folder: The folder that the sheet was written from.
        table: The filled .csv or .xlsx file.
        out: A new or empty folder for records and pictures.
        task: As it was written.
        prompts: As it was written.
        annotator: Who filled the rows that name nobody.
        source: What the new judgements count as.

    Raises:
        ConfigError: `out` is not empty, or the folder holds nothing to judge.
        DataError: All rows that cannot be used, each with its line; or nobody filled any.
        StorageError: The disk refused.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"`{out}` is not empty. Name a new folder.")
    found = find_items(folder, task, prompts=prompts)
    reading = _Reading(found, annotator, source, Counter())
    made: list[tuple[SheetItem, Judged]] = []
    lines: dict[str, int] = {}
    faults: list[Fault] = []
    for row in read_table(table, NEEDED[found.task]):
        try:
            item = _item(found, row)
            judged = _judgement(reading, item, row.cells)
            if judged is None:
                continue
            first = lines.setdefault(judged.id, row.line)
            if first != row.line:
                raise RowError(
                    f"{judged.annotator or 'nobody'} judged {item.id!r} in line {first} already. "
                    "Name another annotator, or remove one of the rows."
                )
            made.append((item, judged))
        except RowError as fault:
            faults.append(Fault(table, row.line, str(fault)))
    if faults:
        raise DataError(faults, advice="Fix these rows, then read the sheet again.")
    if not made:
        raise DataError([Fault(table, None, "nobody filled a row yet.")])
    write_judged(out, found, made)
    counts = {"judgements": len(made)} | {
        f"left out: {reason}": count for reason, count in sorted(reading.left_out.items())
    }
    manifest = build_manifest(
        verb="data sheet", seed=0, inputs={str(table): hash_file(table)}, notes=counts
    )
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    return SheetRead(out, len(made), dict(reading.left_out))


def _item(found: SheetItems, row: TableRow) -> SheetItem:
    key = row.cells["id"].strip()
    if key not in found.items:
        raise RowError(f"the folder has no item {key!r}. Leave `id` as it was written.")
    item = found.items[key]
    names = ("response",) if len(item.responses) == 1 else ("response_1", "response_2")
    for name, given in zip(names, item.responses, strict=True):
        cell = row.cells.get(name)
        if cell is not None and shown_text(cell) != shown_text(given.text):
            raise RowError(
                f"`{name}` is not what the folder has, got {cell[:40]!r}. Leave it as it was "
                "written; corrections go into `corrected`."
            )
    return item


def _judgement(reading: _Reading, item: SheetItem, cells: dict[str, str]) -> Judged | None:
    skip = cells.get("skip", "").strip()
    if skip:
        reading.left_out[f"skipped: {skip[:80]}"] += 1
        return None
    number = cells.get("judgement", "").strip()
    known = reading.found.judged.get(number)
    if number and known is None:
        raise RowError(f"the folder has no judgement {number!r}. Leave `judgement` as it was.")
    task = reading.found.task
    made: Judged | None
    if task == "correct":
        made = _correction(reading, item, cells, known if isinstance(known, Correction) else None)
    elif task == "compare":
        made = _comparison(reading, item, cells, known if isinstance(known, Comparison) else None)
    elif task == "rate":
        made = _rating(reading, item, cells, known if isinstance(known, Rating) else None)
    else:
        made = _marking(reading, item, cells, known if isinstance(known, Marking) else None)
    if made is None:
        reading.left_out["not judged"] += 1
    return made


def _shared(reading: _Reading, item: SheetItem, cells: dict[str, str]) -> dict[str, object]:
    who = read_who(cells, annotator=reading.annotator)
    return {
        "id": f"{item.id}@{who.annotator or 'sheet'}",
        "prompt_id": item.prompt.id,
        "source": reading.source,
        "annotator": who.annotator,
        "seconds": who.seconds,
    }


def _correction(
    reading: _Reading, item: SheetItem, cells: dict[str, str], known: Correction | None
) -> Correction | None:
    raw, text = item.responses[0].text, shown_text(cells["corrected"])
    right = read_yes(cells.get("nothing_wrong", ""), name="nothing_wrong")
    shared = _shared(reading, item, cells)
    kinds = read_kinds(cells["kinds"])
    if known is not None and (text, kinds, right) == _said(known):
        return known.model_copy(update={name: shared[name] for name in ("annotator", "seconds")})
    if text == shown_text(raw) or not text.strip():
        if kinds or (not text.strip() and not right):
            raise RowError(
                "`corrected` holds no correction. Write the whole corrected answer into it, mark "
                "`nothing_wrong` with x, or say in `skip` why the item is left out."
            )
        if not right:
            return None
        text = shown_text(raw)
    elif right:
        raise RowError("`nothing_wrong` is marked, but `corrected` was changed. Undo one of them.")
    restored = RestoredCorrection(raw, text, _with_kinds(shown_text(raw), text, kinds))
    return Correction.model_validate(
        shared
        | {
            "id": known.id if known is not None else shared["id"],
            **asked_fields(item.prompt),
            "rejected": restored.rejected,
            "chosen": restored.chosen,
            "segments": restored.segments,
            "origin": item.responses[0].model,
        }
    )


def _said(known: Correction) -> tuple[str, list[SegmentKind], bool]:
    """What a correction says as a sheet shows it: text, kinds, whether nothing is wrong."""
    right = known.chosen == known.rejected
    return shown_text(known.chosen), [] if right else read_kinds(kinds_cell(known)), right


def _with_kinds(source: str, text: str, kinds: Sequence[SegmentKind]) -> list[Segment]:
    found = changes(source, text)
    if len(kinds) != len(found):
        old = segment_texts(source, found, side="rejected")
        new = segment_texts(text, found, side="chosen")
        said = "; ".join(f"{a.strip()} → {b.strip()}" for a, b in zip(old, new, strict=True))
        raise RowError(
            f"{len(found)} changes ({said[:200]}) and {len(kinds)} kinds. Give in `kinds` one kind "
            "for each change, in their order, for instance: object, number."
        )
    return [
        segment.model_copy(update={"kind": kind})
        for segment, kind in zip(found, kinds, strict=True)
    ]


def _comparison(
    reading: _Reading, item: SheetItem, cells: dict[str, str], known: Comparison | None
) -> Comparison | None:
    if not cells["preferred"].strip():
        return None
    about = cells.get("hallucination", "").strip()
    said = {
        "response_ids": tuple(one.id for one in item.responses),
        "preferred": read_preferred(cells["preferred"]),
        "hallucination": read_yes(about, name="hallucination") if about else None,
    }
    return Comparison.model_validate(_again(known, _shared(reading, item, cells), said))


def _rating(
    reading: _Reading, item: SheetItem, cells: dict[str, str], known: Rating | None
) -> Rating | None:
    if not cells["score"].strip():
        return None
    said = {
        "response_id": item.responses[0].id,
        "score": read_score(cells["score"]),
        "reason": cells.get("reason", ""),
    }
    return Rating.model_validate(_again(known, _shared(reading, item, cells), said))


def _marking(
    reading: _Reading, item: SheetItem, cells: dict[str, str], known: Marking | None
) -> Marking | None:
    response, cell = item.responses[0], shown_text(cells["marked"])
    right = read_yes(cells.get("nothing_wrong", ""), name="nothing_wrong")
    shared, kinds = _shared(reading, item, cells), read_kinds(cells["kinds"])
    if known is not None:
        text, names, nothing = marked_cells(item, known)
        if (cell, kinds, right) == (text, read_kinds(names), bool(nothing)):
            return known.model_copy(
                update={name: shared[name] for name in ("annotator", "seconds")}
            )
    spans = read_marks(cell, response.text) if cell.strip() or not right else []
    if right and spans:
        raise RowError("`nothing_wrong` is marked, and `marked` has marks. Undo one of them.")
    if len(kinds) != len(spans):
        raise RowError(
            f"{counted(len(spans), 'mark')} and {counted(len(kinds), 'kind')}. Give in `kinds` one"
            " kind for each mark, in their order, for instance: object, number."
        )
    if not spans and not right:
        return None
    marks = [
        Mark(response_id=response.id, span=span, text=response.text[slice(*span)], kind=kind)
        for span, kind in zip(spans, kinds, strict=True)
    ]
    made = {"response_ids": (response.id,), "segments": tuple(marks)}
    number = {"id": known.id} if known is not None else {}
    return Marking.model_validate({**shared, **made, **number})


def _again(
    known: Comparison | Rating | None, shared: Mapping[str, object], said: Mapping[str, object]
) -> dict[str, object]:
    """The fields of a judgement; an earlier one keeps its id, and unchanged also its source."""
    made = {**shared, **said}
    if known is not None:
        made["id"] = known.id
        if all(getattr(known, name) == value for name, value in said.items()):
            made["source"] = known.source
    return made
