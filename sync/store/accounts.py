"""Visits with all that the ledger says of each, in batches: a million of them take no more memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from clinicrelay.actions import Say
from sync.store import dialects, instant, seconds
from sync.store.said import say_of
from sync.store.wakes import SELECT, Woken

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 500
_RUNS = 2  # of which each had its chance to send, or to drop, what was due


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


def had_their_chance(connection: Connection, clinic: str) -> datetime | None:
    """Return by when what was due must have been decided about, by each of the last runs."""
    rows = connection.execute(
        text(
            "SELECT business_time FROM runs WHERE clinic = :clinic AND finished_at IS NOT NULL "
            "AND command IN ('sync', 'send') AND exit_code IN (0, 3, 4) "
            "ORDER BY started_at DESC, id DESC LIMIT :runs"
        ),
        {"clinic": clinic, "runs": _RUNS},
    )
    moments = [int(row.business_time) for row in rows]
    return instant(min(moments)) if len(moments) == _RUNS else None
