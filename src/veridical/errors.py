"""Every error that Veridical raises on purpose.

    VeridicalError
    ├── ConfigError(ValueError)       a recipe or an option is wrong
    ├── DataError(ValueError)         input data is wrong; carries every fault, each with its place
    ├── RowError(ValueError)          one row is wrong; gathered into a DataError by its reader
    ├── ModelError(ValueError)        a model cannot do what is asked of it
    ├── MissingPackageError(ImportError)  an optional package is needed and absent
    └── StorageError(OSError)         the disk refused a read or a write

The text of each says: *what is wrong and where · what we got · what to do.*
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_SHOWN_FAULTS = 20
_ALIKE = 5
"""More faults of one kind than this are summed up."""
_EXAMPLES = 3
_LONGEST = 600
"""Characters of a message."""
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|(?<=, got ).*?(?=\. [A-Z]|$)|\d+(?:[.,/]\d+)*")
"""What differs between two faults of one kind: quoted texts, what we got, numbers."""


class VeridicalError(Exception):
    """Base of all errors raised on purpose; the command line shows its text without a traceback."""


class ConfigError(VeridicalError, ValueError):
    """A recipe, an override or an option is wrong."""


class ModelError(VeridicalError, ValueError):
    """A model, adapter or processor cannot do what is asked of it."""


class MissingPackageError(VeridicalError, ImportError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package `{package}`, which is not installed. "
            f"Install it with: {install_line(extra)}"
        )


def install_line(extra: str = "") -> str:
    """The pip command that adds an extra to this installation, wherever it came from.

    A clone or a wheel is named by its path, which pip recorded when it installed it (PEP 610).
    Without such a record the package came from an index, and its name is enough.
    """
    source, options = _install_source()
    return f'pip install {options}"{source}{f"[{extra}]" if extra else ""}"'


def _install_source() -> tuple[str, str]:
    """What to install, and pip's options before it."""
    from importlib import metadata  # only an error needs it: importing this module stays instant

    try:
        record = json.loads(metadata.distribution("veridical").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        record = {}
    url = urlsplit(record.get("url", ""))
    if url.scheme != "file":
        return "veridical", ""
    options = "-e " if record.get("dir_info", {}).get("editable") else ""
    return unquote(url.path), options


class StorageError(VeridicalError, OSError):
    """The disk refused a read or a write (full, read-only, missing)."""


class Fault(NamedTuple):
    """One thing that is wrong with one row of input data."""

    file: Path
    """The file that holds the row."""
    line: int | None
    """Line of the row, counted from 1 (row number for Parquet); None when the whole file is
    meant."""
    message: str
    """What is wrong · what we got · what to do."""

    def __str__(self) -> str:
        place = f"{self.file}" if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {shortened(self.message)}"


def shortened(message: str) -> str:
    """A message without the middle of a text that somebody's file put there."""
    if len(message) <= _LONGEST:
        return message
    return f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 2 :]}"


class DataError(VeridicalError, ValueError):
    """Input data is wrong; `faults` holds every fault, the text shows the first twenty.

    Of many faults of one kind the text shows three and how many more there are.
    """

    def __init__(self, faults: Sequence[Fault], *, advice: str = "") -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        head = f"{count} {'fault' if count == 1 else 'faults'} in the input:"
        lines = [head, *(f"  {line}" for line in fault_lines(self.faults))]
        if advice:
            lines.append(advice)
        super().__init__("\n".join(lines))


def fault_lines(faults: Sequence[Fault]) -> list[str]:
    """Faults as text, those of one kind together where there are many of them."""
    kinds: dict[tuple[Path, str], list[Fault]] = {}
    kind_of: dict[str, str] = {}
    for fault in faults:
        if fault.message not in kind_of:
            kind_of[fault.message] = _VALUES.sub("…", shortened(fault.message))
        kinds.setdefault((fault.file, kind_of[fault.message]), []).append(fault)
    lines: list[str] = []
    unseen = len(faults)
    for alike in kinds.values():
        many = len(alike) > _ALIKE
        shown = alike[: _EXAMPLES if many else None][: _SHOWN_FAULTS - len(lines)]
        lines += map(str, shown)
        unseen -= len(alike) if many and shown else len(shown)
        if many and shown:
            last = f", the last in line {alike[-1].line}" if alike[-1].line is not None else ""
            lines.append(f"… and {len(alike) - len(shown):,} more like this{last}")
    return [*lines, *([f"… and {unseen:,} more"] if unseen else [])]


class RowError(VeridicalError, ValueError):
    """One row of data is wrong; its reader adds file and line and gathers the faults."""

    def __init__(self, *messages: str) -> None:
        self.messages = messages
        super().__init__(" ".join(messages))


@contextmanager
def gather_row_errors(messages: list[str]) -> Iterator[None]:
    """Add a `RowError` of the block to `messages`, so that one fault does not hide the next."""
    try:
        yield
    except RowError as error:
        messages += error.messages
