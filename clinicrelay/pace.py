"""At most so many calls in a period, counted within one process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinicrelay.settings.values import Rate

LONGEST = timedelta(seconds=5)  # of waiting for a turn; other runs are kept away meanwhile
_NEXT_RUN = timedelta(minutes=1)


class Counted:
    """A limit of calls under each key, such as 5/s; what another process sends is not counted.

    Never more than the count leave in any stretch of the period's length. Of a limit for one run
    the rest has to wait for another.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}

    def take(self, key: str, n: int = 1) -> timedelta:
        """Reserve n calls and return how long to wait before the last of them."""
        wait = timedelta(0)
        for _ in range(n):
            wait = self._one(self._calls.setdefault(key, deque(maxlen=self._rate.count)))
        return wait

    def refused(self, key: str, after: timedelta | None = None) -> None:
        """The count stands as settings say; whoever was refused waits by itself."""

    def _one(self, calls: deque[float]) -> timedelta:
        now = self._clock()
        if len(calls) < self._rate.count:
            calls.append(now)
            return timedelta(0)
        if self._rate.period is None:
            return _NEXT_RUN
        at = max(now, calls[0] + self._rate.period.total_seconds())
        calls.append(at)
        return timedelta(seconds=at - now)
