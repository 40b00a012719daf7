"""For how long of a stretch of time a clinic was open, as far as its visits tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sync.rhythm import open_seconds
from sync.store import silent

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

VISIT = 30 * 60  # seconds that one takes, for want of better knowledge
_OPENS, _CLOSES = time(8), time(18)
_WORKDAYS = 5
_LONGEST = timedelta(days=60)


def open_for(
    clinic: Clinic,
    connection: Connection,
    *,
    since: int,
    until: int,
    after: int = VISIT,
    source: str | None = None,
) -> int:
    """Return for how many seconds visits were on, or had been `after` seconds ago, of a source or all.

    Where no visit is known from so early, as in the first days of a store, weekdays from 8 to 18 by
    the clinic's clock stand for them.
    """
    since = max(since, until - int(_LONGEST.total_seconds()))
    store = clinic.store.clinic
    first = silent.first_start(connection, store)
    known = silent.starts(connection, store, first=since - after, end=until, source=source)
    begins = until if first is None else min(first, until)
    assumed = [*_usual_hours(clinic.zone, since - after, begins)]
    return open_seconds([*assumed, *known], since=since, until=until, after=after)


def _usual_hours(zone: str, first: int, end: int) -> Iterator[int]:
    at = datetime.fromtimestamp(first - first % VISIT, UTC)
    while at.timestamp() < end:
        local = at.astimezone(ZoneInfo(zone))
        if local.weekday() < _WORKDAYS and _OPENS <= local.time() < _CLOSES:
            yield int(at.timestamp())
        at += timedelta(seconds=VISIT)
