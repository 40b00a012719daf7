"""What is looked at to notice a silence: when runs were, and when and whose the next visits are."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.model import Status
from sync.store import dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DAY = 86400
_NEVER = 1 << 37
_RUNS, _ALL_RUNS = 500, 12_000  # of the newest: a working day of one a minute, and eight days
_SYNCS, _LOOK_BACK = 41, 40 * _DAY
_SHOWN = ", ".join(f"'{status}'" for status in Status if status.on_calendar)


class Ahead(NamedTuple):
    """A coming visit: its source, its first practitioner and its content."""

    source: str
    practitioner: str | None
    content: str


def moments(
    connection: Connection, clinic: str, run: str, *, now: datetime, many: bool = False
) -> list[int]:
    """Return when the newest runs but this one were, in seconds by their own clock, the oldest first.

    Those of a clock that was set ahead are left out; `many` of them reach back a week.
    """
    rows = dialects.fetch(
        connection,
        "SELECT business_time FROM runs WHERE clinic = ? AND id <> ? "
        f"ORDER BY started_at DESC, id DESC LIMIT {_ALL_RUNS if many else _RUNS}",
        (clinic, run),
    )
    return sorted(int(row[0]) for row in rows if int(row[0]) <= seconds(now))


def reading_runs(connection: Connection, clinic: str, run: str, *, now: datetime) -> list[int]:
    """Return when the newest runs were that read sources and came to their end, the oldest first.

    Those of a worker count, whatever they did. Exit code 75 is no end: nothing was done.
    """
    newest = dialects.fetch(
        connection, "SELECT max(started_at) FROM runs WHERE clinic = ?", (clinic,)
    )[0][0]
    rows = dialects.fetch(
        connection,
        "SELECT business_time FROM runs WHERE clinic = ? AND started_at > ? "
        "AND command IN ('sync', 'worker') AND id <> ? AND exit_code IS NOT NULL AND exit_code <> 75 "
        f"ORDER BY started_at DESC, id DESC LIMIT {_SYNCS}",
        (clinic, int(newest or 0) - _LOOK_BACK, run),
    )
    return sorted(int(row[0]) for row in rows if int(row[0]) <= seconds(now))


def whole_reads(connection: Connection, clinic: str, source: str) -> list[int]:
    """Return when a source was read whole by the newest runs, in seconds, the oldest first."""
    rows = dialects.fetch(
        connection,
        "SELECT business_time, report FROM (SELECT business_time, report, started_at FROM runs "
        f"WHERE clinic = ? AND report IS NOT NULL ORDER BY started_at DESC LIMIT {_ALL_RUNS}) recent "
        "WHERE report LIKE ? ORDER BY started_at",
        (clinic, '%"complete": true%'),
    )
    return [
        int(at)
        for at, report in rows
        if json.loads(report).get("sources", {}).get(source, {}).get("complete")
    ]


def starts(
    connection: Connection, clinic: str, *, first: int, end: int, source: str | None = None
) -> list[int]:
    """Return when visits begin that take place, in seconds; of one source or of all."""
    rows = dialects.fetch(
        connection,
        "SELECT DISTINCT start_at FROM appointments WHERE clinic = ? AND start_at >= ? "
        f"AND start_at < ? AND gone_at IS NULL AND status IN ({_SHOWN})"
        + (" AND source = ?" if source else "")
        + " ORDER BY start_at",
        (clinic, first, end, source) if source else (clinic, first, end),
    )
    return [int(row[0]) for row in rows]


def first_start(
    connection: Connection,
    clinic: str,
    *,
    first: int = 0,
    end: int = _NEVER,
) -> int | None:
    """Return when the first visit of a stretch of time, or of all, begins, in seconds."""
    rows = dialects.fetch(
        connection,
        "SELECT min(start_at) FROM appointments WHERE clinic = ? AND start_at >= ? "
        f"AND start_at < ? AND gone_at IS NULL AND status IN ({_SHOWN})",
        (clinic, first, end),
    )
    return None if rows[0][0] is None else int(rows[0][0])


def strange_sources(connection: Connection, clinic: str, named: Collection[str]) -> list[str]:
    """Return the sources that were read once and are not among these."""
    rows = dialects.fetch(
        connection, "SELECT source FROM sources WHERE clinic = ? ORDER BY source", (clinic,)
    )
    return [str(row[0]) for row in rows if row[0] not in named]


def count_ahead(connection: Connection, clinic: str, source: str, *, now: datetime) -> int:
    """Return how many visits of a source are still to come: counted in an index."""
    rows = dialects.fetch(
        connection,
        "SELECT count(*) FROM appointments WHERE clinic = ? AND start_at > ? AND source = ? "
        f"AND gone_at IS NULL AND status IN ({_SHOWN})",
        (clinic, seconds(now), source),
    )
    return int(rows[0][0])


def next_visits(
    connection: Connection, clinic: str, *, now: datetime, end: datetime, most: int
) -> list[Ahead]:
    """Return the next visits that take place, at most so many, by an index."""
    rows = dialects.fetch(
        connection,
        "SELECT source, practitioner, content FROM appointments "
        "WHERE clinic = ? AND start_at > ? AND start_at < ? AND gone_at IS NULL "
        f"AND status IN ({_SHOWN}) AND replaced_by IS NULL ORDER BY start_at LIMIT ?",
        (clinic, seconds(now), seconds(end), most),
    )
    return [Ahead(str(source), who, str(content)) for source, who, content in rows]
