"""How fast a source may be asked: by the second within a run, by the hour across all of them.

And how fast a notifier may send: several send at once, so that is counted together, always.

A limit for a minute, an hour or a day is counted by the clock, as the makers of these systems count
(DrChrono allows 500 requests from one full hour to the next), and written down: cron starts us anew
every few minutes, and a limit that forgets is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from clinicrelay.contracts import Pace, Unpaced
from clinicrelay.pace import Counted
from sync.metered import Metered
from sync.store import memory

if TYPE_CHECKING:
    from clinicrelay.settings.schema import Source
    from clinicrelay.settings.values import Rate
    from sync.store import Store

_NOW = timedelta(0)


def pace_of(source: Source, name: str, store: Store) -> Pace:
    """Return the pace that settings allow for one source in one run."""
    paces = [
        _pace(rate, f"pace/{name}/{key}", store)
        for key, rate in (("budget", source.budget), ("rate", source.rate))
        if rate
    ]
    return Several(paces) if len(paces) > 1 else paces[0] if paces else Unpaced()


def pace_of_notifier(rate: Rate | None, name: str, store: Store) -> Pace:
    """Return the pace that settings allow for one notifier, whoever sends by it."""
    if rate is None:
        return Unpaced()
    if rate.period is None:
        return Counted(rate)
    return Metered(store, f"pace/notifiers/{name}", rate)


def _pace(rate: Rate, owner: str, store: Store) -> Pace:
    if rate.period is None:
        return OfOneRun(rate.count)
    if rate.period <= timedelta(seconds=1):
        return Counted(rate)
    return ByTheClock(store, owner, rate.count, rate.period)


class OfOneRun:
    """So many calls, and then none until the next run."""

    def __init__(self, count: int) -> None:
        self._left = count

    def take(self, key: str, n: int = 1) -> timedelta:
        if n > self._left:
            return timedelta.max
        self._left -= n
        return _NOW

    def refused(self, key: str, after: timedelta | None = None) -> None:
        """A call that was refused was made all the same."""


class ByTheClock:
    """So many calls from one full period to the next, in whichever runs they are made."""

    def __init__(
        self,
        store: Store,
        owner: str,
        count: int,
        period: timedelta,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._owner, self._count = store, owner, count
        self._period = int(period.total_seconds())
        self._clock = clock

    def take(self, key: str, n: int = 1) -> timedelta:
        now = self._clock()
        began = int(now) // self._period * self._period
        with self._store.write() as connection:
            known = memory.recall(connection, self._store.clinic, self._owner)
            used = known["used"] if known.get("began") == began else 0
            if used + n > self._count:
                return timedelta(seconds=began + self._period - now)
            count = {"began": began, "used": used + n}
            memory.remember(connection, self._store.clinic, self._owner, known, count)
        return _NOW

    def refused(self, key: str, after: timedelta | None = None) -> None:
        """The makers' own count ends with the period as ours does."""


class Several:
    """Limits that all hold; the strictest says how long to wait."""

    def __init__(self, paces: Sequence[Pace]) -> None:
        self._paces = paces

    def take(self, key: str, n: int = 1) -> timedelta:
        return max(self._waits(key, n))

    def refused(self, key: str, after: timedelta | None = None) -> None:
        for pace in self._paces:
            pace.refused(key, after)

    def _waits(self, key: str, n: int) -> Iterator[timedelta]:
        for pace in self._paces:
            wait = pace.take(key, n)
            yield wait
            if wait == timedelta.max:
                return  # nothing is asked, so nothing more is to be counted
