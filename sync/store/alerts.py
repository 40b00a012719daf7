"""What needs a person, one row an episode: from when it was seen until it was over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from sync.store import dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COLUMNS = ("name", "since_at", "what", "follows", "command", "told_at", "closed_at")


class Episode(NamedTuple):
    """Something that needs a person: what, since when, what follows from it, and what helps.

    `told_at` is when the message that it has begun was entered into the ledger, `closed_at` when it
    was over; `number` is the row's own.
    """

    name: str
    since: datetime
    what: str
    follows: str
    command: str
    told_at: datetime | None = None
    closed_at: datetime | None = None
    number: int = 0


def open_(connection: Connection, clinic: str) -> dict[str, Episode]:
    """Return the episodes that are not over, by name."""
    rows = dialects.fetch(
        connection,
        f"SELECT id, {', '.join(_COLUMNS)} FROM alerts WHERE clinic = ? AND closed_at IS NULL",
        (clinic,),
    )
    return {row[1]: _read(row) for row in rows}


def numbered(connection: Connection, clinic: str, number: int) -> Episode | None:
    """Return an episode by its number, open or over."""
    rows = dialects.fetch(
        connection,
        f"SELECT id, {', '.join(_COLUMNS)} FROM alerts WHERE clinic = ? AND id = ?",
        (clinic, number),
    )
    return next((_read(row) for row in rows), None)


def begin(connection: Connection, clinic: str, episode: Episode) -> Episode:
    """Enter a new episode; return it with its number."""
    dialects.run(
        connection,
        f"INSERT INTO alerts (clinic, {', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (clinic, *_written(episode)),
    )
    return episode._replace(number=open_(connection, clinic)[episode.name].number)


def replace(connection: Connection, episode: Episode) -> None:
    """Write an episode as it stands."""
    columns = ", ".join(f"{column} = ?" for column in _COLUMNS)
    values = (*_written(episode), episode.number)
    dialects.run(connection, f"UPDATE alerts SET {columns} WHERE id = ?", values)


def forget(connection: Connection, episode: Episode) -> None:
    """Delete an episode that was over before anybody was told."""
    dialects.run(connection, "DELETE FROM alerts WHERE id = ?", (episode.number,))


def state_of(connection: Connection, clinic: str, dedupe: str) -> str | None:
    """Return what became of a message of the ledger; None: it was never entered."""
    rows = dialects.fetch(
        connection,
        "SELECT state FROM messages WHERE clinic = ? AND dedupe = ?",
        (clinic, dedupe),
    )
    return next((str(row[0]) for row in rows), None)


def waiting(connection: Connection, clinic: str, reason: str, *, now: datetime) -> int:
    """Return how many messages to patients and doctors are due, and wait for this reason."""
    rows = dialects.fetch(
        connection,
        "SELECT count(*) FROM messages WHERE clinic = ? AND state = 'planned' AND due_at <= ? "
        "AND reason = ? AND role <> 'staff'",
        (clinic, seconds(now), reason),
    )
    return int(next(iter(rows))[0])


def unsent(connection: Connection, clinic: str, *, now: datetime) -> list[tuple[str, int]]:
    """Return why alerts that are due have not left, and how many of each reason."""
    rows = dialects.fetch(
        connection,
        "SELECT reason, count(*) FROM messages WHERE clinic = ? AND state = 'planned' "
        "AND due_at <= ? AND role = 'staff' AND reason IS NOT NULL GROUP BY reason ORDER BY reason",
        (clinic, seconds(now)),
    )
    return [(str(reason), int(number)) for reason, number in rows]


def _written(episode: Episode) -> tuple[object, ...]:
    told, closed = (seconds(at) if at else None for at in (episode.told_at, episode.closed_at))
    texts = (episode.what, episode.follows, episode.command)
    return (episode.name, seconds(episode.since), *texts, told, closed)


def _read(row: tuple[object, ...]) -> Episode:
    number, name, since, what, follows, command, told, closed = row
    return Episode(
        str(name),
        datetime.fromtimestamp(int(str(since)), UTC),
        str(what),
        str(follows),
        str(command),
        _instant(told),
        _instant(closed),
        int(str(number)),
    )


def _instant(at: object) -> datetime | None:
    return datetime.fromtimestamp(int(str(at)), UTC) if at else None
