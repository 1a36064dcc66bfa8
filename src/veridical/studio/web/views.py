"""What an annotator gets of an item.

The models are closed, so that no model's name, no purpose, no known answer and nobody else's
judgement can slip into a page.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Row, select

from veridical.feedback.texts.line_ends import shown_text
from veridical.files import JsonObject
from veridical.studio.lead.training import Training
from veridical.studio.store.judgements import find_draft, lease_key
from veridical.studio.store.projects import Project
from veridical.studio.store.returns import return_note
from veridical.studio.store.schema import image, item, response, slot
from veridical.studio.tasks.payloads import Shown


class _View(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageView(_View):
    """A picture."""

    url: str
    width: int
    height: int


class SuspectView(_View):
    """A segment that was marked beforehand."""

    start: int
    end: int
    kind: str | None


class TaskView(_View):
    """An item as its annotator sees it."""

    slot: int
    lease: str
    task: Literal["compare", "correct", "rate", "mark"]
    images: list[ImageView]
    question: str
    system: str
    history: list[list[str]]
    texts: list[str]
    reference: str | None
    suspects: list[SuspectView]
    draft: JsonObject | None
    returned: str | None


class TrainingView(_View):
    """How far the known items are that come first."""

    judged: int
    right: int
    needed: int
    wanted: int
    over: bool


class NoneView(_View):
    """There is nothing to do now."""

    waiting: int
    done: bool


def task_view(connection: Connection, project: Project, person_id: int, slot_id: int) -> TaskView:
    """The item of a slot."""
    row = _slot_with_item(connection, slot_id)
    pictures = {
        one.sha256: one
        for one in connection.execute(select(image).where(image.c.sha256.in_(row.images)))
    }
    return TaskView(
        slot=slot_id,
        lease=lease_key(project, person_id, slot_id),
        task=project.task,
        images=[
            ImageView(url=f"/images/{sha}", width=pictures[sha].width, height=pictures[sha].height)
            for sha in row.images
        ],
        question=row.question,
        system=shown_text(str(row.prompt.get("system") or "")),
        history=row.history,
        texts=shown_texts(connection, row),
        reference=row.reference if project.task in ("rate", "mark") else None,
        suspects=[SuspectView(**one) for one in row.suspects or ()] if row.premarked else [],
        draft=find_draft(connection, person_id, slot_id),
        returned=return_note(connection, slot_id),
    )


def training_view(found: Training | None) -> TrainingView | None:
    """How far somebody's training is, for their page."""
    if found is None:
        return None
    return TrainingView(
        judged=found.judged,
        right=found.right,
        needed=found.needed,
        wanted=found.wanted,
        over=found.over,
    )


def shown(connection: Connection, project: Project, slot_id: int) -> Shown:
    """The texts as they stood on the page."""
    row = _slot_with_item(connection, slot_id)
    return Shown(project.task, tuple(shown_texts(connection, row)))


def shown_texts(connection: Connection, row: Row[Any]) -> list[str]:
    """The responses of a slot in the order of their sides."""
    texts = list(
        connection.execute(
            select(response.c.text)
            .where(response.c.item_id == row.item_id)
            .order_by(response.c.number)
        ).scalars()
    )
    return texts[::-1] if row.flipped and len(texts) == 2 else texts


def _slot_with_item(connection: Connection, slot_id: int) -> Row[Any]:
    return connection.execute(
        select(slot.c.item_id, slot.c.flipped, item)
        .join(item, item.c.id == slot.c.item_id)
        .where(slot.c.id == slot_id)
    ).one()
