"""Counts that resume where they stopped, and reports that are kept until it pays to make them anew.

A lead's page must cost the same whether a project holds a hundred judgements or a hundred thousand:
rows that were counted are not read again (judgements are only ever added), and a report that took
long is shown again for as long as it is young beside its cost.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, func, select

from veridical.studio.store.database import Database
from veridical.studio.store.schema import judgement, settlement, slot

T = TypeVar("T")
_AGAIN = 60_000
"""Judgements of the last minute (in ms) are read again: two servers' clocks and the order of their
commits may differ."""
_PATIENCE = 20
"""A report is kept for this many times the seconds that it took."""
_MOMENT = 4.0
"""Seconds that a page waits for its report."""


class Counted(NamedTuple):
    """What is counted of a judgement."""

    revision: int
    """Number of its revision in its slot."""
    outcome: str
    """"judged", "cannot_tell", "skipped" or "undone"."""
    person_id: int
    """Whose."""
    seconds: float
    """How long it took."""
    submitted: int
    """When, in ms since 1970."""
    clean: bool
    """Whether it says that nothing is wrong."""


class Counts:
    """The current judgement of every slot; reads what is new each time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[int, Counted] = {}
        self._newest = 0

    def current(self, connection: Connection) -> list[Counted]:
        """What every slot holds now, oldest first."""
        clean = judgement.c.payload["nothing_wrong"].as_boolean()
        with self._lock:
            rows = connection.execute(
                select(
                    judgement.c.slot_id,
                    judgement.c.revision,
                    judgement.c.outcome,
                    judgement.c.person_id,
                    judgement.c.seconds,
                    judgement.c.submitted,
                    clean,
                ).where(judgement.c.submitted >= self._newest - _AGAIN)
            )
            for number, revision, outcome, person_id, seconds, submitted, right in rows:
                found = Counted(revision, outcome, person_id, seconds, submitted, bool(right))
                known = self._slots.get(number)
                if known is None or known.revision < found.revision:
                    self._slots[number] = found
                self._newest = max(self._newest, found.submitted)
            kept = [row for row in self._slots.values() if row.outcome != "undone"]
        return sorted(kept, key=lambda row: row.submitted)


class _Made(NamedTuple):
    """A report with what it rests on."""

    rests_on: tuple[Any, ...]
    """Judgements, and what else it depends on."""
    at: float
    """When it was made."""
    cost: float
    """Seconds that it took."""
    value: Any
    """The report."""


class Reports:
    """Reports that were made, each with what it rests on and what it cost.

    They are made one after the other, beside the pages: a page waits for a moment and then shows
    the earlier report, or that the first one is still being counted.
    """

    def __init__(self, database: Database) -> None:
        self.counts = Counts()
        self._database = database
        self._lock = threading.Lock()
        self._made: dict[str, _Made] = {}
        self._making: dict[str, Future[None]] = {}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reports")

    def get(
        self, name: str, connection: Connection, make: Callable[[Connection], T], *extra: object
    ) -> T | None:
        """A report: the one that was made where nothing changed or it is young beside its cost.

        Args:
            name: Which.
            connection: A reading one.
            make: Makes it, with a connection of its own.
            extra: What else it rests on; when this changes it is made anew at once.

        Returns:
            The report; an earlier one, or None, where making it takes longer than a moment.
        """
        state = (_judgements(connection), extra)
        with self._lock:
            known = self._made.get(name)
            if known is not None:
                young = time.monotonic() - known.at < _PATIENCE * known.cost
                if known.rests_on == state or (young and known.rests_on[1] == extra):
                    return known.value  # type: ignore[no-any-return]
            making = self._making.get(name)
            if making is None:
                making = self._worker.submit(self._make, name, state, make)
                self._making[name] = making
        with suppress(TimeoutError):
            making.result(_MOMENT)
        known = self._made.get(name)
        return known.value if known is not None and known.rests_on[1] == extra else None

    def _make(self, name: str, state: tuple[Any, ...], make: Callable[[Connection], Any]) -> None:
        started = time.monotonic()
        try:
            with self._database.reading() as connection:
                value = make(connection)
            now = time.monotonic()
            self._made[name] = _Made(state, now, now - started, value)
        finally:
            with self._lock:
                del self._making[name]


def _judgements(connection: Connection) -> tuple[int, ...]:
    """Changes with every judgement, settlement and handing out."""
    queries = (
        select(func.count()).select_from(judgement),
        select(func.max(judgement.c.submitted)),
        select(func.count()).select_from(settlement),
        select(func.max(slot.c.lease_until)),
    )
    return tuple(int(connection.scalar(query) or 0) for query in queries)
