"""The stages of a loop, announced and timed, in a folder that belongs to the loop alone."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from veridical.errors import ConfigError
from veridical.progress import log


class Stages:
    """Announces the stages of a loop and keeps their times."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """Wall-clock seconds by stage, in order."""

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        """Announce a stage and time what happens within it."""
        log(title)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started

    def rounded(self) -> dict[str, float]:
        """The times to a hundredth of a second, as results state them."""
        return {name: round(value, 2) for name, value in self.seconds.items()}


def claim_folder(out: Path, *, holds: Sequence[str], what: str) -> None:
    """Make room for a run; nothing but an earlier run of the same kind is ever removed.

    Args:
        out: The folder.
        holds: Names that every run of the kind leaves in its folder.
        what: What the kind is called: "demo".

    Raises:
        ConfigError: `out` is a file, or holds something else.
    """
    if out.is_file():
        raise ConfigError(f"`{out}` is a file. Give a folder with --out.")
    if not out.exists() or not any(out.iterdir()):
        return
    if not all((out / name).exists() for name in holds):
        raise ConfigError(
            f"`{out}` is not empty and holds no earlier {what}. Give another folder with --out."
        )
    log(f"Replacing the earlier {what} in {out}.")
    shutil.rmtree(out)
