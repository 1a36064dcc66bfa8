"""Judgements as records, in a folder that `veridical train` takes as it is.

"Nothing wrong" is a correction with equal texts: it teaches nothing, and says how often there is
something to correct. The same database gives the same bytes. Of an item that several people judged
one record goes out by default: the one that was settled on, else what most say (comparisons), the
middle score (ratings), or the first correction; `every` gives all. The manifest counts what is left
out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median_low
from typing import Any, Literal, NamedTuple

from sqlalchemy import select

from veridical.errors import ConfigError
from veridical.files import (
    hash_file,
    read_bytes,
    write_bytes_atomically,
    write_json_atomically,
    write_text_atomically,
)
from veridical.records import (
    Comparison,
    Correction,
    ImageRef,
    Prompt,
    Rating,
    Response,
    Segment,
    write_records,
)
from veridical.studio.export.manifest import export_manifest
from veridical.studio.lead.agreement import preferred
from veridical.studio.lead.differences import settlements
from veridical.studio.lead.judged import Judged, by_item, read_judged
from veridical.studio.opening import Studio
from veridical.studio.store.projects import Project, load_project
from veridical.studio.store.schema import image, item, response
from veridical.studio.tasks.texts import RestoredCorrection, raw_span

Keep = Literal["one", "every"]
"""One judgement per item, or all of them."""


class Exported(NamedTuple):
    """What was written."""

    folder: Path
    """Where."""
    records: int
    """Judgements in it."""
    counts: dict[str, int]
    """What went in and what was left out, by reason."""


class _Item(NamedTuple):
    row: Any
    prompt: Prompt
    responses: list[Any]
    image: ImageRef


def export_studio(studio: Studio, out: Path, *, keep: Keep = "one") -> Exported:
    """Write the judgements of a project.

    Args:
        studio: The project.
        out: A new or empty folder.
        keep: One judgement per item, or all of them.

    Raises:
        ConfigError: The folder is not empty, or there is nothing to write yet.
        StorageError: The disk refused.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"`{out}` is not empty. Name a new folder.")
    with studio.database.reading() as connection:
        project = load_project(connection)
        rows = read_judged(connection)
        settled = settlements(connection)
        suffixes = {row.sha256: row.suffix for row in connection.execute(select(image))}
        responses: dict[int, list[Any]] = {}
        for row in connection.execute(select(response).order_by(response.c.id)):
            responses.setdefault(row.item_id, []).append(row)
        items = {
            row.id: _item(row, responses[row.id], suffixes)
            for row in connection.execute(select(item).order_by(item.c.id))
        }
    counts = Counter(_left_out(rows))
    chosen = list(_chosen(project, by_item(rows), settled, counts, keep))
    if not chosen:
        raise ConfigError("Nothing is judged yet, so there is nothing to export.")
    used = [items[number] for number in dict.fromkeys(row.item_id for row in chosen)]
    for one in used:
        if one.image.path:
            data = read_bytes(studio.folder / one.image.path)
            write_bytes_atomically(out / one.image.path, data)
    written = _write(project, out, chosen, items, counts)
    _write_prompts(out, used)
    files = {path.name: hash_file(path) for path in sorted(out.glob("*.jsonl"))}
    manifest = export_manifest(project, keep=keep, counts=counts, files=files, rows=chosen)
    write_json_atomically(out / "manifest.json", manifest)
    return Exported(out, written, dict(counts))


def _item(row: Any, responses: list[Any], suffixes: dict[str, str]) -> _Item:
    first = row.images[0] if row.images else None
    ref = ImageRef(path="")
    if first is not None:
        ref = ImageRef(path=f"images/{first}.{suffixes[first]}", sha256=first)
    prompt = Prompt.model_validate(row.prompt)
    known = prompt.known_image if prompt.image.path else prompt.image_id
    return _Item(row, prompt.model_copy(update={"image": ref, "image_id": known}), responses, ref)


