"""Going live: what was only rehearsed is undone, and what is true counts as told.

A clinic rehearses with its clock set ahead, too. Nothing that was noted under such a clock may keep
a message from leaving when its hour really comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sync.store import running, seconds, wakes

if TYPE_CHECKING:
    from sqlalchemy import Connection

_AT_ONCE = 900

# Every column that says when something was noted.
_NOTED = {
    "appointments": ("first_seen_at", "changed_at", "gone_at"),
    "versions": ("replaced_at",),
    "sources": ("imported_at", "last_read_at", "last_complete_at"),
    "told": ("told_at",),
    "quarantine": ("first_seen_at", "last_seen_at"),
    "held": ("since",),
}


def bring_the_clock_back(connection: Connection, clinic: str, *, now: datetime) -> None:
    """Let nothing have been noted later than now."""
    at = {"clinic": clinic, "now": seconds(now)}
    running.bring_back(connection, clinic, now=now)
    for table, columns in _NOTED.items():
        for column in columns:
            connection.execute(
                text(
                    f"UPDATE {table} SET {column} = :now WHERE clinic = :clinic AND {column} > :now"
                ),
                at,
            )


def count_as_told(
    connection: Connection, clinic: str, role: str, *, now: datetime, only: Sequence[int] | None
) -> None:
    """Let what is true of the visits ahead count as told to patients or doctors.

    `only` limits it to these visits. Plan looks at each of them again.
    """
    at = {"clinic": clinic, "now": seconds(now), "who": f"{role}/%"}
    baseline = "baseline = version, " if role == "patient" else ""
    _each(
        connection,
        f"UPDATE appointments SET {baseline}wake_at = {wakes.UNLESS_CHANGED} "
        "WHERE clinic = :clinic AND start_at > :now",
        "id",
        at,
        only,
    )
    _each(
        connection,
        "DELETE FROM told WHERE clinic = :clinic AND recipient LIKE :who",
        "appointment",
        at,
        only,
    )


def undo_rehearsed(
    connection: Connection, clinic: str, role: str, *, now: datetime, only: Sequence[int] | None
) -> None:
    """Let no message go out that fell due before now, and forget those that are due later.

    What an outside provider may have taken already (`sending`, `unknown`) is left to be settled.
    """
    at = {"clinic": clinic, "now": seconds(now), "role": role}
    _each(
        connection,
        "UPDATE messages SET state = 'skipped', reason = 'rehearsal', settled_at = :now, "
        "next_try_at = NULL WHERE clinic = :clinic AND role = :role "
        "AND state IN ('planned', 'held') AND due_at <= :now",
        "appointment",
        at,
        only,
    )
    later = (
        "clinic = :clinic AND role = :role AND due_at > :now "
        "AND state NOT IN ('sending', 'unknown')"
    )
    _each(
        connection,
        f"DELETE FROM attempts WHERE message IN (SELECT id FROM messages WHERE {later}{{more}})",
        "appointment",
        at,
        only,
    )
    _each(connection, f"DELETE FROM messages WHERE {later}", "appointment", at, only)


def open_again(connection: Connection, clinic: str) -> None:
    """Let messages that a pause put off be looked at by the next run."""
    connection.execute(
        text(
            "UPDATE messages SET next_try_at = NULL WHERE clinic = :clinic "
            "AND state = 'planned' AND reason = 'paused'"
        ),
        {"clinic": clinic},
    )


def _each(
    connection: Connection,
    statement: str,
    column: str,
    values: dict[str, Any],
    only: Sequence[int] | None,
) -> None:
    """Execute a statement for all, or for some visits, as many at once as any database takes."""
    where = "" if only is None else f" AND {column} IN ({{ids}})"
    whole = statement.replace("{more}", where) if "{more}" in statement else statement + where
    if only is None:
        connection.execute(text(whole), values)
        return
    rest = iter(only)
    while some := [*islice(rest, _AT_ONCE)]:
        ids = {f"id{n}": one for n, one in enumerate(some)}
        marks = ", ".join(f":{name}" for name in ids)
        connection.execute(text(whole.replace("{ids}", marks)), {**values, **ids})
