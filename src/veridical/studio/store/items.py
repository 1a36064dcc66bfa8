"""Items going in: pictures kept under the hash of their bytes, slots for the wanted judgements.

An item comes in once: one with a known key or the same content is counted as a duplicate. Items go
in by the hundred, the write lock is free in between, so people go on working during an import.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from veridical.errors import DataError, Fault
from veridical.feedback.texts.line_ends import shown_text
from veridical.files import JsonObject, hash_bytes, write_bytes_atomically
from veridical.records.texts import number_pictures
from veridical.studio.store.database import Database
from veridical.studio.store.pictures import examine_picture
from veridical.studio.store.projects import Project, load_project
from veridical.studio.store.schema import image, item, response, slot
from veridical.studio.tasks.payloads import text_fault

_BATCH = 100


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
    prompt: JsonObject
    """The `Prompt` record, which exports give back."""
    responses: tuple[JsonObject, ...]
    """The `Response` records: two to compare, one otherwise."""
    suspects: list[JsonObject] | None = None
    """Segments that a model or a detector suspects: start, end, perhaps kind."""
    score: float | None = None
    """Where the queue goes by scores: highest first."""
    gold: JsonObject | None = None
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
    """Keep items, some hundred per transaction.

    Args:
        database: Where to.
        folder: The project's folder; pictures go into its `images/`.
        items: What to keep.

    Raises:
        DataError: Texts or pictures that cannot be kept, all of them; the other items are in.
    """
    with database.reading() as connection:
        project = load_project(connection)
    added = duplicates = slots = 0
    faults: list[Fault] = []
    for batch in _batches(items, _BATCH, faults):
        prepared = []
        for new in batch:
            try:
                prepared.append(_prepare(project, folder, new))
            except DataError as error:
                faults += error.faults
        with database.writing() as connection:
            fresh, clashes = _unknown(connection, prepared)
            _insert(connection, project, fresh)
        faults += clashes
        added, duplicates = (
            added + len(fresh),
            duplicates + len(prepared) - len(fresh) - len(clashes),
        )
        slots += sum(one.values["wanted"] for one in fresh)
    if faults:
        raise DataError(faults, advice="Fix these rows, then import again.")
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


class _Prepared(NamedTuple):
    new: NewItem
    kept: list[_Kept]
    values: JsonObject


def _batches(items: Iterable[NewItem], size: int, faults: list[Fault]) -> Iterator[list[NewItem]]:
    batch: list[NewItem] = []
    try:
        for new in items:
            batch.append(new)
            if len(batch) == size:
                yield batch
                batch = []
    except DataError as error:  # what the source found wrong; the rest of it is sound
        faults += error.faults
    if batch:
        yield batch


def _keep(folder: Path, new: NewImage, of: NewItem) -> _Kept:
    suffix, width, height = examine_picture(new.data, where=of.where)
    sha256 = hash_bytes(new.data)
    path = folder / "images" / f"{sha256}.{suffix}"
    if not path.exists():
        write_bytes_atomically(path, new.data)
    return _Kept(sha256, suffix, width, height, new.name)


def _prepare(project: Project, folder: Path, new: NewItem) -> _Prepared:
    """Check one item and make its row."""
    texts = [str(record["text"]) for record in new.responses]
    system = str(new.prompt.get("system") or "")
    for text in (new.key, system, *_turns(new.prompt), new.gold_note, *texts):
        fault = text_fault(text)
        if fault is not None:
            source = new.where or Fault(Path(new.key), None, "")
            raise DataError([source._replace(message=f"the text {text[:40]!a} {fault}")])
    kept = [_keep(folder, one, new) for one in new.images]
    *earlier, question = number_pictures(_turns(new.prompt))
    instructions = [system] if system else []
    content = "\0".join([*(one.sha256 for one in kept), *instructions, *_turns(new.prompt), *texts])
    settings, secret = project.settings, f"{project.settings.seed}"
    shared = chance(secret, "overlap", new.key) < settings.overlap_share
    premarked = chance(secret, "premarked", new.key) < settings.premarked_share
    values = {
        "key": new.key,
        "content": hashlib.sha256(content.encode()).hexdigest(),
        "images": [one.sha256 for one in kept],
        "question": shown_text(question),
        "history": [
            [shown_text(asked), shown_text(answered)]
            for asked, answered in zip(earlier[::2], earlier[1::2], strict=True)
        ],
        "reference": new.prompt.get("reference"),
        "prompt": new.prompt,
        "wanted": 0 if new.gold is not None else settings.overlap if shared else 1,
        "score": new.score,
        "suspects": new.suspects,
        "premarked": bool(new.suspects) and premarked,
        "is_gold": new.gold is not None,
        "gold": new.gold,
        "gold_note": new.gold_note,
    }
    return _Prepared(new, kept, values)


def _turns(prompt: Mapping[str, Any]) -> list[str]:
    """What user and assistant said, up to the question."""
    earlier = [str(said) for turn in prompt.get("history", ()) for said in turn]
    return [*earlier, str(prompt["question"])]


def _unknown(
    connection: Connection, prepared: Sequence[_Prepared]
) -> tuple[list[_Prepared], list[Fault]]:
    """Those whose key and content are new, to the project and among themselves.

    A known key with other content is a fault: the item would be lost without a word.
    """
    names = {name: [one.values[name] for one in prepared] for name in ("key", "content")}
    known = connection.execute(
        select(item.c.key, item.c.content).where(
            item.c.key.in_(names["key"]) | item.c.content.in_(names["content"])
        )
    ).all()
    keys, contents = {row.key: row.content for row in known}, {row.content for row in known}
    fresh, clashes = [], []
    for one in prepared:
        key, content = one.values["key"], one.values["content"]
        if key in keys and keys[key] != content:
            where = one.new.where or Fault(Path(key), None, "")
            message = f"the id {key!r} stands for another item already. Give it an id of its own."
            clashes.append(where._replace(message=message))
        elif key not in keys and content not in contents:
            fresh.append(one)
            contents.add(content)
        keys.setdefault(key, content)
    return fresh, clashes


def _insert(connection: Connection, project: Project, fresh: Sequence[_Prepared]) -> None:
    if not fresh:
        return
    pictures = {one.sha256: one for prepared in fresh for one in prepared.kept}
    if pictures:
        there = select(image.c.sha256).where(image.c.sha256.in_(pictures))
        for sha256 in connection.execute(there).scalars():
            del pictures[sha256]
    if pictures:
        connection.execute(insert(image), [one._asdict() for one in pictures.values()])
    numbers = connection.execute(
        insert(item).returning(item.c.id, sort_by_parameter_order=True),
        [one.values for one in fresh],
    ).scalars()
    responses, slots = [], []
    for number, one in zip(numbers, fresh, strict=True):
        for n, record in enumerate(one.new.responses):
            raw = str(record["text"])
            texts = {"text": shown_text(raw), "raw": raw}
            responses.append({"item_id": number, "number": n, "record": record} | texts)
        place = chance(f"{project.settings.seed}", "order", one.new.key)
        if project.settings.queue == "scores":
            place = _rank(one.new.score)
        slots += [
            open_slot(number, n, flipped_side(project.secret, one.new.key, n), n + place)
            for n in range(one.values["wanted"])
        ]
    connection.execute(insert(response), responses)
    if slots:
        connection.execute(insert(slot), slots)


def open_slot(item_id: int, number: int, flipped: bool, priority: float) -> JsonObject:  # noqa: FBT001
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
