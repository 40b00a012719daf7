"""Visits with all that the ledger says of each, in batches: a million of them take no more memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.actions import Say
from sync.store import dialects, instant, seconds
from sync.store.said import say_of
from sync.store.wakes import SELECT, Woken

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 500
_ENOUGH = 2


class Entry(NamedTuple):
    """A line of the ledger about a visit; `lead` is the state of the message that it left within."""

    visit: int
    number: int
    say: Say
    state: str
    reason: str | None
    due_at: datetime
    useless_after: datetime
    next_try_at: datetime | None
    settled_at: datetime | None
    lead: str | None


def batches(
    connection: Connection, clinic: str, *, first: datetime, end: datetime
) -> Iterator[list[Woken]]:
    """Yield the visits that begin in a stretch of time, some at once, in the order of their numbers."""
    last = 0
    while True:
        rows = dialects.fetch(
            connection,
            SELECT + "WHERE id > ? AND clinic = ? AND start_at >= ? AND start_at < ? "
            "ORDER BY id LIMIT ?",
            (last, clinic, seconds(first), seconds(end), _AT_ONCE),
        )
        batch = [*map(Woken._make, rows)]
        if not batch:
            return
        yield batch
        last = batch[-1].id


def entries(connection: Connection, visits: Sequence[int]) -> dict[int, list[Entry]]:
    """Return what the ledger says of each of these visits."""
    found: dict[int, list[Entry]] = {}
    rows = connection.exec_driver_sql(
        "SELECT m.appointment, m.id, m.say, m.state, m.reason, m.due_at, m.useless_after, "
        "m.next_try_at, m.settled_at, l.state FROM messages m "
        "LEFT JOIN together t ON t.message = m.id LEFT JOIN messages l ON l.id = t.told_with "
        f"WHERE m.appointment IN ({dialects.marks(connection, len(visits))}) ORDER BY m.id",
        tuple(visits),
    )
    for visit, number, say, state, reason, due, useless, again, settled, lead in rows:
        found.setdefault(visit, []).append(
            Entry(
                visit,
                number,
                say_of(say),
                state,
                reason,
                instant(due),
                instant(useless),
                instant(again) if again is not None else None,
                instant(settled) if settled is not None else None,
                lead,
            )
        )
    return found


class Runs:
    """The moments at which runs looked, and came to their ends.

    One alone proves nothing: it may have been told to end before it was through.
    """

    def __init__(self, moments: Sequence[int]) -> None:
        """`moments` are in the order in which the runs began."""
        self._last = moments[-_ENOUGH:]
        self._moments = sorted(moments)

    @property
    def chance(self) -> datetime | None:
        """By when what was due must have been decided about, by each of the last runs."""
        return instant(min(self._last)) if len(self._last) == _ENOUGH else None

    def looked(self, first: datetime, end: datetime) -> bool:
        """Whether enough of them looked from one moment on, and before another."""
        begin = bisect_left(self._moments, seconds(first))
        return bisect_left(self._moments, seconds(end)) - begin >= _ENOUGH


def runs(connection: Connection, clinic: str) -> Runs:
    """Return the runs that decide about reminders, as far as they are kept."""
    rows = dialects.fetch(
        connection,
        "SELECT business_time FROM runs WHERE clinic = ? AND finished_at IS NOT NULL "
        "AND command IN ('sync', 'send') AND exit_code IN (0, 3, 4) ORDER BY started_at, id",
        (clinic,),
    )
    return Runs([int(moment) for (moment,) in rows])
