"""AMBER's files: annotations, words, queries, and nouns that were found beforehand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from veridical.benchmarks.amber.words import Lexicon
from veridical.scoring.matching import BY_ORDER
from veridical.scoring.rows import (
    Faults,
    Row,
    field,
    index_rows,
    number_id,
    read_document,
    read_rows,
    shown,
)

IDS = ("id", "question_id", "prompt_id", "index")
"""Names of an item's id, the official one first."""
GENERATIVE = "generative"
_DIMENSIONS = {
    "generative": GENERATIVE,
    "discriminative-attribute-state": "state",
    "discriminative-attribute-number": "number",
    "discriminative-attribute-action": "action",
    "discriminative-hallucination": "existence",
    "discriminative-relation": "relation",
    "relation": "relation",
}
"""Official types → our dimensions."""


class AmberItem(NamedTuple):
    """One response with its truth."""

    id: int
    """Official id."""
    image: str
    """The image, where the queries are there to say it; else a name per question."""
    dimension: str
    """"generative", or the dimension of a question."""
    response: str
    """What the model said."""
    nouns: tuple[str, ...] = ()
    """Its nouns, for descriptions."""
    truth: tuple[str, ...] = ()
    """Words of what is there, for descriptions."""
    traps: tuple[str, ...] = ()
    """Words of what people expect to be imagined, for descriptions."""
    label: Literal["yes", "no"] = "no"
    """The true answer, for questions."""


def data_folder(folder: Path) -> Path:
    """The folder of annotations, or that of the repository, which holds it as `data`."""
    inner = folder / "data"
    return inner if not (folder / "annotations.json").is_file() and inner.is_dir() else folder


def read_lexicon(folder: Path, faults: Faults) -> Lexicon:
    """Read relation.json and safe_words.txt."""
    path = folder / "relation.json"
    table = read_document(path, faults)
    related = {}
    for word, others in (table if isinstance(table, dict) else {}).items():
        if not isinstance(others, list) or not all(isinstance(other, str) for other in others):
            faults.add_file(path, f"the words related to {word!r} must be a list of words. Fix it.")
            continue
        related[word] = tuple(others)
    if table is not None and not isinstance(table, dict):
        faults.add_file(
            path, "must be an object: word → related words. Give AMBER's relation.json."
        )
    safe_path = folder / "safe_words.txt"
    if not safe_path.is_file():
        faults.add_file(safe_path, "there is no such file. Give AMBER's data folder.")
        return Lexicon(related, frozenset())
    return Lexicon(related, frozenset(safe_path.read_text(encoding="utf-8").split()))


def read_annotations(path: Path, lexicon: Lexicon, faults: Faults) -> dict[int, AmberItem]:
    """Read the truth of every item, by id."""
    found = {}
    rows = read_rows(path, faults)
    for number, row in index_rows(
        rows, lambda row: number_id(row, ("id",), faults), faults
    ).items():
        dimension = _DIMENSIONS.get(field(row, "type", str, faults, otherwise="generative"))
        if dimension is None:
            faults.add(
                row, f"unknown `type` {row.values['type']!r}. Known: {', '.join(_DIMENSIONS)}."
            )
        elif dimension == GENERATIVE:
            truth, traps = (_words(row, name, lexicon, faults) for name in ("truth", "hallu"))
            found[number] = AmberItem(number, "", dimension, "", truth=truth, traps=traps)
        else:
            label = field(row, "truth", str, faults, otherwise="no")
            if label not in ("yes", "no"):
                faults.add(row, f"`truth` must be yes or no, got {label!r}. Fix the row.")
            found[number] = AmberItem(
                number, "", dimension, "", label="yes" if label == "yes" else "no"
            )
    return found


def _words(row: Row, name: str, lexicon: Lexicon, faults: Faults) -> tuple[str, ...]:
    words: list[object] = field(row, name, list, faults, otherwise=[])
    unknown = [word for word in words if not isinstance(word, str) or word not in lexicon.related]
    if unknown and lexicon.related:
        faults.add(
            row,
            f"`{name}` holds {unknown[0]!r}, which relation.json lacks. Give files of one release.",
        )
    return tuple(str(word) for word in words if word not in unknown)


def query_rows(folder: Path, faults: Faults) -> list[Row]:
    """All queries, each once: query_all.json holds what the other files hold."""
    paths = sorted(folder.glob("query_*.json"))
    parts = [path for path in paths if path.name != "query_all.json"]
    return [row for path in parts or paths for row in read_rows(path, faults)]


def read_images(folder: Path, faults: Faults) -> dict[int, str]:
    """Image of every item; empty where the folder of queries is not there."""
    return {
        number: field(row, "image", str, faults, otherwise="")
        for row in query_rows(folder, faults)
        if (number := number_id(row, ("id",), faults)) is not None
    }


def index_responses(
    rows: Sequence[Row],
    annotations: Mapping[int, AmberItem],
    faults: Faults,
    *,
    asked: Sequence[int],
) -> dict[int, Row]:
    """Responses by id; one to an item that is not there is a fault.

    Rows without ids are those of the items asked, in their order, where there are as many.
    """
    if len(rows) == len(asked) and not any(name in row.values for row in rows for name in IDS):
        faults.notes.append(BY_ORDER)
        return dict(zip(asked, rows, strict=True))
    by_id = index_rows(rows, lambda row: number_id(row, IDS, faults), faults)
    for number, row in by_id.items():
        if number not in annotations and annotations:
            faults.add(
                row, f"there is no item {number}; ids are {min(annotations)} to {max(annotations)}."
            )
    return by_id


def read_nouns(path: Path | None, faults: Faults) -> dict[int, tuple[str, ...]]:
    """Nouns by id, from a file of `id`, `nouns`; empty without a file."""
    rows = [] if path is None else read_rows(path, faults)
    by_id = index_rows(rows, lambda row: number_id(row, IDS, faults), faults)
    return {number: given_nouns(row, faults) or () for number, row in by_id.items()}


def given_nouns(row: Row, faults: Faults) -> tuple[str, ...] | None:
    """The nouns that a row brings, None where it brings none."""
    if "nouns" not in row.values:
        return None
    nouns: list[object] = field(row, "nouns", list, faults, otherwise=[])
    if not all(isinstance(noun, str) for noun in nouns):
        faults.add(row, f"`nouns` must be a list of words, got {shown(nouns)}. Fix the row.")
        return ()
    return tuple(map(str, nouns))
