"""How fast a notifier may send, all processes together, kept in the store.

Of a limit by the second messages leave one after the other, evenly: one that is on its way for
longer than others then hardly ever makes them too many. Of a limit by the minute or longer as many
leave at once as there is room for in a window of small slots.

A twentieth of the period is a slot. In no stretch of the period and a slot do more messages leave
than the rate says; what that costs is an eighth of the rate. Where the rate is high a process takes
the messages of a slot at once, so that not every message has to write.

It goes by the real clock, whatever `now` a run was given.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from clinicrelay.pace import LONGEST
from sync.store import memory

if TYPE_CHECKING:
    from clinicrelay.settings.values import Rate
    from sync.store import Store

SLOTS = 20  # in a period
_APART = SLOTS + 3  # slots: one is as long as it may take to use it, one is cut off, one to spare
_AT_LEAST, _AT_MOST = 1.0, 300.0  # seconds that a refusal keeps everybody off


class Meter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was reserved; nothing leaves before `off_until`.

    By the second that is when the next message may leave, by the minute or longer (slot, messages),
    the oldest first.
    """

    slots: tuple[tuple[int, int], ...] = ()
    next: float = 0.0
    off_until: float = 0.0


def reserve(meter: Meter, n: int, count: int, period: float, now: float) -> tuple[Meter, float]:
    """Reserve n of `count` messages in a period of seconds; return how many seconds to wait."""
    return (_evenly if period <= 1 else _in_slots)(meter, n, count, period, now)


def _evenly(meter: Meter, n: int, count: int, period: float, now: float) -> tuple[Meter, float]:
    further = now + LONGEST.total_seconds() + 2 * period
    known = meter.next if meter.next <= further else 0.0  # else of a clock that was set back since
    at = max(now, known, meter.off_until)
    after = at + n * period * _APART / SLOTS / count
    return structs.replace(meter, next=after), at - now


def _in_slots(meter: Meter, n: int, count: int, period: float, now: float) -> tuple[Meter, float]:
    length = period / SLOTS
    present = int(now / length)
    # What lies further ahead than anybody waits is of a clock that was set back since.
    ahead = present + _APART + int(LONGEST.total_seconds() / length) + 1
    known = [one for one in meter.slots if present - _APART < one[0] <= ahead]
    slot = max(present, int(meter.off_until / length), known[-1][0] if known else 0)
    used = sum(messages for at, messages in known if at > slot - _APART)
    for at, messages in known:
        if used + n <= count:
            break
        if at > slot - _APART:
            slot, used = max(slot, at + _APART), used - messages
    if known and known[-1][0] == slot:
        n += known.pop()[1]
    after = structs.replace(meter, slots=(*known, (slot, n)))
    return after, max(0.0, slot * length - now, meter.off_until - now)


class Metered:
    """The limit of one notifier."""

    def __init__(
        self, store: Store, owner: str, rate: Rate, clock: Callable[[], float] = time.time
    ) -> None:
        assert rate.period is not None
        self._store, self._owner, self._clock = store, owner, clock
        self._count, self._period = rate.count, rate.period.total_seconds()
        self._spare = 0
        self._from = self._till = 0.0  # when the spare ones may be used
        self._lock = threading.Lock()

    def take(self, key: str, n: int = 1) -> timedelta:
        """Reserve n messages; nothing is reserved where the wait is longer than anybody's patience."""
        with self._lock:
            now = self._clock()
            if self._spare >= n and now < self._till:
                self._spare -= n
                return timedelta(seconds=max(0.0, self._from - now))
            wait, taken = self._reserve(key, n, max(n, self._count // SLOTS))
            self._spare, self._from = taken - n, now + wait
            self._till = self._from + self._period / SLOTS
            return timedelta(seconds=wait)

    def refused(self, key: str, after: timedelta | None = None) -> None:
        """Keep everybody off for as long as the other side asked."""
        seconds = min(_AT_MOST, max(_AT_LEAST, after.total_seconds() if after else 0.0))

        def keep_off(meter: Meter) -> Meter:
            return structs.replace(meter, off_until=max(meter.off_until, self._clock() + seconds))

        with self._lock:
            self._spare = 0
            self._change(key, keep_off)

    def _reserve(self, key: str, n: int, several: int) -> tuple[float, int]:
        """Reserve several messages if that takes no longer than n; return the wait and how many."""
        wait, taken = 0.0, n

        def first(meter: Meter) -> Meter:
            nonlocal wait, taken
            now, limit = self._clock(), (self._count, self._period)
            (after, wait), taken = reserve(meter, n, *limit, now), n
            if wait > LONGEST.total_seconds():
                return meter
            more, longer = reserve(meter, several, *limit, now)
            if longer <= wait:
                after, taken = more, several
            return after

        self._change(key, first)
        return wait, taken

    def _change(self, key: str, change: Callable[[Meter], Meter]) -> None:
        """Change what is kept; whoever was overtaken by another process looks again."""
        kept = False
        while not kept:
            with self._store.write() as connection:
                at = (connection, self._store.clinic, self._owner, key)
                text = memory.text_of(*at)
                meter = msgspec.json.decode(text, type=Meter) if text else Meter()
                after = change(meter)
                new = msgspec.json.encode(after).decode()
                kept = after == meter or memory.replace(*at, text, new)
