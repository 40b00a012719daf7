"""Deletes what is old enough: in small pieces, each of which leaves a store that is whole.

A piece takes visits with everything that refers to them, so that no row is left that means another
visit once a number is given again. What their source said of them stays known, as nobody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.model import decode
from sync.store import dialects, sightings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.model import Appointment

_AT_ONCE = 900
_OPEN = "('planned', 'sending', 'unknown', 'held')"  # messages that something may still become of
_UNKNOWN_END = "('sending', 'handed_over', 'unknown')"  # attempts of which that is so


class Old(NamedTuple):
    """A visit that may be old enough; `start_at` 0 where it has none."""

    start_at: int
    id: int
    source: str
    content: str

    @property
    def visit(self) -> Appointment:
        return decode(self.content)


# Whoever is to be told something, or looked at by plan, is not over yet.
_AT_REST = (
    "a.clinic = ? AND (a.wake_at IS NULL OR a.wake_at > ?) AND a.id <> "
    "(SELECT max(id) FROM appointments) AND NOT EXISTS (SELECT 1 FROM messages m "
    f"WHERE m.appointment = a.id AND m.state IN {_OPEN})"
)
_TIMELESS = (
    "a.start_at IS NULL AND a.changed_at < ? AND a.id > ? "
    "AND (a.gone_at IS NOT NULL OR a.status IN ('cancelled', 'entered_in_error'))"
)
_OVER = "a.start_at < ? AND (a.start_at > ? OR (a.start_at = ? AND a.id > ?))"


def over(
    connection: Connection, clinic: str, *, before: int, after: tuple[int, int], now: int, most: int
) -> list[Old]:
    """Return visits that began before a moment, the oldest first, from a place (start, id) on."""
    rows = dialects.fetch(
        connection,
        "SELECT a.start_at, a.id, a.source, a.content FROM appointments a "
        f"WHERE {_OVER} AND {_AT_REST} ORDER BY a.start_at, a.id LIMIT ?",
        (before, after[0], after[0], after[1], clinic, now, most),
    )
    return [*map(Old._make, rows)]


def timeless(
    connection: Connection, clinic: str, *, before: int, after: int, now: int, most: int
) -> list[Old]:
    """Return visits that never had a time, and were called off or deleted before a moment."""
    rows = dialects.fetch(
        connection,
        "SELECT 0, a.id, a.source, a.content FROM appointments a "
        f"WHERE {_TIMELESS} AND {_AT_REST} ORDER BY a.id LIMIT ?",
        (before, after, clinic, now, most),
    )
    return [*map(Old._make, rows)]


def delete_visits(
    connection: Connection, clinic: str, source: str, visits: Sequence[Old], *, now: int
) -> int:
    """Delete visits of a source with all that refers to them; who has none left goes as well.

    Those that have changed since they were looked at stay. Returns how many went.
    """
    alike = {row[0]: row[1] for row in _contents(connection, [one.id for one in visits])}
    some = [one for one in visits if alike.get(one.id) == one.content]
    ids = [one.id for one in some]
    sightings.retire(connection, clinic, source, ids, now=now)
    forget_visits(connection, clinic, ids)
    _forget_people(connection, clinic, source, some)
    return len(some)


def _contents(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
    for some in _slices(ids):
        marks = dialects.marks(connection, len(some))
        rows = connection.exec_driver_sql(
            f"SELECT id, content FROM appointments WHERE id IN ({marks})", some
        )
        yield from ((int(row[0]), str(row[1])) for row in rows)


def forget_visits(connection: Connection, clinic: str, ids: Sequence[int]) -> None:
    """Delete visits and every row that refers to them, but for what their source said."""
    for some in _slices(ids):
        marks = dialects.marks(connection, len(some))
        rows = connection.exec_driver_sql(
            f"SELECT id FROM messages WHERE appointment IN ({marks})", some
        )
        forget_messages(connection, [int(row[0]) for row in rows])
        for table in ("versions", "told", "events", "unlinked", "absences", "incoming"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE appointment IN ({marks})", some)
        pairs = connection.exec_driver_sql(
            f"SELECT id, replaces, replaced_by FROM appointments WHERE id IN ({marks}) "
            "AND (replaces IS NOT NULL OR replaced_by IS NOT NULL)",
            some,
        ).fetchall()
        for number, replaces, replaced_by in pairs:
            _unpair(connection, "replaced_by", replaces, number)
            _unpair(connection, "replaces", replaced_by, number)
        connection.exec_driver_sql(f"DELETE FROM appointments WHERE id IN ({marks})", some)


def _unpair(connection: Connection, column: str, other: int | None, number: int) -> None:
    if other is not None:
        dialects.run(
            connection,
            f"UPDATE appointments SET {column} = NULL WHERE id = ? AND {column} = ?",
            (other, number),
        )


def forget_messages(connection: Connection, ids: Sequence[int]) -> None:
    """Delete entries of the ledger with their attempts."""
    for some in _slices(ids):
        marks = dialects.marks(connection, len(some))
        for table, column in (
            *(("attempts", "message"), ("together", "message"), ("together", "told_with")),
            ("messages", "id"),
        ):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} IN ({marks})", some)


def _forget_people(connection: Connection, clinic: str, source: str, visits: Sequence[Old]) -> None:
    """Delete whom no visit names any more: by the index the first patients, by a look the others."""
    first, others = set[str](), set[str]()
    for one in visits:
        keys = [patient.key for patient in one.visit.patients]
        first.update(keys[:1])
        others.update(keys[1:])
    gone = [
        key for key in sorted(first | others) if not _has_visit(connection, clinic, source, key)
    ]
    for key in gone:
        if key in others and _is_named(connection, clinic, source, key):
            continue
        dialects.run(
            connection,
            "DELETE FROM people WHERE clinic = ? AND source = ? AND source_key = ?",
            (clinic, source, key),
        )


def _has_visit(connection: Connection, clinic: str, source: str, key: str) -> bool:
    unindexed = dialects.unindexed
    rows = dialects.fetch(
        connection,
        f"SELECT 1 FROM appointments WHERE patient = ? AND {unindexed('clinic')} = ? "
        f"AND {unindexed('source')} = ? LIMIT 1",
        (key, clinic, source),
    )
    return bool(rows)


def _is_named(connection: Connection, clinic: str, source: str, key: str) -> bool:
    return bool(naming(connection, "appointments", clinic, source, key, most=1))


def naming(
    connection: Connection, table: str, clinic: str, source: str, key: str, *, most: int = 1_000_000
) -> list[tuple[int, str]]:
    """Return visits (number, content) of which a row of `appointments`, `versions` or `incoming`
    names a patient; each row of the table is looked at."""
    number = "id" if table == "appointments" else "appointment"
    joined = (
        ""
        if table != "versions"
        else " AND EXISTS (SELECT 1 FROM appointments a WHERE a.id = t.appointment AND a.source = ?)"
    )
    own = " AND t.source = ?" if table != "versions" else joined
    rows = dialects.fetch(
        connection,
        f"SELECT t.{number}, t.content FROM {table} t WHERE t.clinic = ?{own} "
        f"AND t.content LIKE ? ESCAPE '!' ORDER BY t.{number} LIMIT {most}",
        (clinic, source, f"%{like(json.dumps(key, ensure_ascii=False))}%"),
    )
    return [(int(row[0]), str(row[1])) for row in rows]


def like(text: str) -> str:
    """Return a text as LIKE takes it literally, with ! to escape."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


