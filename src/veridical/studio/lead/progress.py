"""How far the work is, how fast it goes, what it costs."""

from collections import Counter
from datetime import UTC, datetime
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from veridical.studio.lead.counts import Counted, Counts
from veridical.studio.settings import StudioSettings
from veridical.studio.store.people import DAY, list_people
from veridical.studio.store.schema import item, slot


class Progress(NamedTuple):
    """The whole project."""

    items: int
    """Items to be judged (known answers not counted)."""
    wanted: int
    """Judgements wanted."""
    done: int
    """Judgements that count towards them, "can't tell" among them."""
    open: int
    """Not begun or given back."""
    leased: int
    """On somebody's page now."""
    skipped: int
    """Skips; another person gets the item."""
    surplus: int
    """Judgements beyond the wanted number: late work that was kept."""
    gold: int
    """Judgements of items with a known answer."""
    repeats: int
    """Judgements of items judged before."""
    cannot_tell: int
    """Judgements that say "can't tell"."""
    clean: int
    """Judgements that say that nothing is wrong."""
    median_seconds: float | None
    """Of all judgements."""
    hours: float
    """Spent so far."""
    hours_left: float | None
    """To come, by the median."""
    spent: float
    """Cost so far, in the project's currency."""
    to_come: float | None
    """Cost to come."""


class PersonProgress(NamedTuple):
    """One person."""

    id: int
    """Number in the database."""
    name: str
    """Who."""
    role: str
    """What they are."""
    active: bool
    """Whether they may come in."""
    done: int
    """Judgements."""
    skipped: int
    """Skips."""
    median_seconds: float | None
    """Of a judgement."""
    per_hour: float | None
    """Judgements in an hour of work."""
    drift: float | None
    """Median seconds of the last 20 over that of the first 20, where there are 40."""
    last: int | None
    """When they last judged, in ms since 1970."""


class Day(NamedTuple):
    """One day."""

    date: str
    """ISO date (UTC)."""
    judgements: int
    """How many."""
    median_seconds: float
    """Of a judgement."""


class Overview(NamedTuple):
    """What the lead's first page shows."""

    progress: Progress
    """The whole."""
    people: list[PersonProgress]
    """Everybody."""
    days: list[Day]
    """Day by day."""


def overview(
    connection: Connection, settings: StudioSettings, counts: Counts | None = None
) -> Overview:
    """Count everything; from `counts` on, where some was counted before."""
    rows = (counts or Counts()).current(connection)
    by_person: dict[int, list[Counted]] = {}
    for row in rows:
        by_person.setdefault(row.person_id, []).append(row)
    return Overview(
        _progress(connection, rows, settings),
        [_person(row, by_person.get(row.id, [])) for row in list_people(connection)],
        _days(rows),
    )


def _progress(connection: Connection, rows: list[Counted], settings: StudioSettings) -> Progress:
    states = Counter(
        {
            (purpose, state): count
            for purpose, state, count in connection.execute(
                select(slot.c.purpose, slot.c.state, func.count()).group_by(
                    slot.c.purpose, slot.c.state
                )
            )
        }
    )
    waiting = states["main", "open"] + states["main", "leased"]
    judged = [row for row in rows if row.outcome != "skipped"]
    seconds = [row.seconds for row in judged]
    middle = median(seconds) if seconds else None
    hours = sum(row.seconds for row in rows) / 3600
    left = waiting * middle / 3600 if middle is not None else None
    items = select(func.count()).select_from(item).where(~item.c.is_gold)
    wanted = select(func.sum(item.c.wanted))
    return Progress(
        items=int(connection.scalar(items) or 0),
        wanted=int(connection.scalar(wanted) or 0),
        done=states["main", "done"],
        open=states["main", "open"],
        leased=states["main", "leased"],
        skipped=sum(row.outcome == "skipped" for row in rows),
        surplus=states["surplus", "done"],
        gold=states["gold", "done"],
        repeats=states["repeat", "done"],
        cannot_tell=sum(row.outcome == "cannot_tell" for row in rows),
        clean=sum(row.clean for row in judged),
        median_seconds=middle,
        hours=hours,
        hours_left=left,
        spent=hours * settings.wage,
        to_come=left * settings.wage if left is not None else None,
    )


def _person(who: Row[Any], mine: list[Counted]) -> PersonProgress:
    judged = [row.seconds for row in mine if row.outcome != "skipped"]
    spent = sum(row.seconds for row in mine)
    drift = None
    if len(judged) >= 40 and median(judged[:20]) > 0:
        drift = median(judged[-20:]) / median(judged[:20])
    return PersonProgress(
        id=int(who.id),
        name=str(who.name),
        role=str(who.role),
        active=bool(who.active),
        done=len(judged),
        skipped=len(mine) - len(judged),
        median_seconds=median(judged) if judged else None,
        per_hour=3600 * len(judged) / spent if spent else None,
        drift=drift,
        last=mine[-1].submitted if mine else None,
    )


def _days(rows: list[Counted]) -> list[Day]:
    found: dict[int, list[float]] = {}
    for row in rows:
        if row.outcome != "skipped":
            found.setdefault(row.submitted // DAY, []).append(row.seconds)
    return [
        Day(datetime.fromtimestamp(day * DAY / 1000, UTC).date().isoformat(), len(v), median(v))
        for day, v in sorted(found.items())
    ]
