"""Judgements as records, in a folder that `veridical train` takes as it is.

"Nothing wrong" is a correction with equal texts: it teaches nothing, and says how often there is
something to correct. The same database gives the same bytes. Of an item that several people judged
one record goes out by default: the one that was settled on, else what most say (comparisons), the
middle score (ratings), or the first correction; `every` gives all. The manifest counts what is left
out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median_low
from typing import Any, Literal, NamedTuple

from sqlalchemy import select

from veridical.errors import ConfigError
from veridical.feedback.datasets import export_dataset
from veridical.files import (
    JsonObject,
    hash_file,
    read_bytes,
    write_bytes_atomically,
    write_json_atomically,
)
from veridical.formats.registry import find_format
from veridical.records import (
    ImageRef,
    Prompt,
    Response,
    write_records,
)
from veridical.records.folders import MARKINGS_FILE
from veridical.records.manifests import build_manifest
from veridical.studio.export.records import (
    ItemExport,
    comparison_of,
    correction_of,
    marking_of,
    rating_of,
)
from veridical.studio.lead.agreement import preferred
from veridical.studio.lead.differences import settlements
from veridical.studio.lead.judged import Judged, by_item, read_judged
from veridical.studio.opening import Studio
from veridical.studio.store.projects import Project, load_project
from veridical.studio.store.schema import image, item, response

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
        for ref in one.prompt.images:
            write_bytes_atomically(out / ref.path, read_bytes(studio.folder / ref.path))
    written = _write(project, out, chosen, items, counts)
    _write_prompts(out, used)
    files = {path.name: hash_file(path) for path in sorted(out.glob("*.jsonl"))}
    manifest = _manifest(project, keep=keep, counts=counts, files=files, rows=chosen)
    write_json_atomically(out / "manifest.json", manifest)
    return Exported(out, written, dict(counts))


def export_format(folder: Path, name: str) -> Path:
    """Write FOLDER/NAME/data.SUFFIX; what the format cannot say is left out.

    Args:
        folder: What `export_studio` wrote.
        name: Name of a format that can be written.

    Raises:
        ConfigError: There is no such format, or it is only read.
        DataError: Nothing of the folder can be said in the format.
    """
    out = folder / name / f"data{find_format(name).suffix}"
    return export_dataset(folder, out, format_name=name, skip_bad=True)


def _item(row: Any, responses: list[Any], suffixes: dict[str, str]) -> ItemExport:
    refs = [ImageRef(path=f"images/{sha}.{suffixes[sha]}", sha256=sha) for sha in row.images]
    prompt = Prompt.model_validate(row.prompt)
    known = prompt.known_image if prompt.image.path else prompt.image_id
    named = prompt.model_copy(update={"image_id": known})
    return ItemExport(named.with_images(refs), responses)


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
    items: dict[int, ItemExport],
    counts: Counter[str],
) -> int:
    if project.task == "correct":
        corrections = [correction_of(row, items[row.item_id]) for row in chosen]
        counts["nothing wrong"] = sum(row.body["nothing_wrong"] for row in chosen)
        write_records(out / "corrections.jsonl", corrections, kind="Correction")
    elif project.task == "compare":
        comparisons = [comparison_of(row, items[row.item_id]) for row in chosen]
        write_records(out / "comparisons.jsonl", comparisons, kind="Comparison")
    elif project.task == "rate":
        ratings = [rating_of(row, items[row.item_id]) for row in chosen]
        write_records(out / "ratings.jsonl", ratings, kind="Rating")
    if project.task in ("mark", "compare"):
        markings = [marking_of(row, items[row.item_id]) for row in chosen]
        if project.task == "mark" or any(marking.segments for marking in markings):
            write_records(out / MARKINGS_FILE, markings, kind="Marking")
    return len(chosen)


def _write_prompts(out: Path, used: Sequence[ItemExport]) -> None:
    prompts = {one.prompt.id: one.prompt for one in used}
    write_records(out / "prompts.jsonl", prompts.values(), kind="Prompt")
    responses = {
        str(given.record["id"]): Response.model_validate(given.record)
        for one in used
        for given in one.responses
    }
    write_records(out / "responses.jsonl", responses.values(), kind="Response")


def _manifest(
    project: Project,
    *,
    keep: str,
    counts: Mapping[str, int],
    files: Mapping[str, str],
    rows: Sequence[Judged],
) -> JsonObject:
    manifest = build_manifest(
        verb="studio export",
        seed=project.settings.seed,
        notes={
            "project": project.name,
            "task": project.task,
            "keep": keep,
            "counts": dict(sorted(counts.items())),
            "sources": sorted({row.source for row in rows}),
            "annotators": len({row.person for row in rows}),
            "seconds": round(sum(row.seconds for row in rows), 3),
            "premarked": sum(row.premarked for row in rows),
            "files": dict(files),
            "settings": project.settings.model_dump(mode="json"),
        },
    )
    return manifest.model_dump(mode="json")
