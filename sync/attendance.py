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
_JUST = 10 * 60
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
    """Return that nothing ran for long, up to now or up to the run that asks.

    Of workers another one may have read something by then: a gap is told that just came to its end.
    """
    now = seconds(clinic.now)
    ends = [len(at)]
    if running == "worker":
        ends += [number for number in range(1, len(at)) if at[number] >= now - _JUST]
    for end in ends:
        until = at[end] if end < len(at) else now
        if _is_gap(clinic, connection, at[:end], until):
            return _told(clinic, at[end - 1], until, ended=running is not None)
    return None


def _is_gap(clinic: Clinic, connection: Connection, at: Sequence[int], until: int) -> bool:
    """Whether too much time went by, as far as anybody is there, after the last of some moments."""
    allowed = patience(at, at_least=_GAP_AT_LEAST)
    if allowed is None or until - at[-1] <= allowed:
        return False
    if open_for(clinic, connection, since=at[-1], until=until) <= allowed:
        return False
    before = silent.moments(connection, clinic.store.clinic, clinic.run, now=clinic.now, many=True)
    return not is_usual([one for one in before if one <= at[-1]], since=at[-1], until=until)


def _told(clinic: Clinic, since: int, until: int, *, ended: bool) -> Condition:
    what = f"nothing has run since {_when(clinic, since)}"
    if ended:
        what = f"nothing ran from {_when(clinic, since)} to {_when(clinic, until)}; it runs again"
    return Condition(
        f"gap/{since}",
        what,
        "In that time nothing was read and nothing was sent; what is still of use is sent now.",
        _LOOK,
        datetime.fromtimestamp(since, UTC),
    )


def _when(clinic: Clinic, at: int) -> str:
    return f"{times.local(datetime.fromtimestamp(at, UTC), clinic.zone):%a %d %b %H:%M}"
