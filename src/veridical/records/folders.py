"""A folder of records: one file for each kind of record, images next to them."""

import json
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TextIO

from veridical.errors import ConfigError, DataError, Fault
from veridical.files import atomic_path, read_bytes, read_jsonl_rows
from veridical.progress import log
from veridical.records.base import Record
from veridical.records.judgements import Comparison, Correction, Marking, Rating
from veridical.records.prompts import Conversation, Facts, Prompt, Response
from veridical.records.storage import header_line, read_records

CORRECTIONS_FILE = "corrections.jsonl"
"""`Correction`: a response and its minimally corrected version."""
COMPARISONS_FILE = "comparisons.jsonl"
"""`Comparison`: which of two responses is better."""
RATINGS_FILE = "ratings.jsonl"
"""`Rating`: a score of one response."""
MARKINGS_FILE = "markings.jsonl"
"""`Marking`: hallucinated spans of responses."""
PROMPTS_FILE = "prompts.jsonl"
"""`Prompt`."""
RESPONSES_FILE = "responses.jsonl"
"""`Response`."""
FACTS_FILE = "facts.jsonl"
"""`Facts`."""
CONVERSATIONS_FILE = "conversations.jsonl"
"""`Conversation`."""

RECORD_OF_FILE: dict[str, type[Record]] = {
    PROMPTS_FILE: Prompt,
    RESPONSES_FILE: Response,
    CORRECTIONS_FILE: Correction,
    COMPARISONS_FILE: Comparison,
    RATINGS_FILE: Rating,
    MARKINGS_FILE: Marking,
    CONVERSATIONS_FILE: Conversation,
    FACTS_FILE: Facts,
}
"""What each file of a folder holds; in the order of the fields of `Contents`."""


class Contents(NamedTuple):
    """The records of a row of a public format, of a file, or of a whole folder."""

    prompts: tuple[Prompt, ...] = ()
    """What was asked."""
    responses: tuple[Response, ...] = ()
    """What was answered."""
    corrections: tuple[Correction, ...] = ()
    """What people corrected."""
    comparisons: tuple[Comparison, ...] = ()
    """What people preferred."""
    ratings: tuple[Rating, ...] = ()
    """How people rated responses."""
    markings: tuple[Marking, ...] = ()
    """What people marked as hallucinated."""
    conversations: tuple[Conversation, ...] = ()
    """What fine-tuning learns from."""
    facts: tuple[Facts, ...] = ()
    """What is known to be true."""

    @property
    def counts(self) -> dict[str, int]:
        """How many records of each kind there are; kinds without any are left out."""
        return {
            name: len(records) for name, records in zip(self._fields, self, strict=True) if records
        }


def join_contents(parts: list[Contents]) -> Contents:
    """Put the records of many rows together, in order."""
    columns: Any = zip(*parts, strict=True) if parts else ((),) * len(Contents._fields)
    return Contents(*(tuple(record for part in column for record in part) for column in columns))


def record_files(folder: Path | str) -> list[str]:
    """Names of the files of records that a folder has."""
    return [name for name in RECORD_OF_FILE if (Path(folder) / name).is_file()]


def read_contents(path: Path | str) -> Contents:
    """Read every file of records of a folder, or the one file that is named.

    Raises:
        DataError: Lines that are not a valid record, or a file that does not say what it holds.
    """
    path = Path(path)
    if path.is_dir():
        files = {RECORD_OF_FILE[name]: path / name for name in record_files(path)}
    else:
        files = {record_type_of(path): path}
    found: Any = (
        tuple(read_records(files[kind], kind)) if kind in files else ()
        for kind in RECORD_OF_FILE.values()
    )
    return Contents(*found)


class RunPrompts(NamedTuple):
    """The prompts that a run of `veridical generate` answered."""

    file: Path
    """The file of prompts; image paths start from its folder."""
    outside: bool
    """Whether the run accepted images outside of that folder."""


def find_run_prompts(folder: Path | str, prompts: Path | None = None) -> RunPrompts:
    """Find the prompts of a folder with responses: named, inside of it, or as its manifest says.

    Raises:
        ConfigError: They are nowhere.
    """
    folder = Path(folder)
    manifest = folder / "manifest.json"
    said = json.loads(read_bytes(manifest)) if manifest.is_file() else {}
    recipe = said.get("recipe", {}) if isinstance(said, dict) else {}
    own = folder / PROMPTS_FILE
    named = Path(str(recipe.get("prompts") or own))
    # What the run keeps itself names pictures by absolute paths: the file it read is better.
    places = [folder / named, folder.parent / named, named, own]
    found = prompts or next((place for place in places if place.is_file()), None)
    if found is None:
        raise ConfigError(
            f"The prompts that `{folder}` answers were not found at `{named}`. "
            "Name the file: --prompts FILE."
        )
    return RunPrompts(found, bool(recipe.get("images_outside")))


def record_type_of(path: Path) -> type[Record]:
    """The kind of record that a file holds: by its first line, its rows, or its name.

    Raises:
        DataError: There is no such file, or it does not say.
    """
    types = {kind.__name__: kind for kind in RECORD_OF_FILE.values()}
    types |= {name.lower(): kind for name, kind in types.items()}
    for row in read_jsonl_rows(path):
        value = row.value if isinstance(row.value, dict) else {}
        for said in (value.get("veridical"), value.get("type")):
            if isinstance(said, str) and said in types:
                return types[said]
        break
    if path.name in RECORD_OF_FILE:
        return RECORD_OF_FILE[path.name]
    message = (
        "the first line does not say which records the file holds. Name the file as its kind:"
        f" {', '.join(RECORD_OF_FILE)}."
    )
    raise DataError([Fault(path, None, message)])


def write_contents(folder: Path | str, contents: Contents) -> None:
    """Write one file for each kind of record that there is."""
    with FolderWriter(Path(folder)) as writer:
        writer.write(contents)


class FolderWriter(AbstractContextManager["FolderWriter"]):
    """Writes the files of a folder side by side; all of them appear at the end, or none."""

    def __init__(self, folder: Path) -> None:
        """Write into `folder`; files are opened as their kind of record comes."""
        self.counts: Counter[str] = Counter()
        """How many records of each kind were written, by the names of `Contents`."""
        self._folder = folder
        self._stack = ExitStack()
        self._files: dict[str, TextIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the files into their places, or remove them where something was raised."""
        for file in self._files.values():
            file.close()
        self._stack.__exit__(kind, error, trace)

    def write(self, contents: Contents) -> None:
        """Write the records of a row, each into the file of its kind.

        Raises:
            StorageError: The disk refused.
            PydanticSerializationError: A record cannot be written as JSON.
        """
        for field, name, records in zip(contents._fields, RECORD_OF_FILE, contents, strict=True):
            lines = [record.model_dump_json() for record in records]
            if lines:
                self._file(name, records[0]).write("\n".join(lines) + "\n")
                self.counts[field] += len(lines)

    def _file(self, name: str, record: Record) -> TextIO:
        if name not in self._files:
            temporary = self._stack.enter_context(atomic_path(self._folder / name))
            self._files[name] = temporary.open("w", encoding="utf-8", newline="\n")
            self._files[name].write(header_line(type(record)) + "\n")
        return self._files[name]

    def remove_other_files(self) -> None:
        """Remove files of an earlier import that would be taken for part of this one."""
        for name in RECORD_OF_FILE:
            path = self._folder / name
            if name not in self._files and path.exists():
                log(f"Removed `{path}` of an earlier import")
                path.unlink()
