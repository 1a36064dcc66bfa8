"""One item from the fields of a foreign row."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from veridical.errors import DataError, Fault
from veridical.files import JsonObject
from veridical.records import ImageRef, Prompt, Response
from veridical.records.prompts import NO_IMAGE
from veridical.records.storage import describe_validation
from veridical.studio.store.items import NewImage, NewItem
from veridical.studio.store.pictures import RowError, find_picture


def gather_items(makers: Iterable[Callable[[], NewItem]]) -> Iterator[NewItem]:
    """Give the items of all rows that are sound.

    Raises:
        DataError: After the last row, everything that is wrong with the others.
    """
    faults: list[Fault] = []
    for make in makers:
        try:
            made = make()
        except DataError as error:
            faults += error.faults
            continue
        yield made
    if faults:
        raise DataError(faults, advice="Fix these rows, then import again.")


class Context(NamedTuple):
    """What stood before the question, as the row has it."""

    system: Any = ""
    """A system message."""
    history: Any = ()
    """Earlier questions, each with its answer."""


def _turns(history: Any) -> Any:
    """Earlier turns as records have them; what is something else is a fault of the record."""
    if not isinstance(history, list | tuple):
        return history
    return tuple(tuple(turn) if isinstance(turn, list) else turn for turn in history)


def make_item(
    where: Fault,
    *,
    key: str,
    question: Any,
    texts: Sequence[Any],
    models: Sequence[str],
    images: Sequence[str],
    reference: str | None,
    root: Path,
    outside: bool,
    context: Context = Context(),  # noqa: B008 - it cannot be changed
    suspects: list[JsonObject] | None = None,
) -> NewItem:
    """Make an item.

    Raises:
        DataError: A field is missing or a picture cannot be read.
    """
    faults = []
    if not isinstance(question, str) or not question.strip():
        faults.append(f"`question` is missing, got {question!r:.40}.")
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str) or not text.strip():
            faults.append(f"response {number} is missing, got {text!r:.40}.")
    pictures: list[NewImage] = []
    for path in images:
        try:
            pictures.append(NewImage(find_picture(root, path, outside=outside), Path(path).name))
        except RowError as fault:
            faults.append(str(fault))
    if faults:
        raise DataError([where._replace(message=message) for message in faults])
    first, *more = [ImageRef(path=path) for path in images] or [NO_IMAGE]
    try:
        prompt = Prompt(
            id=key,
            image=first,
            more_images=tuple(more),
            question=question,
            reference=reference,
            system=context.system,
            history=_turns(context.history),
        )
    except ValidationError as error:
        raise DataError([where._replace(message=describe_validation(error))]) from error
    responses = [
        Response(id=key if len(texts) == 1 else f"{key}-{n}", prompt_id=key, text=text, model=model)
        for n, (text, model) in enumerate(zip(texts, models, strict=True), start=1)
    ]
    return NewItem(
        key,
        tuple(pictures),
        prompt.model_dump(mode="json"),
        tuple(response.model_dump(mode="json") for response in responses),
        suspects=suspects,
        where=where,
    )
