"""Items going in: pictures kept under the hash of their bytes, slots for the wanted judgements.

An item comes in once: one with a known key or the same content is counted as a duplicate. Items go
in by the thousand, the write lock is free in between, so people go on working during an import.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from veridical.errors import DataError, Fault
from veridical.files import hash_bytes, write_bytes_atomically
from veridical.studio.store.database import Database
from veridical.studio.store.pictures import examine_picture
from veridical.studio.store.projects import Project, load_project
from veridical.studio.store.schema import image, item, response, slot
from veridical.studio.tasks.texts import shown_text, text_fault

_BATCH = 1000


class NewImage(NamedTuple):
    """A picture to keep."""

    data: bytes
    """The whole file."""
    name: str
    """Its name, for people to see."""


class NewItem(NamedTuple):
    """One question about one or several pictures, with what was answered."""

    key: str
    """Unique in the project: the prompt's id, with the response's where that is needed."""
    images: tuple[NewImage, ...]
    """The pictures in order; may be empty."""
    prompt: dict[str, Any]
    """The `Prompt` record, which exports give back."""
    responses: tuple[dict[str, Any], ...]
    """The `Response` records: two to compare, one otherwise."""
    suspects: list[dict[str, Any]] | None = None
    """Segments that a model or a detector suspects: start, end, perhaps kind."""
    score: float | None = None
    """Where the queue goes by scores: highest first."""
    gold: dict[str, Any] | None = None
    """The known answer, as the body of a judgement; None for an item that is to be judged."""
    gold_note: str = ""
    """Why it is the answer; shown to people after theirs."""
    where: Fault | None = None
    """File and line that the item comes from, for messages."""


class Imported(NamedTuple):
    """What an import did."""

    added: int
    """New items."""
    duplicates: int
    """Items that were there already."""
    slots: int
    """Judgements wanted for the new items."""


def add_items(database: Database, folder: Path, items: Iterable[NewItem]) -> Imported:
    """Keep items, a thousand per transaction.

    Args:
        database: Where to.
        folder: The project's folder; pictures go into its `images/`.
        items: What to keep.

    Raises:
        DataError: A text or picture cannot be kept.
    """
    with database.reading() as connection:
        project = load_project(connection)
    added = duplicates = slots = 0
    for batch in _batches(items, _BATCH):
        pictures = [tuple(_keep(folder, one, new) for one in new.images) for new in batch]
        with database.writing() as connection:
            for new, kept in zip(batch, pictures, strict=True):
                made = _add(connection, project, new, kept)
                added, duplicates = added + (made >= 0), duplicates + (made < 0)
                slots += max(made, 0)
    return Imported(added, duplicates, slots)


def chance(secret: str, *words: object) -> float:
    """A number in [0, 1) that depends on the words alone."""
    text = "\0".join(map(str, words)).encode()
    return int.from_bytes(hmac.new(secret.encode(), text, hashlib.sha256).digest()[:6]) / 2**48


def flipped_side(secret: str, key: str, number: int) -> bool:
    """Whether slot `number` of an item shows its second response on the left: each in turn."""
    return (chance(secret, "side", key) < 0.5) != bool(number % 2)


class _Kept(NamedTuple):
    sha256: str
    suffix: str
    width: int
    height: int
    name: str


def _batches(items: Iterable[NewItem], size: int) -> Iterator[list[NewItem]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _keep(folder: Path, new: NewImage, of: NewItem) -> _Kept:
    suffix, width, height = examine_picture(new.data, where=of.where)
    sha256 = hash_bytes(new.data)
    path = folder / "images" / f"{sha256}.{suffix}"
    if not path.exists():
        write_bytes_atomically(path, new.data)
    return _Kept(sha256, suffix, width, height, new.name)


def _add(connection: Connection, project: Project, new: NewItem, kept: Sequence[_Kept]) -> int:
    """Add one item; give the number of its slots, or -1 where it was there already."""
    texts = [str(record["text"]) for record in new.responses]
    for text in (new.key, str(new.prompt["question"]), new.gold_note, *texts):
        fault = text_fault(text)
        if fault is not None:
            source = new.where or Fault(Path(new.key), None, "")
            raise DataError([source._replace(message=f"the text {text[:40]!a} {fault}")])
    content = "\0".join([*(one.sha256 for one in kept), str(new.prompt["question"]), *texts])
    digest = hashlib.sha256(content.encode()).hexdigest()
    known = select(item.c.id).where((item.c.key == new.key) | (item.c.content == digest))
    if connection.execute(known).first() is not None:
        return -1
    for one in kept:
        if connection.scalar(select(image.c.sha256).where(image.c.sha256 == one.sha256)) is None:
            connection.execute(insert(image).values(one._asdict()))
    settings, secret = project.settings, f"{project.settings.seed}"
    shared = chance(secret, "overlap", new.key) < settings.overlap_share
    wanted = 0 if new.gold is not None else settings.overlap if shared else 1
    values = {
        "key": new.key,
        "content": digest,
        "images": [one.sha256 for one in kept],
        "question": shown_text(str(new.prompt["question"])),
        "history": [[shown_text(said) for said in turn] for turn in new.prompt.get("history", ())],
        "reference": new.prompt.get("reference"),
        "prompt": new.prompt,
        "wanted": wanted,
        "score": new.score,
        "suspects": new.suspects,
        "premarked": bool(new.suspects)
        and chance(secret, "premarked", new.key) < settings.premarked_share,
        "is_gold": new.gold is not None,
        "gold": new.gold,
        "gold_note": new.gold_note,
    }
    made = connection.execute(insert(item).values(values)).inserted_primary_key
    item_id = int(made[0]) if made else 0
    rows = [
        {"item_id": item_id, "number": n, "text": shown_text(text), "raw": text, "record": record}
        for n, (text, record) in enumerate(zip(texts, new.responses, strict=True))
    ]
    connection.execute(insert(response), rows)
    if wanted:
        place = chance(secret, "order", new.key)
        if settings.queue == "scores":
            place = _rank(new.score)
        connection.execute(
            insert(slot),
            [
                open_slot(item_id, n, flipped_side(project.secret, new.key, n), n + place)
                for n in range(wanted)
            ],
        )
    return wanted


def open_slot(item_id: int, number: int, flipped: bool, priority: float) -> dict[str, Any]:  # noqa: FBT001
    """A slot for one wanted judgement."""
    return {
        "item_id": item_id,
        "number": number,
        "round": 0,
        "purpose": "main",
        "flipped": flipped,
        "state": "open",
        "priority": priority,
    }


def _rank(score: float | None) -> float:
    """Place in the queue within [0, 1): the higher the score the earlier, without one last."""
    if score is None:
        return 0.999999
    return 0.5 - score / (2 * (1 + abs(score)))
