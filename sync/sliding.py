"""Limits over any stretch of time, not from one full minute to the next: as calendars count.

What was reserved is written down in slots of a second, so that a restart does not begin anew and
all threads and workers count together. It goes by the real clock, whatever `now` a run was given.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sync.store import memory

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.settings.values import Rate
    from sync.store import Store

TOGETHER = ""  # the limit of all keys together
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
    (window,), wait = take_all([(window, count, period)], n, now)
    return window, wait


def take_all(
    asked: Sequence[tuple[Window, int, int]], n: int, now: float
) -> tuple[list[Window], float]:
    """Reserve n calls under several limits (a window, its count and period) at one moment."""
    at = max(_opening(window, n, count, period, now, now) for window, count, period in asked)
    while True:
        later = max(_opening(window, n, count, period, now, at) for window, count, period in asked)
        if later <= at:
            break
        at = later
    if at == float("inf"):
        return [window for window, _, _ in asked], at
    return [_reserved(window, n, period, now, at) for window, _, period in asked], at - now


def _opening(window: Window, n: int, count: int, period: int, now: float, earliest: float) -> float:
    """Return the first moment that has room for n calls, infinity where there is none to wait for."""
    span, most = period + 2, max(1, int(_SHARE * count * _share(window, now)))
    slots = _slots(window, span, now)
    at = max(earliest, window.off_until, float(slots[-1][0]) if slots else 0.0)
    if at - now > span:
        return float("inf")
    over = sum(calls for second, calls in slots if second > int(at) - span) + n - most
    for second, calls in slots:
        if over <= 0:
            break
        if second > int(at) - span:
            at, over = float(second + span), over - calls
    return float("inf") if over > 0 or at - now > span else at


def _reserved(window: Window, n: int, period: int, now: float, at: float) -> Window:
    return replace(window, slots=tuple(_with(_slots(window, period + 2, now), int(at), n)))


def _slots(window: Window, span: int, now: float) -> list[tuple[int, int]]:
    """Return what still counts; what lies far ahead is of a clock that was set back since."""
    return [s for s in window.slots if int(now) - span < s[0] <= int(now) + span]


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
    """The limits of one plugin, as `Calendar.limits` gives them."""

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
        limited = [(name, rate) for name in (key, TOGETHER) if (rate := self._rate(name))]
        wait = 0.0

        def reserve(windows: Sequence[Window]) -> Sequence[Window]:
            nonlocal wait
            asked = zip(windows, limited, strict=True)
            all_of_it = [(window, count, period) for window, (_, (count, period)) in asked]
            after, wait = take_all(all_of_it, n, self._clock())
            return after

        if limited:
            self._change([name for name, _ in limited], reserve)
        return timedelta.max if wait == float("inf") else timedelta(seconds=wait)

    def refused(self, key: str, after: timedelta | None = None) -> None:
        if self._rate(key):
            seconds = after.total_seconds() if after else 0.0
            chance = self._chance()
            self._change([key], lambda them: [refused(them[0], seconds, self._clock(), chance)])

    def _rate(self, key: str) -> tuple[int, int] | None:
        """Return the calls under a key and the seconds in which they may be made."""
        rate = self._limits.get(key.partition("/")[0])
        if rate is None or rate.period is None:
            return None
        return rate.count, int(rate.period.total_seconds())

    def _change(
        self, keys: Sequence[str], change: Callable[[Sequence[Window]], Sequence[Window]]
    ) -> None:
        """Change what is kept of keys, all or nothing; whoever was overtaken looks again."""
        while True:
            with suppress(_Overtaken), self._store.write() as connection:
                texts = [
                    memory.text_of(connection, self._store.clinic, self._owner, key) for key in keys
                ]
                windows = [
                    msgspec.json.decode(text, type=Window) if text else Window() for text in texts
                ]
                after = change(windows)
                for key, text, window, new in zip(keys, texts, windows, after, strict=True):
                    if new != window and not self._kept(connection, key, text, new):
                        raise _Overtaken
                return

    def _kept(self, connection: Connection, key: str, before: str | None, window: Window) -> bool:
        text = msgspec.json.encode(window).decode()
        return memory.replace(connection, self._store.clinic, self._owner, key, before, text)


class _Overtaken(Exception):
    """Another worker wrote what we had read: none of ours may stand."""