def _left_out(rows: Iterable[Judged]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        if row.purpose == "gold":
            counts["left out: known answer"] += 1
        elif row.round:
            counts["left out: repeat"] += 1
        elif row.outcome != "judged":
            counts[f"left out: {row.outcome.replace('_', ' ')}"] += 1
        else:
            counts["judgements"] += 1
    return counts


def _chosen(
    project: Project,
    groups: dict[int, list[Judged]],
    settled: dict[int, Any],
    counts: Counter[str],
    keep: Keep,
) -> Iterable[Judged]:
    for number, rows in groups.items():
        decision = settled.get(number)
        by_id = {row.id: row for row in rows}
        if decision is not None and decision.judgement_id is None:
            counts["left out: settled, none is used"] += len(rows)
        elif keep == "every":
            yield from rows
        elif decision is not None and decision.judgement_id in by_id:
            counts["settled"] += 1
            counts["left out: another judgement was settled on"] += len(rows) - 1
            yield by_id[decision.judgement_id]
        else:
            counts["left out: one per item is kept"] += len(rows) - 1
            yield _typical(project.task, rows)


def _typical(task: str, rows: Sequence[Judged]) -> Judged:
    """What most say; the first one where it is even."""
    if task == "compare":
        votes = Counter(preferred(row.body) for row in rows)
        best = votes.most_common(1)[0][0]
        return next(row for row in rows if preferred(row.body) == best)
    if task == "rate":
        middle = median_low([int(row.body["score"]) for row in rows])
        return next(row for row in rows if row.body["score"] == middle)
    return rows[0]


def _write(
    project: Project,
    out: Path,
    chosen: Sequence[Judged],
    items: dict[int, _Item],
    counts: Counter[str],
) -> int:
    if project.task == "correct":
        corrections = [_correction(row, items[row.item_id]) for row in chosen]
        counts["nothing wrong"] = sum(row.body["nothing_wrong"] for row in chosen)
        write_records(out / "corrections.jsonl", corrections, kind="Correction")
    elif project.task == "compare":
        comparisons = [_comparison(row, items[row.item_id]) for row in chosen]
        write_records(out / "comparisons.jsonl", comparisons, kind="Comparison")
    elif project.task == "rate":
        ratings = [_rating(row, items[row.item_id]) for row in chosen]
        write_records(out / "ratings.jsonl", ratings, kind="Rating")
    if project.task in ("mark", "compare"):
        lines = [_marks(row, items[row.item_id]) for row in chosen]
        if project.task == "mark" or any(line["segments"] for line in lines):
            write_text_atomically(out / "marks.jsonl", "".join(_line(one) for one in lines))
    return len(chosen)


def _shared(row: Judged, one: _Item) -> dict[str, Any]:
    return {
        "id": row.id,
        "prompt_id": one.prompt.id,
        "source": row.source,
        "annotator": row.person,
        "seconds": row.seconds,
    }


def _correction(row: Judged, one: _Item) -> Correction:
    given = one.responses[0]
    body = row.body
    segments = [
        Segment(
            rejected_span=tuple(change["rejected_span"]),
            chosen_span=tuple(change["chosen_span"]),
            kind=change["kind"],
            note=change["note"],
        )
        for change in body["changes"]
    ]
    restored = RestoredCorrection(given.raw, body["text"], segments)
    return Correction(
        **_shared(row, one),
        image=one.image,
        question=one.prompt.question,
        rejected=restored.rejected,
        chosen=restored.chosen,
        segments=restored.segments,
        origin=str(given.record.get("model", "")),
    )


def _comparison(row: Judged, one: _Item) -> Comparison:
    first, second = (str(given.record["id"]) for given in one.responses)
    verdict = preferred(row.body)
    shown = (second, first) if row.flipped else (first, second)
    names: dict[str, Any] = {"left": "first", "right": "second", "tie": "tie"}
    if row.flipped:
        names |= {"left": "second", "right": "first"}
    return Comparison(
        **_shared(row, one),
        response_ids=shown,
        preferred=names[verdict],
        hallucination=row.body["hallucinates_more"] in ("left", "right"),
    )


def _rating(row: Judged, one: _Item) -> Rating:
    return Rating(
        **_shared(row, one),
        response_id=str(one.responses[0].record["id"]),
        score=row.body["score"],
        reason=row.body["note"],
    )


def _marks(row: Judged, one: _Item) -> dict[str, Any]:
    """Marked segments: offsets are code points of the response as it was imported."""
    segments = []
    for mark in row.body["marks"]:
        given = one.responses[0 if mark["side"] == "left" else 1]
        start, end = raw_span(given.raw, mark["start"], mark["end"])
        segments.append(
            {
                "response_id": given.record["id"],
                "start": start,
                "end": end,
                "text": given.raw[start:end],
                "kind": mark["kind"],
            }
        )
    names = [given.record["id"] for given in one.responses]
    return _shared(row, one) | {"response_ids": names, "segments": segments}


def _line(value: dict[str, Any]) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n"


def _write_prompts(out: Path, used: Sequence[_Item]) -> None:
    prompts = {one.prompt.id: one.prompt for one in used}
    write_records(out / "prompts.jsonl", prompts.values(), kind="Prompt")
    responses = {
        str(given.record["id"]): Response.model_validate(given.record)
        for one in used
        for given in one.responses
    }
    write_records(out / "responses.jsonl", responses.values(), kind="Response")
