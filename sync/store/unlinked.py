"""Events of visits that still stand, in calendars that nobody of them is linked to any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from sync.store import bulk, dialects, seconds
from sync.store.events import another_wish

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.store.events import Wanted

_AT_ONCE = 900


Pair = tuple[int, str]  # a visit's number, and a calendar


def of_visits(connection: Connection, appointments: Sequence[int]) -> set[Pair]:
    """Return which events of visits are known to be linked no longer."""
    found: set[Pair] = set()
    for start in range(0, len(appointments), _AT_ONCE):
        some = tuple(appointments[start : start + _AT_ONCE])
        rows = connection.exec_driver_sql(
            "SELECT appointment, calendar FROM unlinked "
            f"WHERE appointment IN ({dialects.marks(connection, len(some))})",
            some,
        )
        found.update((row.appointment, row.calendar) for row in rows)
    return found


def note(
    connection: Connection, clinic: str, wanted: Sequence[Wanted], known: Collection[Pair]
) -> None:
    """Keep which of some events are linked no longer; these of them were `known` to be."""
    now = {(one.appointment, one.calendar) for one in wanted if one.unlinked}
    rows = [(clinic, *pair) for pair in sorted(now - set(known))]
    bulk.write(connection, "unlinked", ("clinic", "appointment", "calendar"), rows)
    decided = {(one.appointment, one.calendar) for one in wanted} & set(known) - now
    if decided:
        mark = dialects.marks(connection, 1)
        connection.exec_driver_sql(
            f"DELETE FROM unlinked WHERE appointment = {mark} AND calendar = {mark}",
            sorted(decided),
        )


def any_known(connection: Connection, clinic: str) -> bool:
    """Return whether any event is known to be linked to its calendar no longer."""
    found = dialects.fetch(connection, "SELECT 1 FROM unlinked WHERE clinic = ? LIMIT 1", (clinic,))
    return bool(found)


class Share(NamedTuple):
    """How many of the events of visits to come that a calendar shows are linked to it no longer."""

    calendar: str
    events: int
    shown: int


def shares(connection: Connection, clinic: str, *, now: datetime) -> Iterator[Share]:
    """Yield each calendar that shows an event which is not linked to it, whenever its visit is."""
    counted = text(
        "SELECT COUNT(u.calendar) AS events, COUNT(*) AS shown FROM events e "
        "JOIN appointments a ON a.id = e.appointment "
        "LEFT JOIN unlinked u ON u.appointment = e.appointment AND u.calendar = e.calendar "
        "WHERE e.calendar = :calendar AND e.clinic = :clinic "
        "AND e.state NOT IN ('remove', 'removed') AND a.start_at > :now"
    )
    there = dialects.fetch(
        connection,
        "SELECT DISTINCT calendar FROM unlinked WHERE clinic = ? ORDER BY calendar",
        (clinic,),
    )
    for (calendar,) in there:
        row = connection.execute(
            counted, {"calendar": calendar, "clinic": clinic, "now": seconds(now)}
        ).one()
        yield Share(calendar, row.events, row.shown)


class Leaving(NamedTuple):
    """An event that is not linked to its calendar, of a visit that starts at `start_at` (seconds)."""

    calendar: str
    source: str
    key: str
    start_at: int


def leaving(connection: Connection, clinic: str, plugin: str) -> list[Leaving]:
    """Return what the calendars of a plugin would lose."""
    found = text(
        "SELECT u.calendar, a.source, a.source_key, a.start_at FROM unlinked u "
        "JOIN appointments a ON a.id = u.appointment WHERE u.clinic = :clinic "
        "ORDER BY u.calendar, a.start_at, a.source_key"
    )
    rows = connection.execute(found, {"clinic": clinic})
    return [Leaving._make(row) for row in rows if row.calendar.startswith(f"{plugin}:")]


def let_go(connection: Connection, clinic: str, calendar: str) -> None:
    """Let the events that are not linked to a calendar be removed from it."""
    this = {"clinic": clinic, "calendar": calendar, "wish": another_wish()}
    connection.execute(
        text(
            "UPDATE events SET state = 'remove', wish = :wish "
            "WHERE clinic = :clinic AND calendar = :calendar AND appointment IN ("
            "SELECT appointment FROM unlinked WHERE clinic = :clinic AND calendar = :calendar)"
        ),
        this,
    )
    leave(connection, clinic, calendar)


def leave(connection: Connection, clinic: str, calendar: str) -> None:
    """Leave the events that are not linked to a calendar where they are."""
    connection.execute(
        text("DELETE FROM unlinked WHERE clinic = :clinic AND calendar = :calendar"),
        {"clinic": clinic, "calendar": calendar},
    )
