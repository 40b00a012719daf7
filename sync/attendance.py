"""Whether anything runs at all: `sync` that stopped while `send` goes on, and gaps without any run.

Who could tell of it has to run itself. So `send` tells that no `sync` comes any more, and the first run
after a gap tells that there was one; where nothing runs for good, only a watcher outside notices
(`monitoring.heartbeat`, or rules over the metrics).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from clinicrelay import times
from sync.alerts import Condition
from sync.hours import open_for
from sync.rhythm import is_usual, patience, usual_gap
from sync.store import seconds, silent

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

NO_SYNC = "schedule/sync"
_SYNC_AT_LEAST = 15 * 60
_GAP_AT_LEAST = 60 * 60
_STEP = 5 * 60
_LOOK = "check that cron, the timer or the service still runs clinicrelay; then: clinicrelay sync"


def attendance(
    clinic: Clinic, connection: Connection, *, running: str | None
) -> Iterator[Condition]:
    """Yield what is wrong with the runs; `running` is the command that asks, None for one that looks.

    A `sync` that found another one at work says nothing of the job: it is none.
    """
    found = silent.moments(connection, clinic.store.clinic, clinic.run, now=clinic.now)
    if running != "sync" and (stopped := _stopped(clinic, connection, found)):
        yield stopped
    if gap := _gap(clinic, connection, found, running):
        yield gap


def _stopped(clinic: Clinic, connection: Connection, found: Sequence[int]) -> Condition | None:
    """Return that no sync came to its end for three times its rhythm, while other runs did."""
    store, now = clinic.store.clinic, seconds(clinic.now)
    syncs = silent.reading_runs(connection, store, clinic.run, now=clinic.now)
    allowed = patience(syncs, at_least=_SYNC_AT_LEAST)
    if allowed is None:
        return None
    last = syncs[-1]
    step = max(_STEP, usual_gap([at for at in found if at not in syncs]) or 0)
    if _watched([last, *(at for at in found if at > last), now], step) <= allowed:
        return None
    return Condition(
        NO_SYNC,
        f"no sync has come to its end since {_when(clinic, last)}, though others run",
        "Nothing is read: nobody hears of what is booked, moved or cancelled, and calendars stay as "
        "they are.",
        _LOOK,
        datetime.fromtimestamp(last, UTC),
    )


def _watched(moments: Sequence[int], step: float) -> float:
    """Return for how long somebody was there to notice: a night in which nothing ran does not count.

    `step` is how far apart runs are, in seconds.
    """
    return sum(min(later - at, step) for at, later in pairwise(moments))


def _gap(
    clinic: Clinic, connection: Connection, at: Sequence[int], running: str | None
) -> Condition | None:
    """Return that nothing ran for long, up to now or up to the run that asks."""
    store, now = clinic.store.clinic, seconds(clinic.now)
    allowed = patience(at, at_least=_GAP_AT_LEAST)
    if allowed is None or now - at[-1] <= allowed:
        return None
    if open_for(clinic, connection, since=at[-1], until=now) <= allowed:
        return None
    before = silent.moments(connection, store, clinic.run, now=clinic.now, many=True)
    if is_usual(before, since=at[-1], until=now):
        return None
    since = datetime.fromtimestamp(at[-1], UTC)
    if running is None:
        what = f"nothing has run since {_when(clinic, at[-1])}"
    else:
        what = f"nothing ran from {_when(clinic, at[-1])} to {_when(clinic, now)}; it runs again"
    return Condition(
        f"gap/{at[-1]}",
        what,
        "In that time nothing was read and nothing was sent; what is still of use is sent now.",
        _LOOK,
        since,
    )


def _when(clinic: Clinic, at: int) -> str:
    return f"{times.local(datetime.fromtimestamp(at, UTC), clinic.zone):%a %d %b %H:%M}"
