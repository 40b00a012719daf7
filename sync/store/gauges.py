"""Counts for monitoring: each goes by an index, so that a million visits cost next to nothing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sync.store import dialects, seconds
from sync.store.quarantine import MENDED

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DAY = 86400
_SETTLED = ("sent", "skipped", "failed", "unproven")
_RECENT = 3000  # runs: two days of one a minute
_LOOK_BACK = 40 * _DAY


class Settled(NamedTuple):
    """How many messages ended alike; what a message does not have is empty."""

    state: str
    reason: str
    kind: str
    notifier: str
    number: int


class Waiting(NamedTuple):
    """Messages that are due and wait for one reason; `oldest` is in seconds since 1970."""

    reason: str
    number: int
    oldest: int


class LastRun(NamedTuple):
    """The last run of a command that came to its end. Instants are seconds since 1970."""

    command: str
    started: int
    finished: int
    exit: int


def settled(connection: Connection, clinic: str, *, now: datetime) -> list[Settled]:
    """Return how the messages of the last 24 hours ended.

    A message is settled within days of falling due, so the index by due time bounds the look back.
    """
    day = seconds(now) - _DAY
    found = []
    for state in _SETTLED:  # one after the other: of several states no database takes the index
        rows = dialects.fetch(
            connection,
            "SELECT COALESCE(reason, ''), kind, COALESCE(notifier, ''), count(*) FROM messages "
            "WHERE clinic = ? AND state = ? AND due_at > ? AND due_at <= ? AND settled_at > ? "
            "GROUP BY COALESCE(reason, ''), kind, COALESCE(notifier, '')",
            (clinic, state, day - 7 * _DAY, seconds(now), day),
        )
        found += [Settled(state, *row) for row in rows]
    return found


def waiting(connection: Connection, clinic: str, *, now: datetime) -> list[Waiting]:
    """Return why messages that are due have not left."""
    rows = dialects.fetch(
        connection,
        "SELECT COALESCE(reason, ''), count(*), min(due_at) FROM messages "
        "WHERE clinic = ? AND state = 'planned' AND due_at <= ? GROUP BY COALESCE(reason, '')",
        (clinic, seconds(now)),
    )
    return [Waiting(str(reason), int(number), int(oldest)) for reason, number, oldest in rows]


def unknown(connection: Connection, clinic: str) -> dict[str, int]:
    """Return of how many messages of each notifier nobody knows yet whether they left."""
    rows = dialects.fetch(
        connection,
        "SELECT COALESCE(notifier, ''), count(*) FROM messages "
        "WHERE clinic = ? AND state IN ('unknown', 'sending') GROUP BY COALESCE(notifier, '')",
        (clinic,),
    )
    return {str(name): int(number) for name, number in rows}


def held_messages(connection: Connection, clinic: str) -> int:
    """Return how many messages wait for a person, as too many fell due at once."""
    rows = dialects.fetch(
        connection,
        "SELECT count(*) FROM messages WHERE clinic = ? AND state = 'held'",
        (clinic,),
    )
    return int(rows[0][0])


def set_aside(connection: Connection, clinic: str) -> list[tuple[str, str, str, int]]:
    """Return (kind, source, reason, number) of what is set aside."""
    rows = dialects.fetch(
        connection,
        "SELECT kind, source, reason, count(*) FROM quarantine WHERE clinic = ? "
        f"AND kind <> '{MENDED}' GROUP BY kind, source, reason",
        (clinic,),
    )
    return [(str(kind), str(source), str(why), int(n)) for kind, source, why, n in rows]


def first_awake(connection: Connection, clinic: str, *, now: datetime) -> int | None:
    """Return the first hour at which a visit should have been looked at and was not, in seconds.

    What merely changed (`sync.store.wakes`) says of no hour when it did.
    """
    rows = dialects.fetch(
        connection,
        "SELECT min(wake_at) FROM appointments WHERE clinic = ? AND wake_at > 1 AND wake_at <= ?",
        (clinic, seconds(now)),
    )
    return None if rows[0][0] is None else int(rows[0][0])


def last_run(connection: Connection, clinic: str, command: str) -> LastRun | None:
    """Return the last run of a command that came to its end, of the last 40 days."""
    newest = dialects.fetch(
        connection, "SELECT max(started_at) FROM runs WHERE clinic = ?", (clinic,)
    )[0][0]
    if newest is None:
        return None
    rows = dialects.fetch(
        connection,
        "SELECT command, started_at, finished_at, exit_code FROM runs "
        "WHERE clinic = ? AND started_at > ? AND command = ? AND finished_at IS NOT NULL "
        "ORDER BY started_at DESC, id DESC LIMIT 1",
        (clinic, int(newest) - _LOOK_BACK, command),
    )
    return next((LastRun(*row) for row in rows), None)


def last_begun(connection: Connection, clinic: str) -> dict[str, int]:
    """Return when the last run of each command began, of the newest 3000, in seconds."""
    rows = dialects.fetch(
        connection,
        "SELECT command, max(started_at) FROM (SELECT command, started_at FROM runs "
        f"WHERE clinic = ? ORDER BY started_at DESC LIMIT {_RECENT}) recent GROUP BY command",
        (clinic,),
    )
    return {str(command): int(at) for command, at in rows}


def open_alerts(connection: Connection, clinic: str) -> list[str]:
    """Return the names of the alerts that were told and are not over."""
    rows = dialects.fetch(
        connection,
        "SELECT name FROM alerts WHERE clinic = ? AND closed_at IS NULL AND told_at IS NOT NULL",
        (clinic,),
    )
    return [str(row[0]) for row in rows]