# --- what is no visit --------------------------------------------------------------------------------


def delete_messages(connection: Connection, clinic: str, *, before: int, most: int) -> int:
    """Delete lists and alerts that were settled and due before a moment: they are about no visit."""
    rows = dialects.fetch(
        connection,
        "SELECT id FROM messages WHERE clinic = ? AND appointment IS NULL AND due_at < ? "
        "AND state IN ('sent', 'skipped', 'failed', 'unproven', 'joined') ORDER BY id LIMIT ?",
        (clinic, before, most),
    )
    forget_messages(connection, [int(row[0]) for row in rows])
    return len(rows)


class Emptied(NamedTuple):
    """How many texts were taken out, how far that went, and whether there is more to look at."""

    texts: int
    upto: int
    more: bool


def empty_bodies(
    connection: Connection, clinic: str, *, before: int, after: int, most: int
) -> Emptied:
    """Take the texts out of messages sent before a moment, from a message (its number) on.

    The number that is returned is the last of which nothing is left to be taken.
    """
    rows = dialects.fetch(
        connection,
        "SELECT id, created_at FROM messages WHERE id > ? AND clinic = ? ORDER BY id LIMIT ?",
        (after, clinic, most),
    )
    old = [int(row[0]) for row in rows if row[1] < before]
    texts, left = 0, set[int]()
    for some in _slices(old):
        marks = dialects.marks(connection, len(some))
        mark = dialects.marks(connection, 1)
        texts += connection.exec_driver_sql(
            f"UPDATE attempts SET body = NULL WHERE message IN ({marks}) AND body IS NOT NULL "
            f"AND started_at < {mark} AND state NOT IN {_UNKNOWN_END}",
            (*some, before),
        ).rowcount
        kept = connection.exec_driver_sql(
            f"SELECT message FROM attempts WHERE message IN ({marks}) AND body IS NOT NULL "
            f"UNION SELECT id FROM messages WHERE id IN ({marks}) AND state IN {_OPEN}",
            (*some, *some),
        )
        left.update(int(row[0]) for row in kept)
    done = [number for number in old if number < min(left, default=number + 1)]
    return Emptied(texts, max(done, default=after), len(rows) == most == len(old) and not left)


