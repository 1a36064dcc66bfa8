"""Pages: templates, always escaped and without unknown names; guidelines as blocks of text.

Guidelines are Markdown without HTML; each task comes with its own to begin with.
"""

import re
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from veridical.studio.settings import Task
from veridical.studio.store.people import Person, change_token
from veridical.studio.store.projects import Project


@cache
def environment() -> Environment:
    """The environment of all templates."""
    return Environment(
        loader=PackageLoader("veridical.studio.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    template: str, project: Project, who: Person | None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page."""
    text = (
        environment()
        .get_template(template)
        .render(
            project=project,
            who=who,
            change_token=change_token(project.secret, who.session) if who else "",
            **values,
        )
    )
    return HTMLResponse(text, status_code=status)


class Block(NamedTuple):
    """A piece of the guidelines."""

    kind: str
    """"heading", "paragraph" or "list"."""
    lines: tuple[tuple[tuple[str, str], ...], ...]
    """Lines of runs: ("text" | "strong" | "code" | "del" | "ins", words)."""


_RUNS = re.compile(
    r"\*\*(?P<strong>[^*]+)\*\*|`(?P<code>[^`]+)`|~~(?P<del>[^~]+)~~|\+\+(?P<ins>[^+]+)\+\+"
)


def own_guidelines(task: Task) -> str:
    """The guidelines that a project starts with."""
    folder = resources.files("veridical.studio.web") / "texts"
    return (folder / f"{task}.md").read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """Cut a text into headings, lists and paragraphs."""
    found: list[Block] = []
    for chunk in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in chunk.splitlines() if line.strip()]
        while lines and lines[0].startswith("#"):
            found.append(Block("heading", (_runs(lines.pop(0).lstrip("# ")),)))
        if lines and lines[0].startswith("- "):
            points = " ".join(lines)[2:].split(" - ")
            found.append(Block("list", tuple(_runs(point) for point in points)))
        elif lines:
            found.append(Block("paragraph", (_runs(" ".join(lines)),)))
    return found


def _runs(line: str) -> tuple[tuple[str, str], ...]:
    runs, place = [], 0
    for match in _RUNS.finditer(line):
        if match.start() > place:
            runs.append(("text", line[place : match.start()]))
        kind = str(match.lastgroup)
        runs.append((kind, match[kind]))
        place = match.end()
    if place < len(line):
        runs.append(("text", line[place:]))
    return tuple(runs)
