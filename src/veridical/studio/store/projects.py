"""The project itself: its name, task, settings, secret and guidelines."""

import secrets
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from veridical.errors import ConfigError
from veridical.studio.settings import StudioSettings, Task
from veridical.studio.store.database import now_ms
from veridical.studio.store.schema import event, guideline, project


class Project(NamedTuple):
    """What a project is."""

    name: str
    """Title shown to people."""
    task: Task
    """What people do."""
    settings: StudioSettings
    """How work is shared out."""
    secret: str
    """Key of the sides' order and of leases; never leaves the server."""
    paused: bool
    """Whether items are handed out at the moment."""


def create_project(
    connection: Connection, name: str, task: Task, settings: StudioSettings, *, guidelines: str
) -> Project:
    """Create the project of a fresh database.

    Raises:
        ConfigError: There is one already.
    """
    if connection.scalar(select(func.count()).select_from(project)):
        raise ConfigError("This folder holds a project already. Open it, or name another folder.")
    row = {
        "id": 1,
        "name": name,
        "task": task,
        "settings": settings.model_dump(mode="json"),
        "secret": secrets.token_hex(32),
        "paused": False,
        "created": now_ms(),
    }
    connection.execute(insert(project).values(row))
    set_guidelines(connection, guidelines, author="Veridical")
    return load_project(connection)


def load_project(connection: Connection) -> Project:
    """Read the project.

    Raises:
        ConfigError: The database holds none.
    """
    row = connection.execute(select(project)).first()
    if row is None:
        raise ConfigError(
            "The database holds no project yet. Make one: veridical studio init FOLDER."
        )
    settings = StudioSettings.model_validate(row.settings)
    return Project(row.name, row.task, settings, row.secret, row.paused)


def change_settings(connection: Connection, settings: StudioSettings, *, paused: bool) -> None:
    """Keep new settings; shares that were drawn at import stay as they are."""
    values = {"settings": settings.model_dump(mode="json"), "paused": paused}
    connection.execute(update(project).values(values))


def set_guidelines(connection: Connection, text: str, *, author: str) -> int:
    """Add a version of the guidelines and give its number; earlier versions stay."""
    version = guidelines_version(connection) + 1
    values = {"version": version, "text": text, "author": author, "created": now_ms()}
    connection.execute(insert(guideline).values(values))
    return version


def guidelines_version(connection: Connection) -> int:
    """Number of the newest guidelines."""
    return int(connection.scalar(select(func.max(guideline.c.version))) or 0)


def current_guidelines(connection: Connection) -> tuple[int, str]:
    """Number and text of the newest guidelines."""
    row = connection.execute(select(guideline).order_by(guideline.c.version.desc())).first()
    return (row.version, row.text) if row is not None else (0, "")


def note_event(
    connection: Connection, kind: str, person_id: int | None = None, **detail: Any
) -> None:
    """Add a line to the log of what happened."""
    values = {"at": now_ms(), "person_id": person_id, "kind": kind, "detail": detail}
    connection.execute(insert(event).values(values))
