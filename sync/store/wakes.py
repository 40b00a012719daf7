"""Which visits plan has to look at, with all that it decides by; and when it looks again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from clinicrelay.model import Appointment, decode
from sync.store import dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

# When a visit is awake without having to wait for an hour: it (or what is decided about it) changed,
# or only what is owed to its people is to be looked at, which leaves every calendar as it is.
CHANGED, OWED = 0, 1
_AT_ONCE, _MANY = 900, 10  # values of one statement: at most, and from how many on it is worth it
UNLESS_CHANGED = f"CASE WHEN wake_at = {CHANGED} THEN {CHANGED} ELSE {OWED} END"

SELECT = (
    "SELECT id, source, source_key, content, version, baseline, gone_at, gone_reason, "
    "first_seen_at, replaces, replaced_by, wake_at FROM appointments "
)


class Share(NamedTuple):
    """Which of many visits are looked at: those whose number leaves `rest` when divided by `every`."""

    every: int = 1
    rest: int = 0

    @classmethod
    def of(cls, number: int, at_most: int, one: int) -> Share:
        """Return a share of about `at_most` of so many visits; `one` of them belongs to it."""
        every = max(-(-number // at_most), 1)
        return cls(every, one % every)


ALL = Share()


class Woken(NamedTuple):
    """A visit that plan has to look at. Instants are seconds."""

    id: int
    source: str
    source_key: str
    content: str
    version: int
    baseline: int | None
    gone_at: int | None
    gone_reason: str | None
    first_seen_at: int
    replaces: int | None
    replaced_by: int | None
    wake_at: int | None

    @property
    def visit(self) -> Appointment:
        return visit_of(self.content)


@lru_cache(maxsize=16)  # plan looks at one visit from several sides before the next
def visit_of(content: str) -> Appointment:
    """Return the visit that a content, old or new, tells of."""
    return decode(content)


def woken(connection: Connection, clinic: str, *, now: datetime, limit: int) -> list[Woken]:
    """Return visits that changed or whose next step has come, the longest waiting first."""
    rows = dialects.fetch(
        connection,
        SELECT + "WHERE clinic = ? AND wake_at <= ? ORDER BY wake_at, id LIMIT ?",
        (clinic, seconds(now), limit),
    )
    return [*map(Woken._make, rows)]


def by_ids(connection: Connection, ids: Sequence[int]) -> dict[int, Woken]:
    """Return visits by their number."""
    found: dict[int, Woken] = {}
    for start in range(0, len(ids), 900):
        some = tuple(ids[start : start + 900])
        rows = connection.exec_driver_sql(
            SELECT + f"WHERE id IN ({dialects.marks(connection, len(some))})", some
        )
        found.update((row[0], Woken(*row)) for row in rows)
    return found


def coming(connection: Connection, clinic: str, *, now: datetime) -> Iterator[Woken]:
    """Yield the visits that are still to begin."""
    rows = connection.execute(
        text(SELECT + "WHERE clinic = :clinic AND start_at > :now"),
        {"clinic": clinic, "now": seconds(now)},
    )
    for row in rows:
        yield Woken(*row)


def asleep(
    connection: Connection, clinic: str, *, since: datetime, now: datetime, after: int, limit: int
) -> list[Woken]:
    """Return visits from a time on that plan has not to look at now, by their numbers."""
    rows = dialects.fetch(
        connection,
        SELECT + "WHERE clinic = ? AND id > ? AND start_at >= ? "
        "AND (wake_at IS NULL OR wake_at > ?) ORDER BY id LIMIT ?",
        (clinic, after, seconds(since), seconds(now), limit),
    )
    return [*map(Woken._make, rows)]


class Past(NamedTuple):
    """A superseded version of a visit."""

    version: int
    content: str
    what: str
    replaced_at: int


def history(connection: Connection, ids: Sequence[int]) -> Mapping[int, list[Past]]:
    """Return the superseded versions of visits, the oldest first."""
    found: dict[int, list[Past]] = {}
    for start in range(0, len(ids), 900):
        some = tuple(ids[start : start + 900])
        rows = connection.exec_driver_sql(
            "SELECT appointment, version, content, what, replaced_at FROM versions "
            f"WHERE appointment IN ({dialects.marks(connection, len(some))}) "
            "ORDER BY appointment, version",
            some,
        )
        for row in rows:
            found.setdefault(row[0], []).append(Past(*row[1:]))
    return found


def sleep(connection: Connection, rows: Iterable[tuple[int | None, int, int]]) -> None:
    """Set when visits are looked at next: (seconds or None, id, version).

    One that has meanwhile become another version stays awake. What sleeps until the same hour, as
    the visits of one hour do, goes to sleep by one statement.
    """
    alike: dict[tuple[int | None, int], list[int]] = {}
    for wake_at, number, version in rows:
        alike.setdefault((wake_at, version), []).append(number)
    update = "UPDATE appointments SET wake_at = ? WHERE version = ? AND id "
    single: list[tuple[int | None, int, int]] = []
    for hour, ids in alike.items():
        if len(ids) < _MANY:
            single += [(*hour, number) for number in ids]
            continue
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            marks = dialects.marks(connection, len(some))
            dialects.run(connection, f"{update}IN ({marks})", (*hour, *some))
    if single:
        dialects.run_many(connection, update + "= ?", single)


def look_again(connection: Connection, visit: int) -> None:
    """Let plan see what is owed about a visit, at once; one that changed stays as it is."""
    connection.execute(
        text(f"UPDATE appointments SET wake_at = {UNLESS_CHANGED} WHERE id = :id"),
        {"id": visit},
    )


def look_again_unless(connection: Connection, seen: Woken) -> None:
    """Let plan see what is owed about a visit, unless it stands as it was seen."""
    dialects.run(
        connection,
        f"UPDATE appointments SET wake_at = {UNLESS_CHANGED} "
        "WHERE id = ? AND (version <> ? OR COALESCE(gone_at, 0) <> ?)",
        (seen.id, seen.version, seen.gone_at or 0),
    )


def look_as_if_changed(connection: Connection, ids: Sequence[int]) -> None:
    """Let plan decide about visits once more, what calendars are to show included."""
    for start in range(0, len(ids), _AT_ONCE):
        some = tuple(ids[start : start + _AT_ONCE])
        marks = dialects.marks(connection, len(some))
        update = f"UPDATE appointments SET wake_at = {CHANGED} WHERE id IN ({marks})"
        dialects.run(connection, update, some)


def stands(connection: Connection, seen: Woken) -> bool:
    """Return whether a visit still stands as it was seen."""
    found = dialects.fetch(
        connection, "SELECT version, gone_at FROM appointments WHERE id = ?", (seen.id,)
    )
    return [*map(tuple, found)] == [(seen.version, seen.gone_at)]


def of_day(
    connection: Connection, clinic: str, *, first: datetime, end: datetime, share: Share = ALL
) -> list[Woken]:
    """Return the visits that begin in a stretch of time and will take place, in their order.

    A `share` of them is always the same one, from all hours and sources.
    """
    rows = connection.execute(
        text(
            SELECT + "WHERE clinic = :clinic AND start_at >= :first AND start_at < :end "
            "AND gone_at IS NULL AND status NOT IN ('cancelled', 'entered_in_error') "
            "AND id % :every = :rest ORDER BY start_at, id"
        ),
        {"clinic": clinic, "first": seconds(first), "end": seconds(end), **share._asdict()},
    )
    return [Woken(*row) for row in rows]
