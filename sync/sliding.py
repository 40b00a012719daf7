"""Limits over any stretch of time, not from one full minute to the next: as calendars count.

What was reserved is written down in slots of a second, so that a restart does not begin anew and
all threads and workers count together. It goes by the real clock, whatever `now` a run was given.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sync.store import memory

if TYPE_CHECKING:
    from clinicrelay.settings.values import Rate
    from sync.store import Store

_NOW = timedelta(0)
_SHARE = 0.9  # of what is allowed: others may use the account, and clocks differ
_QUIET = 30.0  # seconds without a refusal that are worth another tenth of the rate
_LEAST, _STEP = 0.1, 0.1
_LONGEST_BACKOFF = 64.0


class Window(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one key.

    `slots` are (second, calls), the oldest first, those to come included. `share` is what refusals
    left of the rate at `refused_at`; `refusals` how many there were in a row. Nobody calls before
    `off_until`.
    """

    slots: tuple[tuple[int, int], ...] = ()
    share: float = 1.0
    refused_at: float = 0.0
    refusals: int = 0
    off_until: float = 0.0


def take(window: Window, n: int, count: int, period: int, now: float) -> tuple[Window, float]:
    """Reserve n calls at the first moment that has room; return how many seconds that is away.

    In no stretch of the period and a second are there more than the share of `count`. Beyond about
    one period ahead nothing is reserved, and the wait is infinite.
    """
    span, most = period + 2, max(1, int(_SHARE * count * _share(window, now)))
    slots = [s for s in window.slots if int(now) - span < s[0] <= int(now) + span]
    at = max(now, window.off_until, float(slots[-1][0]) if slots else 0.0)
    over = sum(calls for second, calls in slots if second > int(at) - span) + n - most
    for second, calls in slots:
        if over <= 0:
            break
        if second > int(at) - span:
            at, over = float(second + span), over - calls
    if over > 0 or at - now > span:
        return window, float("inf")
    return replace(window, slots=tuple(_with(slots, int(at), n))), at - now


def _with(slots: list[tuple[int, int]], second: int, n: int) -> list[tuple[int, int]]:
    if slots and slots[-1][0] == second:
        return [*slots[:-1], (second, slots[-1][1] + n)]
    return [*slots, (second, n)]


def refused(window: Window, after: float, now: float, chance: float) -> Window:
    """Halve the rate and keep everybody off for a while; `chance` is between 0 and 1.

    Calls that were on their way when one was refused say nothing new.
    """
    if now < window.off_until:
        return replace(window, off_until=max(window.off_until, now + after))
    refusals = max(0, window.refusals - int((now - window.refused_at) / _QUIET)) + 1
    backoff = min(_LONGEST_BACKOFF, 2.0 ** (refusals - 1) * (1 + chance))
    return replace(
        window,
        share=max(_LEAST, _share(window, now) / 2),
        refused_at=now,
        refusals=refusals,
        off_until=now + max(after, backoff),
    )


def _share(window: Window, now: float) -> float:
    quiet = max(0.0, now - max(window.refused_at, window.off_until))
    return min(1.0, window.share + _STEP * int(quiet / _QUIET))


class Sliding:
    """The limits of one plugin by what stands before the first / of a key; others have none."""

    def __init__(
        self,
        store: Store,
        owner: str,
        limits: Mapping[str, Rate],
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store, self._owner, self._limits = store, owner, limits
        self._clock, self._chance = clock, chance

    def take(self, key: str, n: int = 1) -> timedelta:
        rate = self._limits.get(key.partition("/")[0])
        if rate is None or rate.period is None:
            return _NOW
        count, period = rate.count, int(rate.period.total_seconds())
        wait = 0.0

        def reserve(window: Window) -> Window:
            nonlocal wait
            window, wait = take(window, n, count, period, self._clock())
            return window

        self._change(key, reserve)
        return timedelta.max if wait == float("inf") else timedelta(seconds=wait)

    def refused(self, key: str, after: timedelta | None = None) -> None:
        if key.partition("/")[0] in self._limits:
            seconds = after.total_seconds() if after else 0.0
            chance = self._chance()
            self._change(key, lambda window: refused(window, seconds, self._clock(), chance))

    def _change(self, key: str, change: Callable[[Window], Window]) -> None:
        """Change what is kept of a key; whoever was overtaken by another worker looks again."""
        while True:
            with self._store.write() as connection:
                before = memory.text_of(connection, self._store.clinic, self._owner, key)
                window = msgspec.json.decode(before, type=Window) if before else Window()
                after = change(window)
                if after == window:
                    return
                text = msgspec.json.encode(after).decode()
                if memory.replace(connection, self._store.clinic, self._owner, key, before, text):
                    return
