"""One database: SQLite beside the project's pictures by default, PostgreSQL by its URL.

SQLite is opened in WAL mode with full synchronisation, so that an acknowledged judgement survives a
crash and a power cut; all writers queue behind one lock, those of other processes (an import)
behind a locked file, instead of SQLite's busy handler, which starves people under load. Reads go on
next to the writer.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from veridical.errors import ConfigError, StorageError
from veridical.files import JsonObject
from veridical.studio.store.schema import metadata

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_FULL = ("database or disk is full", "disk I/O error", "No space left", "could not extend")


def now_ms() -> int:
    """The time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Database:
    """An open database with its two ways in: `reading()` and `writing()`."""

    def __init__(self, url: str) -> None:
        """Open `url`, for instance "sqlite:////data/studio.db" or "postgresql+psycopg://…"."""
        self.url = make_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        if not self.sqlite and self.url.get_backend_name() != "postgresql":
            raise ConfigError(
                f"The studio keeps its data in SQLite or PostgreSQL, got a URL of "
                f"`{self.url.get_backend_name()}`. Give sqlite:///FILE or postgresql://HOST/NAME."
            )
        if not self.sqlite and self.url.drivername == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
        options: JsonObject = {"pool_size": 12, "max_overflow": 40}
        if not self.sqlite:  # a server takes about 100 connections, from all processes together
            options = {"pool_size": 10, "max_overflow": 10, "pool_recycle": 1800}
        self.engine: Engine = create_engine(self.url, **options)
        self._writer = _WriteLock(self.url.database if self.sqlite else None)
        if self.sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the database."""
        with _disk_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction; on return it is on disk, after an exception nothing of it is.

        Raises:
            StorageError: The disk is full or refused.
        """
        if not self.sqlite:
            with _disk_errors(), self.engine.begin() as connection:
                yield connection
            return
        with self._writer.held(), _disk_errors(), self.engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection

    def migrate(self) -> None:
        """Bring the tables to this version's schema; starts from nothing, too.

        Raises:
            ConfigError: A newer version of Veridical made the tables.
        """
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        with resources.as_file(resources.files("veridical.studio.store") / "migrations") as folder:
            config.set_main_option("script_location", str(folder))
            with self.writing() as connection:
                if not self.sqlite:  # two servers that start together must not both migrate
                    connection.execute(text("SELECT pg_advisory_xact_lock(748015)"))
                config.attributes["connection"] = connection
                try:
                    command.upgrade(config, "head")
                except CommandError as error:
                    raise ConfigError(
                        f"The project's database is of another version: {error}. Open it with the "
                        "version of Veridical that made it, or a newer one."
                    ) from error

    def drop(self) -> None:
        """Remove all tables with everything in them."""
        with self.writing() as connection:
            metadata.drop_all(connection)
            connection.execute(text("DROP TABLE IF EXISTS alembic_version"))

    def backup(self, target: Path) -> Path:
        """Copy a SQLite database, consistent although people go on working, into a new file.

        Raises:
            ConfigError: This is PostgreSQL, which brings `pg_dump`; or the file exists.
        """
        if not self.sqlite:
            raise ConfigError("This project is kept in PostgreSQL. Back it up with pg_dump.")
        if target.exists():
            raise ConfigError(f"`{target}` exists already. Name a new file.")
        plain = self.engine.raw_connection()  # outside of a transaction
        try:
            plain.cursor().execute("VACUUM INTO ?", (str(target),))
        finally:
            plain.close()
        return target

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


class _WriteLock:
    """One writer at a time: a lock among threads, then a locked file among processes.

    Where files cannot be locked so (Windows), other processes wait by SQLite's busy handler.
    """

    def __init__(self, database: str | None) -> None:
        self._threads = threading.Lock()
        self._path = Path(f"{database}-write.lock") if database and database != ":memory:" else None

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._threads:
            if self._path is None or fcntl is None:
                yield
                return
            with self._path.open("ab") as file:  # closing it unlocks it
                fcntl.flock(file, fcntl.LOCK_EX)
                yield


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=15000",
        "cache_size=-32000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        reason = str(error.orig)
        if any(sign in reason for sign in _FULL):
            raise StorageError(
                f"The database could not write: {reason}. Nothing was half-written; free space."
            ) from error
        raise
