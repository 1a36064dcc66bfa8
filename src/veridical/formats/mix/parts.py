"""What every part of the mix has: conversations, counts of what was left out, pictures."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veridical.errors import DataError, Fault
from veridical.files import JsonObject, describe_json_error, read_text
from veridical.formats.benchmark_pictures import benchmarks_showing
from veridical.records import Conversation, ImageRef, Source, Turn
from veridical.records.texts import clean_text, text_fault

SHORT_ANSWER = "Answer the question using a single word or phrase."
"""What asks for a short answer, in LLaVA's words; LLaVA-RLHF's evaluation appends the same."""

_ORIGIN = "mix:"


@dataclass
class Part:
    """One dataset of the mix."""

    name: str
    """Its name, which conversations carry in their origin."""
    conversations: list[Conversation] = field(default_factory=list)
    """One for each picture, or row."""
    found: Counter[str] = field(default_factory=Counter)
    """What the files hold: rows, pictures."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What was not taken, by reason."""

    def add(
        self, picture: str, name: str, exchanges: Iterable[tuple[str, str]], *, source: Source
    ) -> None:
        """Add a conversation about a picture.

        Args:
            picture: Path of the picture.
            name: What tells the conversation from others of the part.
            exchanges: Questions and answers.
            source: Who wrote the answers.
        """
        turns = [
            Turn(role=role, text=clean_text(text))
            for question, answer in exchanges
            for role, text in (("user", question), ("assistant", answer))
        ]
        self.conversations.append(
            Conversation(
                id=f"{self.name}/{name}",
                image=ImageRef(path=picture),
                turns=tuple(turns),
                source=source,
                origin=f"{_ORIGIN}{self.name}",
            )
        )


def part_of(conversation: Conversation) -> str:
    """The part of a mix that a conversation comes from; "" for other conversations."""
    head = conversation.origin.partition(" ")[0]
    return head.removeprefix(_ORIGIN) if head.startswith(_ORIGIN) else ""


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of a dataset lie, and which are kept out."""

    folder: Path | None = None
    """Their folder; None: they are named as they would lie under `default`."""
    default: str = ""
    """Folder below the mix's own where pictures are looked for by default."""
    keep_out: bool = True
    """Leave pictures of benchmarks out."""

    def path(self, *names: str) -> str | None:
        """Path of a picture that has one of several names; None where the folder has none."""
        if self.folder is None:
            return f"{self.default}/{names[0]}"
        found = next((name for name in names if (self.folder / name).is_file()), None)
        return None if found is None else str((self.folder / found).absolute())

    def take(self, part: Part, *names: str) -> str | None:
        """Path of a picture that may be learned from; None, and counted, for any other."""
        benchmarks = benchmarks_showing(names[0]) if self.keep_out else ()
        if benchmarks:
            part.left_out[f"picture of {', '.join(benchmarks)}"] += 1
            return None
        path = self.path(*names)
        if path is None:
            part.left_out["picture not in the folder"] += 1
        return path


def coco_names(number: int) -> tuple[str, ...]:
    """The names that a COCO training picture has in the releases of 2017 and 2014."""
    return (
        f"{number:012d}.jpg",
        f"COCO_train2014_{number:012d}.jpg",
        f"COCO_val2014_{number:012d}.jpg",
    )


def read_json(file: Path) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: It is missing, or not JSON.
    """
    try:
        return json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        message = f"{describe_json_error(error)}. Download the file again."
        raise DataError([Fault(file, line, message)]) from error


def rows_of(
    file: Path, value: Any, *, key: str | None, fields: Mapping[str, type | tuple[type, ...]]
) -> Iterator[JsonObject]:
    """Rows of a published file, each checked for the fields that are read.

    Args:
        file: The file.
        value: What it holds.
        key: Key under which the rows stand; None: the file is a list of them.
        fields: Names of fields, and what they must be.

    Raises:
        DataError: It is another file, or rows miss fields; all of them.
    """
    rows = value.get(key) if key is not None and isinstance(value, dict) else value
    if not isinstance(rows, list) or (key is not None and rows is value):
        where = f"an object with a list under {key!r}" if key is not None else "a list of objects"
        message = f"the file must be {where}, got {type(value).__name__}. Give the right file."
        raise DataError([Fault(file, None, message)])
    faults = [
        Fault(file, number, fault)
        for number, row in enumerate(rows, start=1)
        if (fault := _row_fault(row, fields)) is not None
    ]
    if faults:
        raise DataError(faults, advice="Download the file again, or name the right one.")
    return iter(rows)


def _row_fault(row: Any, fields: Mapping[str, type | tuple[type, ...]]) -> str | None:
    if not isinstance(row, dict):
        return f"a row must be an object, got {str(row)[:40]!r}."
    for name, kind in fields.items():
        value = row.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"`{name}` must be {_kind_name(kind)}, got {str(value)[:40]!r}."
        if isinstance(value, str) and (fault := text_fault(value, name, response=False)):
            return fault
    return None


def _kind_name(kind: type | tuple[type, ...]) -> str:
    names = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}
    kinds: Sequence[type] = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(names.get(one, one.__name__) for one in kinds)
