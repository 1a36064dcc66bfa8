"""One process at a time in a run directory; a second is refused with the first's id and host.

The lock itself is the operating system's (`filelock`), so that it ends with its process, however
that ends. A file next to it says who holds it; one that a killed process left is taken over.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from veridical.errors import ConfigError, StorageError
from veridical.files import write_text_atomically
from veridical.progress import log

LOCK_FILE = ".lock"
"""What is locked, in the run directory."""
HOLDER_FILE = "running.json"
"""Who holds the lock; there only while a process works, or where one was killed."""


class Holder(BaseModel):
    """The process that works in a run directory."""

    pid: int
    """Its process id."""
    host: str
    """The machine it runs on."""
    started: str
    """When it began, ISO 8601, UTC."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.started}"


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Hold a run directory for the block; it is made where there is none.

    Raises:
        ConfigError: Another process holds it, or one on another host may still do.
        StorageError: The disk refused.
    """
    lock, holder = FileLock(run_dir / LOCK_FILE), run_dir / HOLDER_FILE
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigError(
            f"`{run_dir}` is in use ({_read(holder) or 'by a process that did not say which'})."
            " Wait until it ends, stop it, or give another folder."
        ) from None
    except OSError as error:
        raise StorageError(
            f"Cannot write to `{run_dir}`: {error.strerror or error}. Give another folder, or the"
            " rights to write to this one."
        ) from error
    try:
        _take_over(_read(holder), run_dir)
        me = Holder(pid=os.getpid(), host=socket.gethostname(), started=_now())
        write_text_atomically(holder, me.model_dump_json() + "\n")
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)
    finally:
        lock.release()


def _take_over(before: Holder | None, run_dir: Path) -> None:
    if before is None:
        return
    if before.host != socket.gethostname():
        # Locks of a network file system need not reach from host to host.
        raise ConfigError(
            f"`{run_dir}` was left in use ({before}), and from {socket.gethostname()} it cannot be"
            f" seen whether that process still runs. If it does not, delete"
            f" `{run_dir / HOLDER_FILE}` and start again."
        )
    log(f"Taking over {run_dir}: process {before.pid} ended without finishing.")


def _read(file: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