def empty_quarantine(connection: Connection, clinic: str, *, before: int, most: int) -> int:
    """Take the text out of what was set aside and not seen since; where and why is still known."""
    rows = dialects.fetch(
        connection,
        "SELECT id FROM quarantine WHERE clinic = ? AND last_seen_at < ? "
        "AND (raw <> '' OR detail <> '') ORDER BY id LIMIT ?",
        (clinic, before, most),
    )
    if rows:
        emptied = "UPDATE quarantine SET raw = '', detail = '' WHERE id = ?"
        dialects.run_many(connection, emptied, rows)
    return len(rows)


def delete_old(connection: Connection, table: str, clinic: str, *, before: int, most: int) -> int:
    """Delete rows of `quarantine`, `runs` or `alerts` that were over before a moment."""
    when = {"quarantine": "last_seen_at", "runs": "started_at", "alerts": "closed_at"}[table]
    # The last number stays: SQLite would give it again, and an alert's is a part of what was said.
    newest = "" if table == "runs" else f" AND id <> (SELECT max(id) FROM {table})"
    rows = dialects.fetch(
        connection,
        f"SELECT id FROM {table} WHERE clinic = ? AND {when} < ?{newest} ORDER BY id LIMIT ?",
        (clinic, before, most),
    )
    if rows:
        dialects.run_many(connection, f"DELETE FROM {table} WHERE id = ?", rows)
    return len(rows)


# --- counting, for who asks before -------------------------------------------------------------------


def counts(connection: Connection, clinic: str, cutoffs: dict[str, int]) -> dict[str, int]:
    """Return how much of each kind is old enough. `cutoffs` (seconds) are those of the settings."""
    asked = {
        "visits": (
            "SELECT count(*) FROM appointments WHERE clinic = ? AND (start_at < ? OR (start_at IS NULL "
            "AND changed_at < ? AND (gone_at IS NOT NULL "
            "OR status IN ('cancelled', 'entered_in_error'))))",
            (clinic, cutoffs["appointments"], cutoffs["appointments"]),
        ),
        "texts": (
            "SELECT count(*) FROM attempts WHERE clinic = ? AND body IS NOT NULL AND started_at < ? "
            f"AND state NOT IN {_UNKNOWN_END}",
            (clinic, cutoffs["bodies"]),
        ),
        "set_aside": (
            "SELECT count(*) FROM quarantine WHERE clinic = ? AND last_seen_at < ? "
            "AND (raw <> '' OR detail <> '')",
            (clinic, cutoffs["quarantine"]),
        ),
        "runs": (
            "SELECT count(*) FROM runs WHERE clinic = ? AND started_at < ?",
            (clinic, cutoffs["runs"]),
        ),
        "alerts": (
            "SELECT count(*) FROM alerts WHERE clinic = ? AND closed_at < ?",
            (clinic, cutoffs["runs"]),
        ),
        "audit": (
            "SELECT count(*) FROM audit WHERE clinic = ? AND done_at < ?",
            (clinic, cutoffs["audit"]),
        ),
    }
    return {name: int(dialects.fetch(connection, *one)[0][0]) for name, one in asked.items()}


def _slices(ids: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield tuple(ids[start : start + _AT_ONCE])
