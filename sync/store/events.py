"""What each calendar should show, what was written there, and how that went."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from sync.store import bulk, dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Wanted(NamedTuple):
    """A calendar (`NAME:ADDRESS`) that should show a visit, or no longer should."""

    appointment: int
    calendar: str
    ref: str
    put: bool


class Pending(NamedTuple):
    """An event that has to be written; `content` is the visit as it stands."""

    appointment: int
    calendar: str
    ref: str
    state: str
    sequence: int
    written: bytes | None
    memo: dict[str, Any]
    tries: int
    content: str
    changed_at: int


class Written(NamedTuple):
    """What became of one event."""

    appointment: int
    calendar: str
    state: str
    sequence: int
    written: bytes | None
    memo: dict[str, Any]
    reason: str = ""
    detail: str = ""
    next_try_at: datetime | None = None


def want(connection: Connection, clinic: str, things: Iterable[Wanted], *, now: datetime) -> None:
    """Write down, before anything is called, which events are to be put or removed."""
    at, things = seconds(now), list(things)
    bulk.write(
        connection,
        "calendars",
        ("clinic", "calendar", "state", "reason", "fix", "since"),
        ((clinic, name, "ok", "", "", at) for name in sorted({w.calendar for w in things})),
    )
    bulk.write(
        connection,
        "events",
        ("clinic", "appointment", "calendar", "ref", "state", "sequence", "memo", "tries",
         "reason", "detail", "changed_at"),
        (
            (clinic, w.appointment, w.calendar, w.ref, "put" if w.put else "remove", 0, "{}", 0,
             "", "", at)
            for w in things
        ),
        update=("state", "tries", "changed_at"),
    )  # fmt: skip


def of_visits(connection: Connection, appointments: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return the calendars each visit is (or is about to be) shown in, with the event's state."""
    found: dict[int, dict[str, str]] = {}
    for start in range(0, len(appointments), 900):
        some = tuple(appointments[start : start + 900])
        rows = connection.exec_driver_sql(
            "SELECT appointment, calendar, state FROM events "
            f"WHERE appointment IN ({dialects.marks(connection, len(some))})",
            some,
        )
        for appointment, calendar, state in rows:
            if state != "removed":
                found.setdefault(appointment, {})[calendar] = state
    return found


def calendars(connection: Connection, clinic: str, *, now: datetime) -> list[str]:
    """Return the calendars that have something to write whose time has come."""
    rows = connection.execute(
        text(
            "SELECT DISTINCT calendar FROM events WHERE clinic = :clinic "
            "AND state IN ('put', 'remove') AND (next_try_at IS NULL OR next_try_at <= :now) "
            "ORDER BY calendar"
        ),
        {"clinic": clinic, "now": seconds(now)},
    )
    return [row.calendar for row in rows]


def shown(connection: Connection, clinic: str) -> dict[str, tuple[str, str, str]]:
    """Return every calendar that was ever written to: its state, the reason, and the fix."""
    rows = connection.execute(
        text(
            "SELECT calendar, state, reason, fix FROM calendars WHERE clinic = :clinic "
            "ORDER BY calendar"
        ),
        {"clinic": clinic},
    )
    return {row.calendar: (row.state, row.reason, row.fix) for row in rows}


def mark(
    connection: Connection, clinic: str, calendar: str, reason: str, fix: str, *, now: datetime
) -> None:
    """Note whether a calendar takes what is written (no reason) or is blocked."""
    at = {"clinic": clinic, "calendar": calendar, "reason": reason, "fix": fix}
    connection.execute(
        text(
            "UPDATE calendars SET state = :state, reason = :reason, fix = :fix, since = :now "
            "WHERE clinic = :clinic AND calendar = :calendar AND reason <> :reason"
        ),
        {**at, "state": "blocked" if reason else "ok", "now": seconds(now)},
    )


def write_again(connection: Connection, clinic: str, calendar: str) -> None:
    """A calendar lost what was written there: all of it is to be put again."""
    connection.execute(
        text(
            "UPDATE events SET state = 'put', written = NULL "
            "WHERE clinic = :clinic AND calendar = :calendar AND state = 'synced'"
        ),
        {"clinic": clinic, "calendar": calendar},
    )


def pending(
    connection: Connection, clinic: str, calendar: str, *, now: datetime, after: int, limit: int
) -> list[Pending]:
    """Return events of a calendar that have to be written, in the order of their visits."""
    rows = connection.execute(
        text(
            "SELECT e.appointment, e.calendar, e.ref, e.state, e.sequence, e.written, e.memo, "
            "e.tries, a.content, e.changed_at "
            "FROM events e JOIN appointments a ON a.id = e.appointment "
            "WHERE e.clinic = :clinic AND e.calendar = :calendar AND e.appointment > :after "
            "AND e.state IN ('put', 'remove') "
            "AND (e.next_try_at IS NULL OR e.next_try_at <= :now) "
            "ORDER BY e.appointment LIMIT :limit"
        ),
        {
            "clinic": clinic,
            "calendar": calendar,
            "now": seconds(now),
            "after": after,
            "limit": limit,
        },
    )
    return [
        Pending(
            row.appointment,
            row.calendar,
            row.ref,
            row.state,
            row.sequence,
            bytes(row.written) if row.written else None,
            json.loads(row.memo),
            row.tries,
            row.content,
            row.changed_at,
        )
        for row in rows
    ]


def written(connection: Connection, results: Iterable[Written]) -> None:
    """Write down what became of events."""
    rows = [
        (
            r.state,
            r.sequence,
            r.written,
            json.dumps(r.memo),
            r.reason,
            r.detail,
            seconds(r.next_try_at) if r.next_try_at else None,
            r.appointment,
            r.calendar,
        )
        for r in results
    ]
    if rows:
        statement = (
            "UPDATE events SET state = {}, sequence = {}, written = {}, memo = {}, reason = {}, "
            "detail = {}, next_try_at = {}, tries = tries + 1 "
            "WHERE appointment = {} AND calendar = {}"
        )
        mark = dialects.marks(connection, 1)
        connection.exec_driver_sql(statement.replace("{}", mark), rows)


def open_by_calendar(connection: Connection, clinic: str) -> dict[str, int]:
    """Return how many events of each calendar are still to be written, refused ones included."""
    rows = connection.execute(
        text(
            "SELECT calendar, count(*) AS number FROM events WHERE clinic = :clinic "
            "AND state IN ('put', 'remove', 'blocked') GROUP BY calendar ORDER BY calendar"
        ),
        {"clinic": clinic},
    )
    return {row.calendar: row.number for row in rows}


def tally(connection: Connection, clinic: str) -> dict[str, dict[str, int]]:
    """Return how many events of each calendar stand in which state."""
    rows = connection.execute(
        text(
            "SELECT calendar, state, count(*) AS number FROM events "
            "WHERE clinic = :clinic GROUP BY calendar, state"
        ),
        {"clinic": clinic},
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row.calendar, {})[row.state] = row.number
    return found
