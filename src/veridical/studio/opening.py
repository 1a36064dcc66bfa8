"""An opened project: its folder and its database."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.studio.store.database import Database

DATABASE_FILE = "studio.db"
URL_FILE = "database.url"


class Studio(NamedTuple):
    """What the app serves."""

    folder: Path
    """The project's folder: `studio.db` (or `database.url`) and `images/`."""
    database: Database
    """Its database, migrated."""
    secure: bool = False
    """Whether people reach it by TLS."""


def database_url(folder: Path, url: str | None = None) -> str:
    """Where a folder's data is: the URL given, that of its `database.url`, or its SQLite file."""
    kept = folder / URL_FILE
    if url is None and kept.is_file():
        url = kept.read_text(encoding="utf-8").strip()
    return url or f"sqlite:///{(folder / DATABASE_FILE).resolve()}"


def open_studio(folder: Path, *, secure: bool = False) -> Studio:
    """Open a project's folder.

    Raises:
        ConfigError: It is not one.
    """
    if not is_studio(folder):
        raise ConfigError(
            f"`{folder}` is not a studio project. Make one: veridical studio init {folder}"
        )
    database = Database(database_url(folder))
    database.migrate()
    return Studio(folder, database, secure)


def make_studio_folder(folder: Path, url: str | None = None) -> Database:
    """Make the folder and the tables of a new project; give its database.

    Raises:
        ConfigError: There is a project already.
    """
    if is_studio(folder):
        raise ConfigError(f"`{folder}` holds a project already. Open it, or name another folder.")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o700)  # noqa: PTH101 (answers and sessions are nobody else's business)
    if url is not None:
        (folder / URL_FILE).write_text(url + "\n", encoding="utf-8")
    database = Database(database_url(folder, url))
    database.migrate()
    return database


def remove_studio_folder(folder: Path, database: Database) -> None:
    """Take back what `make_studio_folder` made, and the pictures that came in since."""
    if not database.sqlite:
        database.drop()
    database.close()
    for path in (*folder.glob(f"{DATABASE_FILE}*"), folder / URL_FILE):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / "images", ignore_errors=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def is_studio(folder: Path) -> bool:
    """Whether a folder holds a project."""
    return (folder / DATABASE_FILE).is_file() or (folder / URL_FILE).is_file()
