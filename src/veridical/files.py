"""Atomic writes, content hashes, JSONL with line numbers, rejected rows kept apart.

A reader never sees half a file: everything is written next to its place and renamed into it.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from veridical.encodings import decode_text
from veridical.errors import DataError, Fault, StorageError
from veridical.processes import place
from veridical.progress import log

JsonObject = dict[str, Any]
"""A JSON object; its values are whatever JSON has."""

_LONGEST_LINE = 2**28


@contextmanager
def atomic_path(path: Path | str, *, wait: bool = True) -> Iterator[Path]:
    """Give a temporary path next to `path`; on success it is renamed to `path`, on failure removed.

    Args:
        path: Where the file will be.
        wait: Wait for the disk before the renaming, which takes milliseconds per file.

    Raises:
        StorageError: The disk refused (full, read-only, no such folder).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)  # with the permissions that the user's umask gives
        yield temporary
        if wait:
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _write_error(path, temporary, error) from error
    finally:
        if temporary.exists():
            temporary.unlink()


_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}(\.[^.]*)?")


def remove_leftovers(folder: Path | str) -> None:
    """Remove temporary files of killed processes below a folder that nobody writes into."""
    for path in Path(folder).rglob(".*"):
        if _LEFTOVER.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def write_text_atomically(path: Path | str, text: str) -> Path:
    r"""Write UTF-8 text, whole or not at all, and return the path.

    Half surrogate pairs, which UTF-8 cannot hold, become what they are in JSON: `\ud800`.
    """
    return write_bytes_atomically(path, text.encode("utf-8", "backslashreplace"))


def write_bytes_atomically(path: Path | str, data: bytes) -> Path:
    """Write bytes, whole or not at all, and return the path."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def write_json_atomically(path: Path | str, value: Any) -> Path:
    """Write indented JSON; NaN and infinity are refused, since JSON has none."""
    return write_text_atomically(
        path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def read_bytes(path: Path | str) -> bytes:
    """Read a whole file.

    Raises:
        StorageError: The disk refused (no such file, no permission).
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StorageError(
            f"Cannot read `{path}`: {error.strerror or error}. Check the path and your permissions."
        ) from error


def _write_error(path: Path, temporary: Path, error: OSError) -> StorageError:
    if isinstance(error, StorageError):
        return error
    other = error.filename is not None and Path(os.fsdecode(error.filename)) not in {
        path,
        path.parent,
        temporary,
    }
    at = f" (`{os.fsdecode(error.filename)}`)" if other else ""
    return StorageError(
        f"Cannot write `{path}`: {error.strerror or error}{at}. Nothing was left half-written; free"
        " space or choose another folder, then run the same command again."
    )


def hash_bytes(data: bytes) -> str:
    """Sha256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path | str) -> str:
    """Sha256 of a file's bytes, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(path: Path | str, *, pattern: str = "**/*") -> str:
    """Sha256 over the names and bytes of the files below a folder, in hex."""
    root = Path(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in root.glob(pattern) if p.is_file()):
        digest.update(f"{file.relative_to(root).as_posix()}\0{hash_file(file)}\n".encode())
    return digest.hexdigest()


class JsonlRow(NamedTuple):
    """One line of a JSONL file: its value, or what is wrong with it."""

    line: int
    """Line number, from 1."""
    raw: str
    """The line as it stands in the file."""
    value: Any
    """The parsed value; None where there is a fault."""
    fault: str | None
    """What is wrong with the line, or None."""


def read_jsonl_rows(path: Path | str) -> Iterator[JsonlRow]:
    """Go through a JSONL file line by line, faults included; blank lines are skipped.

    Raises:
        DataError: The file is missing, not UTF-8, or one JSON array instead of lines.
        StorageError: The disk refused.
    """
    path = Path(path)
    lines = stream_lines(path)
    if lines is None:
        text = read_text(path)
        if text.lstrip().startswith("[") and _is_array(text):
            message = (
                "the file is one JSON array, where one JSON object per line is expected. Write one"
                " object per line, or import it with `veridical data import`."
            )
            raise DataError([Fault(path, 1, message)])
        lines = text.split("\n")
    yield from parse_jsonl(lines)


def stream_lines(path: Path) -> Iterable[str] | None:
    """The lines of a UTF-8 file whose first one is a JSON object, one at a time.

    Returns:
        None for any other file: its text has to be seen whole to say what it is.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(_LONGEST_LINE)
        if not first.startswith(b"{") or parse_json(first.decode("utf-8")) is None:
            return None
    except (OSError, ValueError, RecursionError):
        return None
    return _lines(path)


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield line.decode("utf-8").removesuffix("\n")
            except UnicodeDecodeError:
                read_text(path)  # says what is wrong and where
                raise


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without byte order mark.

    Raises:
        DataError: The file is missing, or in another encoding, which is named where it shows.
        StorageError: The disk refused.
    """
    if not path.is_file():
        raise DataError([Fault(path, None, "there is no such file. Check the path.")])
    return decode_text(path, read_bytes(path))


def _is_array(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


class DuplicateKeyError(ValueError):
    """A JSON object has one key twice; readers would keep the last and drop the others."""


def parse_json(text: str) -> Any:
    """Parse strict JSON: NaN, infinity and repeated keys are errors.

    Raises:
        ValueError: The text is not such JSON; `describe_json_error` says why.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=unique_keys)


def describe_json_error(error: ValueError | RecursionError) -> str:
    """What `parse_json` found wrong, without place in the file."""
    if isinstance(error, RecursionError):
        return "JSON nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg} at column {error.colno}"
    return f"not valid JSON: {error}"


def parse_jsonl(lines: Iterable[str]) -> Iterator[JsonlRow]:
    """Go through the lines of a JSONL file, faults included; skip blank ones."""
    for number, line_text in enumerate(lines, start=1):
        raw = line_text.removesuffix("\r")
        if not raw.strip():
            continue
        try:
            yield JsonlRow(number, raw, parse_json(raw), None)
        except (ValueError, RecursionError) as error:
            message = f"{describe_json_error(error)}, got {raw[:60]!r}. Fix the line."
            yield JsonlRow(number, raw, None, message)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def unique_keys(pairs: list[tuple[str, Any]]) -> JsonObject:
    """Make an object of its pairs; what `json` calls for each object.

    Raises:
        DuplicateKeyError: A key stands twice.
    """
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise DuplicateKeyError(f"the key {name[:60]!r} stands twice in one object")
        seen.add(name)
    return found


def quarantine_rows(
    path: Path, rows: Sequence[tuple[int, str, str]], *, to: Path | None = None
) -> Path:
    """Write bad rows into a file of their own, and log how many.

    Of several processes of one run the first does.

    Args:
        path: The file that the rows come from.
        rows: Line number, raw text and what is wrong, for each bad row.
        to: Where to write them; by default `NAME.bad.jsonl` next to `path`.
    """
    target = to or path.with_name(f"{path.stem}.bad.jsonl")
    if not place().is_first:
        return target
    lines = [
        json.dumps({"file": str(path), "line": n, "fault": m, "row": raw}, ensure_ascii=False)
        for n, raw, m in rows
    ]
    write_text_atomically(target, "\n".join(lines) + "\n")
    noun = "row" if len(rows) == 1 else "rows"
    log(f"{len(rows)} bad {noun} of {path} left out, kept in {target}")
    return target
