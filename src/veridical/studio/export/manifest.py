"""The manifest of an export: what it rests on and what was left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from veridical.records.manifests import build_manifest
from veridical.studio.lead.judged import Judged
from veridical.studio.store.projects import Project


def export_manifest(
    project: Project,
    *,
    keep: str,
    counts: Mapping[str, int],
    files: Mapping[str, str],
    rows: Sequence[Judged],
) -> dict[str, Any]:
    """Describe an export."""
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
